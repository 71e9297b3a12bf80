"""A prompt of several messages: lines ``## system``, ``## user`` and ``## assistant`` say who speaks below.

Cut before anything is rendered: what a template inserts can begin no message of its own.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast

from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase

__all__ = ["MAX_MESSAGES", "Section", "sections"]

MAX_MESSAGES = 64

_HEADING = re.compile(r"^##[ \t]+(system|user|assistant)[ \t]*$\n?", re.MULTILINE | re.IGNORECASE)


Role = Literal["system", "user", "assistant"]


class Section(NamedTuple):
    """One message.

    :param text: a template of its own.
    :param line: of its first line in the whole, from 1.
    """

    role: Role
    text: str
    line: int


def sections(source: str) -> list[Section]:
    """Return the messages of a prompt; what stands above the first heading is the system message.

    :raises TemplateError: too many of them, an empty one, or a system message that is not the first.
    """
    headings = list(_HEADING.finditer(source))
    if len(headings) > MAX_MESSAGES:
        message = Phrase(
            "expected at most %(most)s messages, got %(got)s", most=MAX_MESSAGES, got=len(headings)
        )
        raise TemplateError(message)
    found = [_section("system", source, 0, headings[0].start() if headings else len(source))]
    ends = [*(heading.start() for heading in headings[1:]), len(source)]
    found += [
        _section(cast(Role, heading[1].lower()), source, heading.end(), end)
        for heading, end in zip(headings, ends, strict=bool(headings))
    ]
    if headings:
        found = found if found[0].text else found[1:]
        _check(found)
    return found


def _section(role: Role, source: str, start: int, end: int) -> Section:
    text = source[start:end]
    before = len(text) - len(text.lstrip("\n"))
    return Section(role, text.strip("\n"), 1 + source.count("\n", 0, start + before))


def _check(found: list[Section]) -> None:
    for place, section in enumerate(found):
        if place and section.role == "system":
            problem = Phrase("expected one system message, before all others")
            raise TemplateError(problem, line=section.line)
        if not section.text.strip():
            problem = Phrase("expected a text below “## %(role)s”", role=section.role)
            raise TemplateError(problem, line=max(section.line - 1, 1))
