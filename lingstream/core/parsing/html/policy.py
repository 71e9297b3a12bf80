"""Which markup of a model may reach a page.

``static/lingstream/nodes.js`` has the same lists, and checks again.

What is not listed here does not pass: unknown tags lose their tags and keep their content, elements that run,
load or draw something lose their content too, attributes are dropped one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["ATTRIBUTES", "DROPPED", "ELEMENTS", "INLINE", "RAW", "VOID", "clean"]


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


#: Elements that stand in a line of text: white space around them is part of the text.
INLINE = _set(
    "a abbr b bdi bdo cite code data del dfn em i img ins kbd mark q rp rt ruby s samp small span strong sub "
    "sup time u var wbr"
)

#: Every element that passes.
ELEMENTS = INLINE | _set(
    "address article aside blockquote br caption col colgroup dd details div dl dt figcaption figure footer "
    "h1 h2 h3 h4 h5 h6 header hgroup hr li main nav ol p pre section summary table tbody td tfoot th thead "
    "tr ul"
)

VOID = _set("area base br col embed hr img input link meta param source track wbr")

#: Elements whose content is text to HTML and is dropped with them.
RAW = _set("iframe noembed noframes plaintext script style textarea title xmp")

#: Elements that are dropped with all that is inside.
DROPPED = RAW | _set(
    "applet audio canvas frameset map math noscript object picture select svg template video"
)

_EVERYWHERE = ("dir", "lang", "title")

#: The attributes of each element, beside ``dir``, ``lang`` and ``title``.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "a": ("href",),
    "blockquote": ("cite",),
    "code": ("class",),
    "col": ("span",),
    "colgroup": ("span",),
    "data": ("value",),
    "del": ("cite", "datetime"),
    "details": ("open",),
    "img": ("src", "alt", "width", "height"),
    "ins": ("cite", "datetime"),
    "li": ("value",),
    "ol": ("start", "reversed"),
    "pre": ("class",),
    "q": ("cite",),
    "td": ("colspan", "rowspan"),
    "th": ("colspan", "rowspan", "scope"),
    "time": ("datetime",),
}

_SCHEMES = {"href": ("http", "https", "mailto"), "src": ("http", "https"), "cite": ("http", "https")}
_NUMBERS = frozenset({"colspan", "height", "rowspan", "span", "start", "width"})
_NUMBER = re.compile(r"-?[0-9]{1,4}")
_LANGUAGE = re.compile(r"language-[\w+#.-]{1,32}", re.ASCII)
_SCHEME = re.compile(r"([^/?#:]*):")
_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def clean(
    tag: str, attributes: Iterable[tuple[str, str | None]], images: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Return the attributes of an element that pass, and the names of those that do not.

    :param images: the origins whose images may be fetched: ``same-origin`` for addresses without a host,
        ``https://cdn.example``; separated by spaces.
    """
    kept: dict[str, str] = {}
    dropped: list[str] = []
    allowed = ATTRIBUTES.get(tag, ())
    for name, value in attributes:
        if name in kept:
            continue  # of two, the first counts
        passed = _clean(name, value or "") if name in allowed or name in _EVERYWHERE else None
        if name == "src" and passed is not None and not _may_be_fetched(passed, images.split()):
            passed = None
        if passed is None:
            dropped.append(name)
        else:
            kept[name] = passed
    return kept, dropped


def _clean(name: str, value: str) -> str | None:
    if name in _SCHEMES:
        return _url(value, _SCHEMES[name])
    if name in _NUMBERS:
        return value if _NUMBER.fullmatch(value) else None
    if name == "class":
        return value if _LANGUAGE.fullmatch(value) else None
    return value


def _url(value: str, schemes: tuple[str, ...]) -> str | None:
    """The URL without the characters that browsers pass over; ``None`` for a scheme that is not allowed."""
    url = _CONTROLS.sub("", value).strip()
    scheme = _SCHEME.match(url)
    return url if scheme is None or scheme[1].lower() in schemes else None


def _may_be_fetched(url: str, images: list[str]) -> bool:
    """Whether an image comes from an origin that is asked for. To browsers a backslash is a slash."""
    written = url.replace("\\", "/")
    if _SCHEME.match(written) is None:
        return "same-origin" in images and not written.startswith("//")
    origin = _ORIGIN.match(written)
    return origin is not None and origin[0].lower() in images
