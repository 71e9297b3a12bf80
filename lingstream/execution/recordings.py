"""Runs as recordings: what rows have of a run, without what only its site may know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingstream.models import BotRun, Run
from lingstream.providers.recorded import Recording

__all__ = ["recording_of"]

_SAID = ("output", "reasoning", "usage", "error", "finish", "result")
_KNOWN = ("step", "kind", "root", "digest", "occurrence", "instance", "status", "messages", *_SAID)


def recording_of(run: Run) -> Recording:
    """Return the recording of a run that has ended, or of what there is of one that has not.

    A step whose text is not stored (it was running, or its process died) is not in it. Addresses, names of
    keys and options of providers are left out.
    """
    header = {
        "name": str(run.pk),
        "workflow": run.workflow,
        "status": run.status,
        "began": run.created_at.isoformat(),
        "input": run.input,
        "history": run.context or [],
        "plan": _without_addresses(run.plan),
        "document": run.document,
        "errors": run.errors,
    }
    return Recording(header, [_call(row) for row in run.bot_runs.order_by("pk")])


def _call(row: BotRun) -> dict[str, Any]:
    took = (row.finished_at - row.started_at).total_seconds() if row.finished_at else None
    return {**{name: getattr(row, name) for name in _KNOWN}, "first": row.first_token, "seconds": took}


def _without_addresses(value: Any, name: str = "") -> Any:
    """A plan in which each provider has its name and default model only."""
    if isinstance(value, Mapping):
        if name == "provider":
            return {"name": value.get("name", ""), "model": value.get("model", "")}
        return {key: _without_addresses(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_addresses(each, "provider" if name == "providers" else "") for each in value]
    return value
