"""System checks: configuration faults are found at start, each with an id.

===================  =====================================================================
``lingstream.E001``  ``LINGSTREAM`` has an unknown name, or a value of the wrong type or out of bounds
``lingstream.E002``  a dotted path in ``LINGSTREAM`` that cannot be imported, or names no function
``lingstream.E003``  an address in ``LINGSTREAM["PROVIDER_KEYS"]`` that admits nothing
``lingstream.E004``  ``EXECUTION`` is none that there is, or ``worker`` with a hub that processes do not share
``lingstream.W001``  a key that a provider uses is not in the environment
``lingstream.W004``  the default provider does not exist
``lingstream.W005``  a provider row names a key that is not listed, or an address it may not go to
``lingstream.W010``  streams go through Django's handler: a thread for each viewer
``lingstream.W012``  there is no provider, so no bot can be asked
===================  =====================================================================

W001, W004, W005 and W012 read the database, so they run with ``check --database default`` and with
``migrate``. They are warnings because an error would stop ``migrate``, and nothing is leaked meanwhile: a key
that may not go somewhere is refused at each call. :mod:`lingstream.checks.site` has the checks of the server,
the database and other apps.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, TypeAlias

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from lingstream.conf import BOUNDS, LingstreamSettings, app_settings
from lingstream.core.exceptions import UsageError
from lingstream.hubs import shared_by_class

__all__ = [
    "check_addresses",
    "check_execution",
    "check_paths",
    "check_providers",
    "check_settings",
    "check_streams",
    "register",
]

Check: TypeAlias = Callable[..., list[CheckMessage]]

_PATHS = ("hub", "scope", "broker", "throttle", "choose_version", "memory")
_FUNCTIONS = ("SCOPE", "CHOOSE_VERSION", "SCRIPTS[")


@checks.register()
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Names, types and bounds of ``LINGSTREAM``."""
    given = getattr(settings, "LINGSTREAM", {})
    if not isinstance(given, Mapping):
        return [Error(f"LINGSTREAM: expected a dict, got {type(given).__name__}.", id="lingstream.E001")]
    types_ = typing.get_type_hints(LingstreamSettings)
    known = {name.upper(): hint for name, hint in types_.items()}
    found: list[CheckMessage] = []
    for name, value in given.items():
        if name not in known:
            hint = "Known are " + ", ".join(sorted(known)) + "."
            found.append(Error(f"LINGSTREAM has no setting {name!r}.", hint=hint, id="lingstream.E001"))
        elif not _fits(value, known[name]):
            expected = getattr(known[name], "__name__", str(known[name]))
            message = f"LINGSTREAM[{name!r}]: expected {expected}, got {value!r}."
            found.append(Error(message, id="lingstream.E001"))
        elif (bounds := BOUNDS.get(name.lower())) and not bounds.admit(value):
            message = f"LINGSTREAM[{name!r}]: expected {known[name].__name__} {bounds}, got {value!r}."
            found.append(Error(message, id="lingstream.E001"))
    return found


@checks.register()
def check_paths(**kwargs: Any) -> list[CheckMessage]:
    """Dotted paths: the hub, the broker, provider kinds, scripts, and functions of the site."""
    given = app_settings()
    paths = {name.upper(): getattr(given, name) for name in _PATHS}
    if isinstance(given.provider_kinds, Mapping):
        paths |= {f"PROVIDER_KINDS[{kind!r}]": path for kind, path in given.provider_kinds.items()}
    if isinstance(given.scripts, Mapping):
        paths |= {f"SCRIPTS[{name!r}]": path for name, path in given.scripts.items()}
    for name, listed in {"OBSERVERS": given.observers, "STEP_KINDS": given.step_kinds}.items():
        if isinstance(listed, (list, tuple)):
            paths |= {f"{name}[{number}]": path for number, path in enumerate(listed)}
    found: list[CheckMessage] = []
    for name, path in paths.items():
        if not path or not isinstance(path, str):
            continue
        try:
            named = import_string(path)
        except (ImportError, ValueError) as error:
            found.append(Error(f"LINGSTREAM {name}: cannot import {path!r}: {error}", id="lingstream.E002"))
            continue
        if name.startswith(_FUNCTIONS) and not callable(named):
            message = f"LINGSTREAM {name}: expected a function, got {path!r}, a {type(named).__name__}."
            found.append(Error(message, id="lingstream.E002"))
    return found


def register(*tags: str) -> Callable[[Check], Check]:
    """Register a check as Django does, of settings whose types and paths are as they are to be.

    What it cannot work with, as a setting is something else, is told by these (E001, E002).
    """

    def registered(check: Check) -> Check:
        @wraps(check)
        def run(**kwargs: Any) -> list[CheckMessage]:
            try:
                return check(**kwargs)
            except Exception:
                if check_settings() or check_paths():
                    return []
                raise

        return checks.register(*tags)(run)

    return registered


