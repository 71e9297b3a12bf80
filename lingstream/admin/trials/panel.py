"""What the panel “Try it” is drawn from: choices, addresses and words."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from ...models import Provider

__all__ = ["ACTS", "panel"]

#: Who may let steps act on the world.
ACTS = "lingstream.change_workflow"
_ANY = UUID(int=0)  # stands for a run in addresses, which the script puts in its place


def panel(request: HttpRequest, page: dict[str, Any]) -> dict[str, Any]:
    """Return what the template and the script of the panel need.

    :param page: what the page knows of its row: ``start``, ``workflow``, ``versions``, ``examples``
        and so on; ``beside`` is the version that the second column begins with.
    """
    may = request.user.has_perm
    rights = {
        "act": may(ACTS),
        "inputs": may("lingstream.view_run"),
        "keep": may("lingstream.add_example"),
        **page.pop("may", {}),
    }
    data = {
        **page,
        "may": rights,
        "trial": reverse("admin:lingstream_trial", args=[_ANY]),
        "again": reverse("admin:lingstream_trial_again", args=[_ANY]),
        "inputs": reverse("admin:lingstream_trial_inputs"),
        "keep": reverse("admin:lingstream_trial_examples"),
        "words": _words(),
    }
    return {
        "data": data,
        "may": rights,
        "versions": page["versions"],
        "beside": page.get("beside", ""),
        "targets": page.get("targets", ()),
        "steps": page.get("steps", False),
        "providers": list(Provider.objects.order_by("name").values_list("name", "default_model")),
        "sides": [("a", _("A")), ("b", _("B"))],
    }


def _words() -> dict[str, str]:
    """What the script says; each ``{name}`` is replaced by it."""
    return {
        "byHand": _("by hand"),
        "examples": _("Examples"),
        "realInputs": _("Inputs of real runs"),
        "asJson": _("Input, as JSON"),
        "notJson": _("This is not JSON."),
        "allSteps": _("all bots"),
        "starting": _("starting"),
        "queued": _("queued"),
        "running": _("running"),
        "finished": _("finished"),
        "failed": _("failed"),
        "canceled": _("canceled"),
        "lost": _("lost"),
        "notStarted": _("not started: see what is wrong"),
        "refused": _("The server did not answer ({status})."),
        "away": _("The server cannot be reached."),
        "firstToken": _("first token after {seconds} s"),
        "took": _("{seconds} s in all"),
        "tokens": _("{asked} + {said} tokens"),
        "speed": _("{number} tokens/s"),
        "repair": _("{number} repair"),
        "repairs": _("{number} repairs"),
        "document": _("Document"),
        "empty": _("nothing yet"),
        "more": _("… and more than is shown here."),
        "fixed": _("corrected"),
        "repaired": _("repaired: {kind}"),
        "cut": _("cut off"),
        "steps": _("Steps"),
        "bar": _("{step}: queued for {queued} s, first token after {first} s, last after {last} s"),
        "barStored": _("{step}: queued for {queued} s, ended after {last} s"),
        "messages": _("Messages"),
        "reasoning": _("Reasoning"),
        "raw": _("Raw text"),
        "request": _("Request"),
        "withheld": _("Not done, as this is a trial: this is what would have been asked"),
        "repairList": _("Repairs"),
        "events": _("Events"),
        "errors": _("Errors"),
        "makeDraft": _("Make this the draft"),
        "publish": _("Publish this"),
        "unsaved": _("What you have changed in the form is not saved, and will be lost."),
        "kept": _("Kept as an example."),
        "input": _("Input"),
        "equal": _("Equal?"),
        "yes": _("yes"),
        "no": _("no"),
        "repairsColumn": _("Repairs"),
        "timeColumn": _("Time"),
        "tokensColumn": _("Tokens"),
        "noInputs": _("There is no real run of this workflow yet."),
        "progress": _("{done} of {all}"),
        "shownAt": _("Go to the field"),
    }
