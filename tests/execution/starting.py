"""A site whose own views start runs."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

import lingstream
from lingstream.models import Run
from tests.site import QUESTION


class Changed(Exception):
    """The view has thought better of it."""


def _answer(run: Run) -> JsonResponse:
    return JsonResponse({"run": str(run.pk), "status": run.status})


@csrf_exempt
def sync(request: HttpRequest) -> JsonResponse:
    session = request.session.session_key
    return _answer(lingstream.start("test", QUESTION, owner=request.user, session=session))


@csrf_exempt
async def in_a_loop(request: HttpRequest) -> JsonResponse:
    user = await request.auser()
    session = request.session.session_key
    return _answer(await lingstream.astart("test", QUESTION, owner=user, session=session))


@csrf_exempt
def atomic(request: HttpRequest) -> JsonResponse:
    """Start a run and say how it was before the commit; with ``?fail`` there is none."""
    told: dict[str, Any] = {}
    try:
        with transaction.atomic():
            run = lingstream.start("test", QUESTION, owner=request.user)
            told = json.loads(_answer(run).content)
            told["inside"] = Run.objects.get(pk=run.pk).status
            if "fail" in request.GET:
                raise Changed
    except Changed:
        pass
    return JsonResponse(told)


urlpatterns = [
    path("sync/", sync),
    path("async/", in_a_loop),
    path("atomic/", atomic),
    path("ling/", include("lingstream.urls")),
]
