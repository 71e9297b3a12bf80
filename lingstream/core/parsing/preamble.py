"""What stands before the document: prose, and the model's reasoning in ``<think>…</think>``.

All three parsers have it, also those of plain text and HTML; none of it gets into the document.
"""

from __future__ import annotations

import re

from .emitter import Emitter
from .tokenizer import SPACE, Reading, Source

__all__ = ["Preamble"]

_REASONING = re.compile(r"[^<\ud800-\udfff]+")
_THINK = re.compile(r"<(think|thinking|thought|reasoning|reflection)>", re.IGNORECASE)
_TAGS = ("<think>", "<thinking>", "<thought>", "<reasoning>", "<reflection>")
_LONGEST_SPACE = 100


class Preamble:
    """Collects prose and reasoning, until somebody drains the two lists."""

    def __init__(self, emitter: Emitter, source: Source) -> None:
        self.emitter = emitter
        self.source = source
        self.prose: list[str] = []
        self.reasoning: list[str] = []

    def leading_reasoning(self) -> Reading[None]:
        """Use up ``<think>…</think>`` at the start of a plain text, and the white space behind it."""
        source, at = self.source, 0
        while (char := (yield from source.peek(at))) and char in SPACE and at < _LONGEST_SPACE:
            at += 1
        space = source.part(0, at)
        source.pos += at
        if char == "<" and (yield from self.think()):
            yield from self.space()
        else:
            source.rewind(space)  # not by counting: what was used up may have been forgotten meanwhile

    def space(self) -> Reading[None]:
        """Use up white space."""
        source = self.source
        while (char := (yield from source.peek())) and char in SPACE:
            if char not in " \t\n\r":
                self.emitter.note("white-space", "white space of JSON", char, source.offset)
            source.pos += 1

    def think(self) -> Reading[bool]:
        """Use up ``<think>…</think>``, if it begins at the position."""
        source = self.source
        if self.emitter.strict:
            return False
        word = ""
        while any(tag.startswith(word.lower()) for tag in _TAGS):
            char = yield from source.peek(len(word))
            if not char or _THINK.fullmatch(word):
                break
            word += char
        match = _THINK.match(word)
        if not match:
            return False
        self.emitter.note("reasoning", "a JSON value", match[0], source.offset)
        source.pos += len(match[0])
        yield from self._up_to(f"</{match[1].lower()}>")
        return True

    def stray_end(self) -> Reading[bool]:
        """Use up ``</think>`` alone: some servers keep the tag before the reasoning."""
        if self.emitter.strict:
            return False
        for tag in _TAGS:
            if (yield from self.source.starts(f"</{tag[1:]}")):
                self.emitter.note("reasoning", "a JSON value", tag, self.source.offset)
                self.source.pos += len(tag) + 1
                return True
        return False

    def _up_to(self, closing: str) -> Reading[None]:
        source = self.source
        while char := (yield from source.peek()):
            if char != "<":
                self.reasoning.append((yield from source.take(_REASONING, char)))
                continue
            tag = ""
            while closing.startswith(tag.lower()) and len(tag) < len(closing):
                char = yield from source.peek(len(tag))
                if not char:
                    break
                tag += char
            if tag.lower() == closing:
                source.pos += len(tag)
                return
            self.reasoning.append("<")
            source.pos += 1
