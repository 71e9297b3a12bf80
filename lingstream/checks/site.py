"""System checks of what is around us: the server, the database, other apps.

===================  =====================================================================
``lingstream.E005``  ``SOCKET_PATH`` is no path
``lingstream.E006``  ``DEAD_AFTER`` is not well above ``HEARTBEAT_EVERY``
``lingstream.W002``  ``channels`` is not installed: no WebSocket
``lingstream.W003``  the site is not served by ASGI
``lingstream.W006``  several web processes with logs in memory
``lingstream.W007``  ``CONN_MAX_AGE`` under ASGI
``lingstream.W008``  ``DEAD_AFTER`` is below the time for which SQLite may keep a heartbeat waiting
``lingstream.W009``  django-eventstream: everybody reads every channel, or hears everything several times
``lingstream.W013``  a pool of connections that the runner's own threads could empty
``lingstream.W014``  nobody executes the runs that the site's own code starts
``lingstream.W020``  SQLite's transactions that read before they write fail beside another writer
===================  =====================================================================

W006 knows the number of processes from the environment; with ``check --database`` it counts those that live,
and a process that finds others beside it logs the same (:mod:`lingstream.execution.processes`). W014 looks at
the site's ASGI module, and with ``check --database`` for a worker that lives.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.management import get_commands
from django.db import DatabaseError, connections, router
from django.utils.module_loading import import_string

from lingstream.conf import app_settings

from .settings import register

__all__ = [
    "check_connections",
    "check_eventstream",
    "check_heartbeat",
    "check_neighbours",
    "check_pool",
    "check_processes",
    "check_runner",
    "check_server",
    "check_socket_path",
    "check_sqlite",
    "check_workers",
]

_RUNNERS = 4  # connections of a runner: the heart's, the journal's and two of the lane
_POOL = 8  # that many again for requests
_WSGI_SERVERS = ("django.core", "django.contrib.staticfiles")


@register()
def check_server(**kwargs: Any) -> list[CheckMessage]:
    """ASGI and channels."""
    found: list[CheckMessage] = []
    if not apps.is_installed("channels"):
        hint = "Add it to INSTALLED_APPS, or serve SSE only and silence this check."
        found.append(Warning("channels is not installed: no WebSocket.", hint=hint, id="lingstream.W002"))
    if not getattr(settings, "ASGI_APPLICATION", None):
        hint = "Streams need ASGI: ASGI_APPLICATION = 'mysite.asgi.application', see lingstream.asgi."
        found.append(Warning("ASGI_APPLICATION is not set.", hint=hint, id="lingstream.W003"))
    elif "runserver" in sys.argv[1:2] and get_commands().get("runserver") in _WSGI_SERVERS:
        hint = "Put 'daphne' first in INSTALLED_APPS, or start uvicorn; WSGI calls are refused with 501."
        found.append(Warning("This runserver serves WSGI.", hint=hint, id="lingstream.W003"))
    return found


@register()
def check_socket_path(**kwargs: Any) -> list[CheckMessage]:
    """The path of the WebSocket."""
    path = app_settings().socket_path
    if not isinstance(path, str) or re.fullmatch(r"/?[^/\s?#:<>]+(/[^/\s?#:<>]+)*/?", path):
        return []
    message = f"LINGSTREAM['SOCKET_PATH']: expected a path like 'ws/ling/', got {path!r}."
    return [Error(message, id="lingstream.E005")]


@register()
def check_processes(**kwargs: Any) -> list[CheckMessage]:
    """Several processes need a hub that they share: as the environment says how many there are."""
    return [_several()] if _workers_by_environment() > 1 and _memory_only() else []


@register(Tags.database)
def check_neighbours(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The same, as the database says who lives."""
    if not _memory_only() or _workers_by_environment() > 1:
        return []
    return [_several()] if any(map(_has_neighbours, databases or ())) else []


