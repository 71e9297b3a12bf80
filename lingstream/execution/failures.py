"""The one log record of a run that failed: who watches the log need not watch the admin."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lingstream.models import Run

__all__ = ["report"]

logger = logging.getLogger("lingstream.runs")

#: What a model did, or a limit on it: to be looked at where it gathers. All else wants a person, unless the
#: same call may succeed later.
_EXPECTED = frozenset({"limit", "no-json", "parse-limit", "schema"})
_LONGEST = 500


def report(run: Run, status: str, errors: Sequence[Mapping[str, Any]]) -> None:
    """Write the record of a run that ended as ``status``, ``failed`` or ``lost``; of a trial there is none.

    :param errors: the bodies of its error frames, the one that decided first.
    """
    if run.trial:
        return  # who tries something looks at it
    error: Mapping[str, Any] = errors[0] if errors else {}
    code, message = error.get("code", "internal"), _line(error.get("message", "no error was kept"))
    step = str(error.get("bot", "")).rpartition("#")[0]
    level = logging.WARNING if error.get("retryable") or code in _EXPECTED else logging.ERROR
    logger.log(
        level,
        "run %s of %s %s%s: %s: %s%s",
        run.pk,
        run.workflow,
        status,
        f" at the step {step}" if step else "",
        code,
        message,
        f" (and {len(errors) - 1} more)" if len(errors) > 1 else "",
        extra={"run": str(run.pk), "workflow": run.workflow, "step": step, "code": code},
    )


def _line(text: str) -> str:
    """``text`` on one line: a model server's words do not write records of their own."""
    line = "".join(char if char.isprintable() else " " for char in text[: _LONGEST + 1])
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
