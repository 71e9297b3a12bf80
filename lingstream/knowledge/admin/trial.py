"""A search that is tried: what it finds for somebody, by what, and what it does not find and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from lingstream.access.identity import Identity
from lingstream.core.exceptions import LingError
from lingstream.models.phrases import translated

from ..answering import asked_of_model
from ..candidates import Weights, weights_of
from ..hits import Hit
from ..models import Collection, Document
from ..registry import is_restricted
from ..rerank import rerankers
from ..search import MODES, search

__all__ = ["TrialForm", "asks_for_others", "find_user", "tried"]


#: Why a passage is not among the hits that who asks may see all the same.
_BEHIND = ("rank", "budget")
_CHAT = "docs-chat"


def asks_for_others(request: HttpRequest) -> bool:
    """Whether somebody may learn what others find: who may change collections, and so who searches them."""
    return request.user.has_perm("lingstream_knowledge.change_collection")


def find_user(name: str) -> Any:
    """Return the user of that name, nobody for an empty one.

    :raises ValidationError: there is none.
    """
    if not name:
        return AnonymousUser()
    model = get_user_model()
    try:
        return model._default_manager.get_by_natural_key(name)
    except model.DoesNotExist:
        raise forms.ValidationError(
            _("Expected the name of a user, got %(name)s.") % {"name": name}
        ) from None


class TrialForm(forms.Form):
    """What is asked, by whom, and how it is searched."""

    question = forms.CharField(
        label=_("Question"), max_length=4_000, widget=forms.TextInput(attrs={"class": "vTextField"})
    )
    who = forms.CharField(
        label=_("As"), max_length=150, required=False, help_text=_("A user's name; empty: a visitor.")
    )
    scope = forms.CharField(label=_("In the scope"), max_length=200, required=False)
    mode = forms.ChoiceField(label=_("Mode"), choices=[(mode, mode) for mode in MODES], required=False)
    words = forms.FloatField(label=_("Weight of words"), min_value=0, max_value=100, required=False)
    vectors = forms.FloatField(label=_("Weight of vectors"), min_value=0, max_value=100, required=False)
    rerank = forms.ChoiceField(label=_("Reranker"), required=False)
    k = forms.IntegerField(label=_("Passages"), min_value=1, max_value=50, required=False)

    def __init__(self, collection: Collection, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._weights = weights_of(collection)
        for name, weight in self._weights._asdict().items():
            self.fields[name].widget.attrs["placeholder"] = f"{weight:g}"
        names = sorted(rerankers())
        self.fields["rerank"].choices = [("", "-"), *((name, name) for name in names)]  # type: ignore[attr-defined]
        if not names:
            del self.fields["rerank"]

    def clean_who(self) -> Any:
        """The user."""
        return find_user(self.cleaned_data["who"])

    @property
    def weights(self) -> Weights:
        """Those that were given, and the collection's own for the others."""
        given = {name: self.cleaned_data[name] for name in Weights._fields}
        return self._weights._replace(**{name: each for name, each in given.items() if each is not None})


def tried(collection: Collection, form: TrialForm, tenant: str | None) -> dict[str, Any]:
    """Search as the form says; return what the page shows.

    :param tenant: of who tries it, who sees no other's; ``None``: all of them.
    """
    given = form.cleaned_data
    scope = given["scope"] if tenant is None else tenant
    began = time.perf_counter()
    try:
        hits = async_to_sync(search)(
            collection,
            given["question"],
            identity=Identity(given["who"], scope=scope),
            k=given["k"] or 8,
            mode=given["mode"] or MODES[0],
            rerank=given.get("rerank", ""),
            weights=form.weights,
            explain=True,
        )
    except LingError as error:
        return {"fault": translated(error.message)}
    seen = hits if tenant is None else _seen_in(tenant, hits)
    found = [hit for hit in seen if not hit.removed]
    return {
        "denied": any(hit.removed == "access" for hit in seen),
        "took": (time.perf_counter() - began) * 1_000,
        "hits": found,
        "notes": [*map(translated, hits.notes)],
        "hidden": [hit for hit in seen if hit.removed not in ("", *_BEHIND)],
        "behind": [hit for hit in seen if hit.removed in _BEHIND],
        "tokens": sum(hit.tokens for hit in found),
        **_sent(given["question"], found),
    }


def _seen_in(tenant: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits that a tenant's staff may see: its own, and of others' those that everybody finds.

    A collection that is shared gives somebody what is theirs in any tenant.
    """
    rows = Document.objects.filter(pk__in={hit.document_id for hit in hits})
    own = set(rows.filter(scope=tenant).values_list("pk", flat=True))
    public = set(rows.filter(owner_key="").values_list("pk", flat=True))

    def is_open(hit: Hit) -> bool:
        is_found = hit.removed in ("", *_BEHIND) and not is_restricted(hit.source, hit.source_kind)
        return is_found and hit.document_id in public

    return [hit for hit in hits if hit.document_id in own or is_open(hit)]


def _sent(question: str, found: Sequence[Hit]) -> dict[str, Any]:
    """What ``docs-chat`` would send to its model for these passages, or why it would not."""
    if not found:
        return {}
    try:
        return {"sent": asked_of_model(_CHAT, question, [hit.passage for hit in found])}
    except LingError as error:
        return {"unsent": translated(error.message)}
