"""What a run needs of the process that executes it: a version of plans, kinds of steps, its function.

While a site is being deployed, old processes meet runs of new ones. They leave those to who can execute them;
only a run that nobody could for an hour is taken by anybody, and fails with what is missing.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q

from lingstream.core.engine.kinds import step_kinds
from lingstream.core.engine.plan import VERSION, Plan
from lingstream.core.engine.registry import registered
from lingstream.models.clock import Now

__all__ = ["learn", "met", "needs_of"]

logger = logging.getLogger("lingstream")

_FUNCTION = "@"  # before the slug of a workflow in Python
_FOR = timedelta(hours=1)

_strange: set[str] = set()
"""What was met here and not known. A database cannot tell whether a set is part of another one, and there are
few different ones: so each is judged once, here, and named in the query from then on."""


def needs_of(plan: Plan) -> str:
    """Return what a plan needs beside bots, as the column ``kinds`` has it: words between spaces."""
    functions = {_FUNCTION + each.workflow for each in (plan, *plan.workflows.values()) if each.python}
    return " ".join(sorted((plan.kinds - {"bot"}) | functions))


def met() -> Q:
    """Return the condition that this process has what a run needs, as far as it has met such runs."""
    _strange.difference_update([needs for needs in _strange if _knows(needs)])
    known = Q(plan_version__lte=VERSION) & ~Q(kinds__in=sorted(_strange))
    return known | Q(created_at__lt=Now() - _FOR)


def learn(needs: set[str]) -> bool:
    """Look at what runs need; return whether some of it is strange and was not met before."""
    new = {each for each in needs - _strange if not _knows(each)}
    for each in sorted(new):
        logger.warning("runs wait for a process that knows %s; this one does not", each)
    _strange.update(new)
    return bool(new)


def _knows(needs: str) -> bool:
    return all(
        word[1:] in registered() if word.startswith(_FUNCTION) else word in step_kinds()
        for word in needs.split()
    )
