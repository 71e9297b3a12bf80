"""Views of the site's own: one starts a run, one saves a note; the site has ATOMIC_REQUESTS."""

from __future__ import annotations

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

import lingstream
from lingstream.access.tokens import make_share
from tests.ordinary.accounts.models import Note


@require_POST
def ask(request: HttpRequest) -> JsonResponse:
    """Start a run for who asks; of a question that is no question nothing stays."""
    question = request.POST["question"]
    run = lingstream.start(
        "cloud-facts", {"question": question}, owner=request.user, session=request.session.session_key
    )
    if not question.endswith("?"):
        raise Http404
    return JsonResponse({"run": str(run.pk), "share": make_share(run.pk)})


@require_POST
def write(request: HttpRequest) -> JsonResponse:
    """Keep a note of who asks; of one that has no end nothing stays."""
    note = Note.objects.create(owner=request.user, text=request.POST["text"])
    if not note.text.endswith("."):
        raise Http404
    return JsonResponse({"note": note.pk})
