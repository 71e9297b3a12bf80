"""Where the client's modules are served, so that a page can name them before one asks for the next."""

from __future__ import annotations

from urllib.parse import urljoin

from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage
from django.templatetags.static import static

from lingstream.conf import app_settings

__all__ = ["ENTRY", "MODULES", "client_url", "module_urls", "part_url"]

ENTRY = "lingstream/index.js"
BUNDLE = "lingstream/lingstream.min.js"

#: What ``index.js`` imports, directly or through others.
MODULES = (
    "attributes.js",
    "bindings.js",
    "bots.js",
    "changes.js",
    "client.js",
    "condition.js",
    "core.js",
    "each.js",
    "element.js",
    "fallback.js",
    "fold.js",
    "jsonuri.js",
    "keys.js",
    "kinds.js",
    "lifecycle.js",
    "order.js",
    "page.js",
    "places.js",
    "plain.js",
    "presence.js",
    "recipes.js",
    "record.js",
    "run.js",
    "scope.js",
    "session.js",
    "socket.js",
    "text.js",
    "view.js",
    "visitor.js",
    "watch.js",
)


def client_url() -> str:
    """Return where the page's one script is: ``index.js``, or one file that has all of it."""
    return static(BUNDLE if _is_bundle() else ENTRY)


def part_url(name: str) -> str:
    """Return where a part is that pages load only if they use it.

    :param name: such as ``markdown``.
    """
    return static(f"lingstream/{name}.min.js" if _is_bundle() else f"lingstream/{name}.js")


def module_urls() -> list[str]:
    """Return where a browser will ask for :data:`MODULES`; nothing where the client is one file.

    A storage that hashes names without rewriting the imports between modules serves the entry under a hashed
    name and the others under their plain ones: to name those hashed would load each of them twice.
    """
    if _is_bundle():
        return []
    if _imports_are_plain():
        return [urljoin(static(ENTRY), name) for name in MODULES]
    return [static(f"lingstream/{name}") for name in MODULES]


def _is_bundle() -> bool:
    chosen = app_settings().bundle
    return not settings.DEBUG if chosen is None else chosen


def _imports_are_plain() -> bool:
    # Asked by what it can do: isinstance() of the lazy storage asks the class of the storage inside.
    return isinstance(staticfiles_storage, HashedFilesMixin) and not getattr(
        staticfiles_storage, "support_js_module_import_aggregation", False
    )
