"""``{% load lingstream %}{% lingstream_script %}``: the client in one script tag that a strict CSP allows."""

from __future__ import annotations

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from lingstream.transports.addresses import http_base, socket_url

register = template.Library()


@register.simple_tag(takes_context=True)
def lingstream_script(context: template.Context, *, csrf: bool = True, nonce: object = "") -> SafeString:
    """Return the ``<script type="module">`` that defines ``<ling-stream>`` and knows this site's addresses.

    :param csrf: write the CSRF token for the client's POST requests into the tag. ``False`` keeps a page
        cacheable; the client then takes the token from the cookie ``csrftoken``, where there is one.
    :param nonce: for sites whose Content-Security-Policy asks for one.
    """
    attributes = []
    if given := str(nonce):  # what django-csp and Django itself make is false until it is written
        attributes.append(("nonce", given))
    base = http_base(context.get("request") or getattr(context, "request", None))
    attributes += [("data-base", base), ("data-socket", socket_url())]
    token = str(context.get("csrf_token") or "") if csrf else ""
    if token and token != "NOTPROVIDED":  # noqa: S105  (what Django writes without a request)
        attributes.append(("data-csrf", token))
    return format_html(
        '<script type="module" src="{}" data-lingstream{}></script>',
        static("lingstream/index.js"),
        format_html_join("", ' {}="{}"', attributes),
    )