@register()
def check_execution(**kwargs: Any) -> list[CheckMessage]:
    """Who executes runs, and whether their viewers can hear of it."""
    given = app_settings()
    if given.execution not in ("inline", "worker"):
        message = f"LINGSTREAM['EXECUTION']: expected 'inline' or 'worker', got {given.execution!r}."
        return [Error(message, id="lingstream.E004")]
    if given.execution == "worker" and shared_by_class() is False:
        message = (
            "LINGSTREAM['EXECUTION'] = 'worker' needs a hub that processes share, or nobody sees anything."
        )
        hint = "Set LINGSTREAM['HUB'] = 'lingstream.hubs.redis.RedisHub' and its HUB_OPTIONS."
        return [Error(message, hint=hint, id="lingstream.E004")]
    return []


@register(Tags.security)
def check_addresses(**kwargs: Any) -> list[CheckMessage]:
    """Addresses to which keys may go."""
    from lingstream.providers.policy import admits

    keys = app_settings().provider_keys
    if not isinstance(keys, Mapping):
        return []
    return [
        Error(
            f"LINGSTREAM['PROVIDER_KEYS'][{name!r}]: {prefix!r} admits nothing.",
            hint="Expected an address like https://api.example.com/v1, without user, query and '..'.",
            id="lingstream.E003",
        )
        for name, prefixes in keys.items()
        if isinstance(prefixes, Sequence) and not isinstance(prefixes, str)
        for prefix in prefixes
        if not isinstance(prefix, str) or not admits(prefix, prefix)
    ]


@register()
def check_streams(**kwargs: Any) -> list[CheckMessage]:
    """What sends the streams: only the site's ASGI module knows, so it is imported."""
    from lingstream.transports.stream import Streams

    path = getattr(settings, "ASGI_APPLICATION", None) or ""
    try:
        import_string(path)
    except Exception:
        return []  # W003 says that there is none, and the server what is wrong with it
    if Streams.made:
        return []
    hint = (
        "Wrap Django's application: lingstream.asgi.application(get_asgi_application()) does, or "
        "lingstream.transports.stream.Streams(get_asgi_application()) in a router of your own."
    )
    message = (
        f"{path} does not use lingstream.transports.stream.Streams: each viewer of SSE or JSONL holds a "
        "thread, and with CONN_MAX_AGE a database connection."
    )
    return [Warning(message, hint=hint, id="lingstream.W010")]


@register(Tags.database)
def check_providers(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Provider rows against the keys that the site lists; runs with ``check --database`` and on migrate."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        found += _check_rows(alias)
    return found


def _check_rows(alias: str) -> Iterator[CheckMessage]:
    from lingstream.models import Provider
    from lingstream.providers import kind_of
    from lingstream.providers.policy import check_provider

    try:
        if Provider._meta.db_table not in connections[alias].introspection.table_names():
            return
        rows = list(Provider.objects.using(alias))
    except DatabaseError:
        return  # not migrated yet, which is another check's matter
    default = app_settings().default_provider
    if not rows:
        hint = (
            "Add one in the admin under Providers (kind, base URL, key name, default model); one called "
            f"{default!r} serves all steps and Python bots that name none."
        )
        yield Warning("There is no provider, so no bot can be asked.", hint=hint, id="lingstream.W012")
    if rows and default not in {row.name for row in rows}:
        hint = "Steps and Python bots that name no provider fail; set LINGSTREAM['DEFAULT_PROVIDER']."
        yield Warning(f"There is no provider {default!r}.", hint=hint, id="lingstream.W004")
    for row in rows:
        try:
            check_provider(row.to_plan())
        except UsageError as error:
            yield Warning(f"{error.message}.", obj=row, id="lingstream.W005")
            continue
        if (
            kind_of(row.kind, app_settings().provider_kinds).remote
            and row.key_name
            and not os.environ.get(row.key_name)
        ):
            message = f"The environment variable {row.key_name} of the provider {row.name!r} is not set."
            yield Warning(message, obj=row, id="lingstream.W001")


def _fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is of the type that a setting's annotation names."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, item) for item in arguments)
    if origin is Callable or hint is Callable:
        return callable(value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        key, item = arguments
        return isinstance(value, Mapping) and all(_fits(k, key) and _fits(v, item) for k, v in value.items())
    if origin in (list, tuple) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return isinstance(value, (list, tuple)) and all(_fits(item, arguments[0]) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)
