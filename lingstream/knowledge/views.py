"""What pages ask of knowledge by HTTP."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from lingstream.execution.storage import in_database, run_to_read
from lingstream.models import Run
from lingstream.transports.requests import answer_json, api, identity_of, token_of

from .models import Citation

__all__ = ["citations"]


@api("GET", "HEAD")
async def citations(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """Return the uris of a run's citations whose documents have changed since, for who may read the run."""
    run = await in_database(run_to_read, run_id, await identity_of(request), token_of(request))
    return answer_json({"run": str(run.pk), "stale": await in_database(_stale, run)})


def _stale(run: Run) -> list[str]:
    return Citation.objects.places([run.pk])[run.pk]
