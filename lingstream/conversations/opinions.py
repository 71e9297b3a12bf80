"""Feedback: what a person thinks of an answer, once for each field of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from lingstream.access.identity import Identity
from lingstream.access.permissions import check_feedback
from lingstream.core.document import jsonuri
from lingstream.core.exceptions import UsageError
from lingstream.execution.ownership import atomically
from lingstream.execution.storage import load_run
from lingstream.models import Feedback

from .turns import hold, touch

__all__ = ["give_feedback", "opinions_on"]

_LONGEST_REASON = 100  # as the column
_LONGEST_COMMENT = 10_000
_MOST = 100  # fields of one run


def give_feedback(
    run_id: str, identity: Identity, token: str | None, data: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Keep what somebody thinks of a run, in place of what he said before; a value of 0 takes it back.

    :param data: ``value``, and perhaps ``uri``, ``reason``, ``comment``.
    :returns: what is kept.
    :raises UsageError: ``data`` of another shape, or about too many fields.
    :raises AccessError: the run is somebody else's.
    """
    run = load_run(run_id)
    check_feedback(run, identity, token)
    value, uri = data.get("value"), data.get("uri", "")
    if not isinstance(value, int) or isinstance(value, bool) or value not in (-1, 0, 1):
        raise UsageError(f"expected value to be 1, -1, or 0 to take it back, got {value!r:.40}")
    if not isinstance(uri, str):
        raise UsageError(f"expected uri to be a string, got {type(uri).__name__}")
    jsonuri.split(uri)
    about: dict[str, Any] = {
        "run": run,
        "owner_key": identity.owner_key,
        "uri_digest": Feedback.digest_of(uri),
    }
    words = {"reason": _text(data, "reason", _LONGEST_REASON)}
    words["comment"] = _text(data, "comment", _LONGEST_COMMENT)
    with atomically():
        if run.conversation_id:
            touch(hold([run.conversation_id]))
        if not value:
            Feedback.objects.filter(**about).delete()
            return None
        theirs = Feedback.objects.filter(run=run, owner_key=identity.owner_key)
        if theirs.exclude(uri_digest=about["uri_digest"]).count() >= _MOST:
            raise UsageError(f"expected feedback on up to {_MOST} fields of a run", code="too-many")
        columns = {**words, "value": value, "uri": uri, **identity.owned}
        row, _ = Feedback.objects.update_or_create(**about, defaults=columns)
    return _shown(row)


def opinions_on(runs: Collection[UUID], identity: Identity) -> Mapping[UUID, list[dict[str, Any]]]:
    """Return what this person thinks of these runs; one query."""
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    rows = Feedback.objects.filter(run__in=runs, owner_key__in=identity.owner_keys)
    for row in rows.order_by("created_at"):
        found[row.run_id].append(_shown(row))
    return found


def _shown(row: Feedback) -> dict[str, Any]:
    return {"uri": row.uri, "value": row.value, "reason": row.reason, "comment": row.comment}


def _text(data: Mapping[str, Any], name: str, longest: int) -> str:
    text = data.get(name, "")
    if not isinstance(text, str) or len(text) > longest or "\x00" in text:
        raise UsageError(f"expected {name} to be up to {longest} characters, got {text!r:.80}")
    return text
