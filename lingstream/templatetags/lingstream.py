"""``{% load lingstream %}``: the client in one script tag that a strict CSP allows, and what pages bring."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

from django import template
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_noop

from lingstream.conversations.showing import chat_for, conversation_for, newest_for, person_behind
from lingstream.core.document import jsonuri
from lingstream.core.document.canonical import canonical_json
from lingstream.models import Conversation, Run, Workflow
from lingstream.transports.addresses import http_base, socket_url
from lingstream.transports.viewer import stored_frames

from ._modules import client_url, module_urls, part_url, parts_for
from ._user import user_digest

register = template.Library()

_RUN = "lingstream_run"  # in a template's context

#: What the client says by itself (``announcer.js``, ``source-note.js``) where the page has no translation.
WORDS = {
    "started": gettext_noop("The answer is being written."),
    "finished": gettext_noop("The answer is complete."),
    "failed": gettext_noop("There is no answer: something went wrong."),
    "canceled": gettext_noop("The answer was stopped."),
    "source": gettext_noop("Source"),
    "verified": gettext_noop("The source says so."),
    "unverified": gettext_noop("The source does not say this in these words."),
    "stale": gettext_noop("The source has changed since."),
}


@register.simple_tag(takes_context=True)
def lingstream_script(
    context: template.Context, *, csrf: bool = True, nonce: object = "", preload: str = ""
) -> SafeString:
    """Return the ``<script type="module">`` that defines ``<ling-stream>`` and knows this site's addresses.

    :param csrf: write the CSRF token for the client's POST requests into the tag, and a digest of who is
        signed in. ``False`` keeps a page cacheable; the client then takes the token from the cookie
        ``csrftoken``, where there is one.
    :param nonce: for sites whose Content-Security-Policy asks for one.
    :param preload: what the page's markup uses, such as ``"markdown form"``: what the client loads for it is
        asked for with the page, and not once the client has looked at it.
    :raises TemplateSyntaxError: ``preload`` has a name that nothing is loaded for.
    """
    allowed = _nonce(nonce)
    attributes = list(allowed)
    request = context.get("request") or getattr(context, "request", None)
    base = http_base(request)
    attributes += [("data-base", base), ("data-socket", socket_url())]
    token = str(context.get("csrf_token") or "") if csrf else ""
    if token == "NOTPROVIDED":  # noqa: S105  (what Django writes without a request)
        token = ""
    if token:
        attributes.append(("data-csrf", token))
    if user := user_digest(request, for_all=not token):
        attributes.append(("data-user", user))
    attributes += [(f"data-{name}", told) for name, word in WORDS.items() if (told := gettext(word)) != word]
    try:
        urls = module_urls(parts_for(preload.split()))
    except ValueError as error:
        raise template.TemplateSyntaxError(f"lingstream_script, preload: {error}") from None
    preloads = format_html_join(
        "", '<link rel="modulepreload" href="{}"{}>', ((url, _written(allowed)) for url in urls)
    )
    script = format_html(
        '<script type="module" src="{}" data-lingstream{}></script>', client_url(), _written(attributes)
    )
    return preloads + script


@register.simple_tag
def lingstream_importmap(*, nonce: object = "") -> SafeString:
    """Return the import map by which the page's own modules say ``import { Client } from "lingstream"``.

    It stands before the page's first module script. Such a map is inline: a Content-Security-Policy has to
    allow it, by its nonce or its hash.

    :param nonce: as for ``lingstream_script``.
    """
    parts = {f"lingstream/{name}": part_url(name) for name in ("checksum", "markdown")}
    # Inside a script nothing is escaped for HTML; "<" is what could end it.
    text = json.dumps({"imports": {"lingstream": client_url(), **parts}}).replace("<", "\\u003C")
    return format_html(
        '<script type="importmap"{}>{}</script>',
        _written(_nonce(nonce)),
        mark_safe(text),  # noqa: S308
    )


@register.inclusion_tag("lingstream/chat/chat.html", takes_context=True)
def lingstream_chat(
    context: template.Context,
    workflow: str,
    conversation: Conversation | UUID | str | None = None,
    nonce: object = "",
    tells: str = "",
) -> dict[str, Any]:
    """Draw a chat with a workflow for the person who looks at the page; it needs ``lingstream_script``.

    It asks the database, and makes who has no login known to the session: asynchronous views render in a
    thread.

    :param workflow: its slug.
    :param conversation: one of this person's, or its id; ``"new"`` for a new one. Without it, that in which
        something was said last.
    :param nonce: as for ``lingstream_script``.
    :param tells: what else tells how many turns are unread: ``"title"``, that of the page, ``"badge"``, that
        of an installed app, or ``"title badge"``.
    :raises Http404: there is no such workflow, or no such conversation of this person.
    """
    request = context["request"]
    person = person_behind(request)
    if conversation is None:
        talk = newest_for(person, workflow)
    elif conversation == "new":
        talk = None
    else:
        talk = conversation_for(person, workflow, str(getattr(conversation, "pk", conversation)))
    chat = replace(chat_for(request, person, workflow, talk), back=request.get_full_path())
    names = ("csrf_token", "request")
    return {**{name: context.get(name) for name in names}, "chat": chat, "nonce": str(nonce), "tells": tells}


@register.simple_tag
def lingstream_module(name: str) -> str:
    """Return where the module ``chat`` or ``markdown`` is served, in one file or as it was written."""
    return part_url(name)


@register.simple_tag(takes_context=True)
def lingstream_document(context: template.Context, run: Run) -> SafeString:
    """Return what is stored of ``run`` as a block of JSON, which ``<ling-stream run="…">`` begins with.

    So the page shows it at once, and the client asks for what comes behind it only. Nobody's right to read
    the run is checked: that is the view's business, which has the row in hand.
    """
    context[_RUN] = run
    return json_script(stored_frames(run), f"lingstream-{run.pk}")


@register.simple_tag(takes_context=True)
def ling(context: template.Context, uri: str, run: Run | None = None) -> str:
    """Return the text of the field at ``uri``, as ``data-ling`` would show it; the template escapes it.

    :param run: without one, that of the ``lingstream_document`` before it.
    :raises TemplateSyntaxError: there is neither.
    """
    shown = run or context.get(_RUN)
    if shown is None:
        raise template.TemplateSyntaxError("ling needs a run, or {% lingstream_document run %} before it")
    return _text(jsonuri.get(shown.document, uri))


@register.simple_tag
def lingstream_schema(workflow: Workflow | str) -> SafeString:
    """Return a workflow's input schema as a block of JSON, by which forms know the types of their fields.

    :param workflow: the row, or its slug, which costs a query: asynchronous views give the row, with
        ``select_related("published")``.
    """
    rows = Workflow.objects.select_related("published")
    row = workflow if isinstance(workflow, Workflow) else rows.filter(slug=workflow).first()
    slug = row.slug if row else workflow
    return json_script(row.schema_in_force if row else {}, f"lingstream-schema-{slug}")


def _nonce(given: object) -> list[tuple[str, str]]:
    # What django-csp and Django itself make is false until it is written.
    return [("nonce", text)] if (text := str(given)) else []


def _written(attributes: list[tuple[str, str]]) -> SafeString:
    return format_html_join("", ' {}="{}"', attributes)


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return canonical_json(value)
