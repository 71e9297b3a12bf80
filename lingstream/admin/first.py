"""The first steps on an empty site: what is to be done before anything can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.db.models import Exists
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..models import Prompt, Provider, Workflow

__all__ = ["FirstStep", "first_steps", "tell_next"]

_STEPS = {
    Provider: _(
        "Add a provider: where a model lives. Steps that name no other ask the one called “%(default)s”."
    ),
    Prompt: _("Write a prompt: what the model is told."),
    Workflow: _("Build a workflow: a step with the prompt, and its input. “Try it” below the form answers."),
}


class FirstStep(NamedTuple):
    """Something to do.

    :param url: of the page on which it is done; ``""`` for who may not.
    """

    text: str
    done: bool
    url: str


def first_steps(user: Any) -> Iterator[FirstStep]:
    """Yield all of them as long as one is to be done, and none afterwards."""
    done = _done(user)
    if all(done):
        return
    default = app_settings().default_provider
    for (model, text), is_done in zip(_STEPS.items(), done, strict=True):
        name = model._meta.model_name
        query = f"?{urlencode({'name': default})}" if model is Provider else ""
        url = reverse(f"admin:lingstream_{name}_add") + query
        may = user.has_perm(f"lingstream.add_{name}")
        yield FirstStep(str(text) % {"default": default}, is_done, url if may else "")


def tell_next(request: HttpRequest, row: Any) -> None:
    """Lead who has just added the first row of such a model to the next step."""
    if type(row) not in _STEPS or type(row)._default_manager.exclude(pk=row.pk).exists():
        return
    following = next((step for step in first_steps(request.user) if not step.done), None)
    if following and following.url:
        told = format_html('{} <a href="{}">{}</a>', _("Next:"), following.url, following.text)
        messages.info(request, told)


def _done(user: Any) -> tuple[bool, ...]:
    """Whether there is a row of each, of providers the usual one: one query, with three answers."""
    rows = {model: model._default_manager.all() for model in _STEPS}
    rows[Provider] = rows[Provider].filter(name=app_settings().default_provider)
    users: Any = get_user_model()._default_manager.filter(pk=user.pk)
    found: tuple[bool, ...] = users.values_list(*map(Exists, rows.values())).get()
    return found
