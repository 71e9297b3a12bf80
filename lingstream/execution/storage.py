"""Runs as rows: how one is found and shown to be somebody's, as plain functions; :mod:`.start` makes them.

Nothing here holds a connection while a model streams: a run writes when it starts, when a bot ends, a
checkpoint every few seconds, and when it ends (:mod:`.journal`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import connections

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_cancel, check_read
from lingstream.core.engine import kinds
from lingstream.core.engine.plan import Plan
from lingstream.core.exceptions import AccessError, LingError, NotFound
from lingstream.models import Provider, Run

from .nul import without_nul

__all__ = [
    "in_database",
    "load_identity",
    "load_run",
    "plan_of",
    "provider_kinds_in_use",
    "run_to_cancel",
    "run_to_read",
    "runs_to_read",
]

P = ParamSpec("P")
T = TypeVar("T")


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that uses the ORM for a request, in the request's thread; runs have :mod:`.lane`.

    :raises UsageError: ``bad-request``: text that the database does not take.
    """
    call: Callable[[], T] = partial(function, *args, **kwargs)
    return await sync_to_async(_with_connections)(call)


def provider_kinds_in_use() -> list[str]:
    """Return the kinds of the providers there are."""
    return list(Provider.objects.values_list("kind", flat=True).distinct())


def load_run(run_id: str | UUID) -> Run:
    """Return the run.

    :raises NotFound: there is none with this id.
    """
    found = _load_runs([run_id])
    if not found:
        raise _no_run(run_id)
    return next(iter(found.values()))


def run_to_read(run_id: str | UUID, identity: Identity, token: str | None = None) -> Run:
    """Return the run for somebody who wants to read it.

    :raises NotFound: there is none with this id.
    :raises AccessError: this identity may not read it.
    """
    run = load_run(run_id)
    check_read(run, identity, token)
    return run


def runs_to_read(asked: Sequence[tuple[str, str | None]], identity: Identity) -> list[Run | LingError]:
    """Return runs for somebody who wants to read them, or why one is refused, in one query.

    :param asked: ids and tokens.
    """
    found = _load_runs([name for name, _ in asked])
    return [_readable(found.get(name), name, identity, token) for name, token in asked]


def run_to_cancel(run_id: str | UUID, identity: Identity, token: str | None = None) -> Run:
    """Return the run for somebody who wants to cancel it; raises as :func:`run_to_read`."""
    run = load_run(run_id)
    check_cancel(run, identity, token)
    return run


def _load_runs(names: Sequence[str | UUID]) -> dict[str | UUID, Run]:
    """Return the runs there are, by what they were asked for as."""
    keys: dict[str | UUID, UUID] = {}
    for name in names:
        with suppress(ValueError):
            keys[name] = UUID(str(name))
    found = Run.objects.select_related("owner").defer("context").in_bulk(keys.values())
    return {name: found[key] for name, key in keys.items() if key in found}


def _readable(run: Run | None, name: str, identity: Identity, token: str | None) -> Run | LingError:
    if run is None:
        return _no_run(name)
    try:
        check_read(run, identity, token)
    except AccessError as fault:
        return fault
    return run


def _no_run(name: str | UUID) -> NotFound:
    return NotFound(f"there is no run {str(name)[:60]!r}")


def load_identity(run: Run) -> kinds.Identity:
    """Return who has started ``run``, for its steps; one query, and none for a run of nobody's."""
    user = "" if run.owner_id is None else str(run.owner_id)
    groups = _groups(run.owner_id) if user else ()
    return kinds.Identity(user, groups, run.scope, run.visitor or run.session_key)


def _groups(user_id: Any) -> tuple[str, ...]:
    """The names of a user's groups; a site's own user model need not have any."""
    model = get_user_model()
    try:
        if not model._meta.get_field("groups").many_to_many:
            return ()
    except FieldDoesNotExist:
        return ()
    return tuple(model(pk=user_id).groups.order_by("name").values_list("name", flat=True))


def _with_connections(call: Callable[[], T]) -> T:
    _close_old_connections()
    try:
        with without_nul():
            return call()
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    """As Django's, which would end the transaction of a caller that waits for this event loop inside one."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def plan_of(run: Run) -> Plan:
    """Return the plan that the run was started with."""
    return Plan.from_json(run.plan)
