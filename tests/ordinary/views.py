"""A view of the site's own that starts a run; the site has ATOMIC_REQUESTS."""

from __future__ import annotations

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

import lingstream
from lingstream.access.tokens import make_share


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
