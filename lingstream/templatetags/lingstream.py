"""``{% load lingstream %}{% lingstream_script %}``: the client in one script tag that a strict CSP allows."""

from __future__ import annotations

import json

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from lingstream.transports.addresses import http_base, socket_url

from ._modules import client_url, markdown_url, module_urls

register = template.Library()


@register.simple_tag(takes_context=True)
def lingstream_script(context: template.Context, *, csrf: bool = True, nonce: object = "") -> SafeString:
    """Return the ``<script type="module">`` that defines ``<ling-stream>`` and knows this site's addresses.

    :param csrf: write the CSRF token for the client's POST requests into the tag. ``False`` keeps a page
        cacheable; the client then takes the token from the cookie ``csrftoken``, where there is one.
    :param nonce: for sites whose Content-Security-Policy asks for one.
    """
    allowed = _nonce(nonce)
    attributes = list(allowed)
    base = http_base(context.get("request") or getattr(context, "request", None))
    attributes += [("data-base", base), ("data-socket", socket_url())]
    token = str(context.get("csrf_token") or "") if csrf else ""
    if token and token != "NOTPROVIDED":  # noqa: S105  (what Django writes without a request)
        attributes.append(("data-csrf", token))
    preloads = format_html_join(
        "", '<link rel="modulepreload" href="{}"{}>', ((url, _written(allowed)) for url in module_urls())
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
    imports = {"lingstream": client_url(), "lingstream/markdown": markdown_url()}
    # Inside a script nothing is escaped for HTML; "<" is what could end it.
    text = json.dumps({"imports": imports}).replace("<", "\\u003C")
    return format_html(
        '<script type="importmap"{}>{}</script>',
        _written(_nonce(nonce)),
        mark_safe(text),  # noqa: S308
    )


def _nonce(given: object) -> list[tuple[str, str]]:
    # What django-csp and Django itself make is false until it is written.
    return [("nonce", text)] if (text := str(given)) else []


def _written(attributes: list[tuple[str, str]]) -> SafeString:
    return format_html_join("", ' {}="{}"', attributes)
