"""Prompts inside prompts: ``{% include "prompt:tone" %}`` stands for another prompt's text.

What is included is put in place of its tag before anything is rendered, as if it had been written there; so a
run's plan holds the whole text, and the sandbox needs no loader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from jinja2 import TemplateSyntaxError

from lingstream.core.exceptions import TemplateError
from lingstream.core.phrases import Phrase

from .foreign import of_jinja
from .sandbox import MAX_SOURCE, TEXT

__all__ = ["DEFAULT_LABEL", "MAX_DEPTH", "Fragment", "Fragments", "fragments", "without_fragments"]

DEFAULT_LABEL = "production"
MAX_DEPTH = 8  # of prompts inside prompts

_NAMED = re.compile(r"prompt:([a-zA-Z0-9_-]{1,100})(?:@([a-zA-Z0-9_-]{1,50}))?")


class Fragment(NamedTuple):
    """A tag that includes a prompt.

    :param line: of the tag, from 1.
    """

    slug: str
    label: str
    line: int


class Fragments:
    """Puts texts in place of tags; what is included twice is expanded once.

    :param find: returns the text of a prompt that a label points at.
    """

    def __init__(self, find: Callable[[str, str], str]) -> None:
        self._find = find
        self._known: dict[tuple[str, str], str] = {}

    def expand(self, source: str, path: tuple[str, ...] = ()) -> str:
        """Return ``source`` with all that it includes.

        :param path: the slugs of the prompts that it is inside of, itself the last.
        :raises TemplateError: a prompt includes itself, or it all becomes too deep or too long.
        """
        parts, length = list[str](), 0
        for part in _parts(source):
            parts.append(part if isinstance(part, str) else self._text(part, path))
            length += len(parts[-1])
            if length > MAX_SOURCE:
                message = Phrase(
                    "expected at most %(most)s characters with all that is included", most=MAX_SOURCE
                )
                raise TemplateError(message)
        return "".join(parts)

    def _text(self, found: Fragment, path: tuple[str, ...]) -> str:
        if found.slug in path:
            ring = " → ".join((*path[path.index(found.slug) :], found.slug))
            message = Phrase("expected no circle of prompts, got %(ring)s", ring=ring)
            raise TemplateError(message, line=found.line)
        if len(path) > MAX_DEPTH:
            message = Phrase("expected prompts inside prompts up to %(most)s deep", most=MAX_DEPTH)
            raise TemplateError(message, line=found.line)
        key = found.slug, found.label
        if key not in self._known:
            try:
                self._known[key] = self.expand(self._find(*key), (*path, found.slug))
            except TemplateError as error:
                raise TemplateError(error.message, line=found.line) from error
        return self._known[key]


def fragments(source: str) -> list[Fragment]:
    """Return what a prompt includes, in its order."""
    return [part for part in _parts(source) if isinstance(part, Fragment)]


def without_fragments(source: str) -> str:
    """Return a prompt without what it includes; its lines are where they were, if each tag has one."""
    return "".join(part if isinstance(part, str) else "" for part in _parts(source))


def _parts(source: str) -> Iterator[str | Fragment]:
    """Yield what is text, and the tags in between; a tag that is none of ours is text."""
    if "include" not in source:
        yield source
        return
    tag: list[tuple[int, str, str]] = []
    try:
        for token in TEXT.lex(source):
            if tag or token[1] == "block_begin":
                tag.append(token)
                if token[1] == "block_end":
                    yield from _tag(tag)
                    tag = []
            else:
                yield token[2]
    except TemplateSyntaxError as error:
        problem = of_jinja(error)
        message = Phrase("line %(line)s: %(message)s", line=error.lineno, message=problem)
        raise TemplateError(message, line=error.lineno) from error
    yield "".join(text for _, _, text in tag)


def _tag(tokens: list[tuple[int, str, str]]) -> Iterator[str | Fragment]:
    words = [text for _, kind, text in tokens[1:-1] if kind != "whitespace"]
    text = "".join(token[2] for token in tokens)
    named = _NAMED.fullmatch(words[1][1:-1]) if len(words) == 2 and words[0] == "include" else None
    if named is None:
        yield text
    else:
        yield Fragment(named[1], named[2] or DEFAULT_LABEL, tokens[0][0])
