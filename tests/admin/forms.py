"""Fills admin forms as a browser does: what the page shows, with some fields changed."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import Group, Permission, User
from django.template.response import TemplateResponse
from django.test import Client
from django.utils.html import strip_tags

from lingstream.access.groups import make_groups

__all__ = ["client_of", "client_with", "errors_of", "form_data", "is_chinese", "post_page"]

# Two words of English in a row, or no word of Chinese; names and values are single ones.
_NOT_CHINESE = re.compile(r"\b(?!JSON Schema)[A-Za-z]{2,} [A-Za-z]{2,}|\A[^\u4e00-\u9fff]*\Z")


def client_with(*permissions: str) -> Client:
    """Return the browser of somebody of the staff with these permissions and no others."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def client_of(group: str) -> tuple[Client, User]:
    """Return the browser of somebody of the staff, in the group if it is one of ours, and the user."""
    make_groups()
    user = User.objects.create_user(group, is_staff=True)
    user.groups.set(Group.objects.filter(name=group))
    client = Client()
    client.force_login(user)
    return client, user


def form_data(response: Any) -> dict[str, Any]:
    """Return what submitting the admin page as it is would send."""
    data: dict[str, Any] = {}
    context = response.context_data
    forms = [context["adminform"].form]
    for inline in context["inline_admin_formsets"]:
        formset = inline.formset
        forms += [formset.management_form, *formset.initial_forms, *formset.extra_forms]
    for form in forms:
        for bound in form:
            value = bound.value()
            if hasattr(bound.field, "queryset") and value is not None:
                value = getattr(value, "pk", value)
            if value is not None and value is not False:
                data[bound.html_name] = value
            if bound.field.show_hidden_initial:  # drawn again, a page has it as it was sent
                initial = form.data.get(bound.html_initial_name, value)
                data[bound.html_initial_name] = "" if initial is None else initial
    return data


def post_page(client: Client, url: str, changes: dict[str, Any], remove: tuple[str, ...] = ()) -> Any:
    """Open a page, change some fields, send it with two characters at the end of each line.

    Nobody looks at what it opens, so it is not drawn.
    """
    with patch.object(TemplateResponse, "rendered_content", ""):
        opened = client.get(url)
    shown = form_data(opened).items()
    sent = {name: each.replace("\n", "\r\n") if isinstance(each, str) else each for name, each in shown}
    data = {**sent, **changes}
    for name in remove:
        data.pop(name, None)
    return client.post(url, data)


def errors_of(response: Any) -> dict[str, list[str]]:
    """Return the errors that the page shows, by field; of inlines with their prefix."""
    assert response.status_code == 200, "the form was accepted"
    context = response.context
    found = {name: list(map(str, errors)) for name, errors in context["adminform"].form.errors.items()}
    for inline in context["inline_admin_formsets"]:
        for form in inline.formset.forms:
            for name, errors in form.errors.items():
                found[f"{form.prefix}-{name}"] = list(map(str, errors))
    return found


def is_chinese(text: str) -> bool:
    """Whether a message, or its HTML, has been translated, as far as can be seen."""
    return not _NOT_CHINESE.search(strip_tags(text))