@register()
def check_runner(**kwargs: Any) -> list[CheckMessage]:
    """What brings the runner of a web process to life; only the site's ASGI module knows, see W010."""
    from lingstream.asgi import is_used
    from lingstream.transports.stream import Streams

    try:
        import_string(getattr(settings, "ASGI_APPLICATION", None) or "")
    except Exception:
        return []  # as for W010, which also tells of one that uses nothing of ours
    if app_settings().execution != "inline" or is_used() or not Streams.made:
        return []
    return [_nobody("Nothing brings the runner of a web process to life before a page starts a run")]


@register(Tags.database)
def check_workers(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether a worker lives, where workers execute the runs."""
    from lingstream.models import Runner

    given = app_settings()
    ours = router.db_for_write(Runner)
    if given.execution != "worker" or ours not in (databases or ()) or _has_worker(ours):
        return []
    return [_nobody(f"No worker has said within {given.dead_after:g} s that it lives")]


@register()
def check_connections(**kwargs: Any) -> list[CheckMessage]:
    """Persistent connections belong to threads, and under ASGI threads come and go."""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    hint = "Set it to 0; with PostgreSQL, OPTIONS['pool'] keeps connections for all threads."
    return [
        Warning(
            f"DATABASES[{alias!r}]: CONN_MAX_AGE = {connection['CONN_MAX_AGE']!r} under ASGI leaves a "
            "connection behind in each thread that a request used.",
            hint=hint,
            id="lingstream.W007",
        )
        for alias, connection in connections.settings.items()
        if connection["CONN_MAX_AGE"] != 0
    ]


@register()
def check_sqlite(**kwargs: Any) -> list[CheckMessage]:
    """A heartbeat may wait for SQLite's lock; its process must not be taken for dead meanwhile."""
    from lingstream.models import Runner

    connection = connections[router.db_for_write(Runner)]
    given = app_settings()
    if connection.vendor != "sqlite" or not all(
        isinstance(value, (int, float)) for value in (given.dead_after, given.heartbeat_every)
    ):
        return []
    waits = connection.settings_dict["OPTIONS"].get("timeout", 5.0)  # what Python's sqlite3 waits
    silent = waits + given.heartbeat_every
    if given.dead_after >= silent:
        return []
    message = (
        f"LINGSTREAM['DEAD_AFTER'] = {given.dead_after:g}: a process that waits for SQLite's lock "
        f"({waits:g} s) may be silent for {silent:g} s, and is taken for dead."
    )
    hint = "Set DEAD_AFTER above that, or DATABASES[…]['OPTIONS']['timeout'] below."
    return [Warning(message, hint=hint, id="lingstream.W008")]


@register()
def check_transactions(**kwargs: Any) -> list[CheckMessage]:
    """What has read cannot wait for SQLite's lock any more: it is refused at once, whatever its time-out."""
    from lingstream.models import Run

    alias = router.db_for_write(Run)
    given = connections[alias].settings_dict["OPTIONS"].get("transaction_mode") or "DEFERRED"
    if connections[alias].vendor != "sqlite" or given.upper() != "DEFERRED":
        return []
    message = (
        f"DATABASES[{alias!r}]: a transaction of SQLite's that reads before it writes fails with "
        '"database is locked" where another one writes meanwhile.'
    )
    hint = f'Set DATABASES[{alias!r}]["OPTIONS"]["transaction_mode"] = "IMMEDIATE".'
    return [Warning(message, hint=hint, id="lingstream.W020")]


@register()
def check_pool(**kwargs: Any) -> list[CheckMessage]:
    """A pool of connections that the runner's own threads could empty."""
    from lingstream.models import Run

    pool = connections[router.db_for_write(Run)].settings_dict["OPTIONS"].get("pool")
    if not pool:
        return []
    sizes = pool if isinstance(pool, Mapping) else {}
    size = sizes.get("max_size") or sizes.get("min_size", 4)  # as psycopg's pool reads them
    if size >= _POOL:
        return []
    message = (
        f"The pool of the database has {size} connections, and a process that executes runs takes up to "
        f"{_RUNNERS} of them at the same time: requests wait."
    )
    hint = f"Set DATABASES[…]['OPTIONS']['pool'] = {{'max_size': …}} to {_POOL} or more."
    return [Warning(message, hint=hint, id="lingstream.W013")]


@register()
def check_heartbeat(**kwargs: Any) -> list[CheckMessage]:
    """Who beats too seldom is never steady, and then nobody takes over what a dead process left."""
    given = app_settings()
    numbers = (given.dead_after, given.heartbeat_every)
    if not all(isinstance(value, (int, float)) for value in numbers) or numbers[0] >= 3 * numbers[1]:
        return []
    message = (
        f"LINGSTREAM['DEAD_AFTER'] = {given.dead_after:g}: expected at least three times HEARTBEAT_EVERY, "
        f"which is {given.heartbeat_every:g}."
    )
    return [Error(message, id="lingstream.E006")]


@register(Tags.security)
def check_eventstream(**kwargs: Any) -> list[CheckMessage]:
    """What django-eventstream does unless told otherwise, where it is installed."""
    return list(_eventstream()) if apps.is_installed("django_eventstream") else []


def _eventstream() -> Iterator[CheckMessage]:
    if _everybody_reads(getattr(settings, "EVENTSTREAM_CHANNELMANAGER_CLASS", None)):
        yield Warning(
            "django-eventstream lets everybody read every channel.",
            hint="Set EVENTSTREAM_CHANNELMANAGER_CLASS to a manager whose can_read_channel asks who reads; "
            "inherit lingstream.transports.eventstream.NoticeChannels.",
            id="lingstream.W009",
        )
    if hasattr(settings, "EVENTSTREAM_REDIS"):
        yield Warning(
            "EVENTSTREAM_REDIS is set: notices reach each process by the hub, and each sends them to all of "
            "them again. Its listener does not come back after Redis was away, its channel is every site's.",
            hint="Leave it out, unless the site's own events need it.",
            id="lingstream.W009",
        )


def _memory_only() -> bool:
    from lingstream.execution.processes import memory_only

    return memory_only()


def _several() -> CheckMessage:
    from lingstream.execution.processes import UNREACHED

    hint = "Set LINGSTREAM['HUB'] to one that processes share (docs/operations.md), or start one process."
    return Warning(UNREACHED, hint=hint, id="lingstream.W006")


def _nobody(why: str) -> CheckMessage:
    hint = "Use lingstream.asgi.application in the site's ASGI module"
    if app_settings().execution == "worker":
        hint = "Start manage.py ling_worker"
    message = f"{why}: lingstream.start() is refused as `no-runner`."
    return Warning(message, hint=f"{hint} (docs/operations.md).", id="lingstream.W014")


def _everybody_reads(manager: Any) -> bool:
    default = import_string("django_eventstream.channelmanager.DefaultChannelManager")
    try:
        chosen = import_string(manager) if isinstance(manager, str) else default
    except ImportError:
        return False  # it says so itself
    return getattr(chosen, "can_read_channel", None) is default.can_read_channel


def _workers_by_environment() -> int:
    """What uvicorn and gunicorn read there."""
    wanted = [os.environ.get("WEB_CONCURRENCY", "")]
    try:
        arguments = shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))
    except ValueError:
        arguments = []  # gunicorn says so itself
    for place, argument in enumerate(arguments):
        if found := re.fullmatch(r"(?:-w|--workers)=?(\d*)", argument):
            wanted.append(found[1] or "".join(arguments[place + 1 : place + 2]))
    return max(int(text) if text.isdecimal() else 1 for text in wanted)


def _has_neighbours(alias: str) -> bool:
    from lingstream.execution.ownership import living_web_processes

    try:
        return _has_runners(alias) and living_web_processes(app_settings().dead_after, alias) > 1
    except DatabaseError:
        return False  # not migrated yet, which is another check's matter


def _has_worker(alias: str) -> bool:
    from lingstream.execution.ownership import anybody_executes

    try:
        return not _has_runners(alias) or anybody_executes("worker", app_settings().dead_after, alias)
    except DatabaseError:
        return True  # as above


def _has_runners(alias: str) -> bool:
    from lingstream.models import Runner

    return Runner._meta.db_table in connections[alias].introspection.table_names()
