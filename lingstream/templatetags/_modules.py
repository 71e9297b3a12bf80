"""Where the client's modules are served, so that a page can name them before one asks for the next."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urljoin

from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage
from django.templatetags.static import static

from lingstream.conf import app_settings

__all__ = ["ENTRY", "MODULES", "PARTS", "client_url", "module_urls", "part_url", "parts_for"]

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

#: What is loaded where a page has something for it, and what that imports beside :data:`MODULES`.
PARTS: dict[str, tuple[str, ...]] = {
    "rare": ("around.js", "formats.js", "html.js", "nodes.js", "properties.js", "prose.js", "values.js"),
    "markdown": (
        "copying.js",
        "markdown-nodes.js",
        "markdown-parser.js",
        "nodes.js",
        "vendor/streaming-markdown/smd.js",
    ),
    "cite": ("around.js",),
    "forms": (),
}

#: By what a page's markup says, ``data-ling-<name>`` or ``form[data-ling-start]``: the parts that it needs.
_NEEDS = {
    **dict.fromkeys(("attr", "class", "format", "html", "prop"), ("rare",)),
    "markdown": ("rare", "markdown"),
    "cite": ("rare", "cite"),
    "form": ("forms",),
}


def parts_for(uses: Iterable[str]) -> list[str]:
    """Return the :data:`PARTS` that are loaded for what a page uses, in the order of that.

    :raises ValueError: nothing is known under one of the names.
    """
    if unknown := [name for name in uses if name not in _NEEDS]:
        raise ValueError(f"expected names among {', '.join(_NEEDS)}, got {', '.join(unknown)}")
    return list(dict.fromkeys(part for name in uses for part in _NEEDS[name]))


def client_url() -> str:
    """Return where the page's one script is: ``index.js``, or one file that has all of it."""
    return static(BUNDLE if _is_bundle() else ENTRY)


def part_url(name: str) -> str:
    """Return where a part is that pages load only if they use it.

    :param name: such as ``markdown``.
    """
    return static(f"lingstream/{name}.min.js" if _is_bundle() else f"lingstream/{name}.js")


def module_urls(parts: Iterable[str] = ()) -> list[str]:
    """Return where a browser will ask for what the page's one script imports, and for some :data:`PARTS`.

    A storage that hashes names without rewriting the imports between modules serves the entry under a hashed
    name and the others under their plain ones: to name those hashed would load each of them twice.
    """
    if _is_bundle():
        names = [f"{part}.min.js" for part in parts]
    else:
        names = [*MODULES, *dict.fromkeys(name for part in parts for name in (f"{part}.js", *PARTS[part]))]
    if _imports_are_plain():
        return [urljoin(client_url(), name) for name in names]
    return [static(f"lingstream/{name}") for name in names]


def _is_bundle() -> bool:
    chosen = app_settings().bundle
    return not settings.DEBUG if chosen is None else chosen


def _imports_are_plain() -> bool:
    # Asked by what it can do: isinstance() of the lazy storage asks the class of the storage inside.
    return isinstance(staticfiles_storage, HashedFilesMixin) and not getattr(
        staticfiles_storage, "support_js_module_import_aggregation", False
    )
