"""What stands before the document: prose, and the model's reasoning in ``<think>…</think>`` and the like.

All three parsers have it, also those of plain text and HTML; none of it gets into the document.
"""

from __future__ import annotations

import re

from .emitter import Emitter
from .tokenizer import QUOTES, SPACE, Reading, Source
from .vocabulary import REASONING, Vocabulary, vocabulary_of

__all__ = ["Preamble"]

_BEGIN_TOO = ("<|start|>", "<|channel|>")  # what ends reasoning and begins what follows
_LONGEST_SPACE = 100
_LONGEST_MARK = 40
_LONGEST_END = 1_000  # marks and white space at the end of a plain text
# What a document goes on with behind its bracket; a link in a text and code do not.
_BEGINS = {"{": frozenset([*QUOTES, "}"]), "[": frozenset([*QUOTES, *"{[]-0123456789"])}
_LONGEST_HEADER = 200
_CHANNEL = r"<\|\s*channel\s*\|>"
#: The header of an answer.
_ANSWER = re.compile(rf"{_CHANNEL}\s*final\b|\A(?!.*{_CHANNEL})", re.DOTALL | re.IGNORECASE)


class Preamble:
    """Collects prose and reasoning, until somebody drains the two lists."""

    def __init__(self, emitter: Emitter, source: Source, vocabulary: Vocabulary | None = None) -> None:
        self.emitter = emitter
        self.source = source
        self.vocabulary = vocabulary or vocabulary_of(REASONING)
        self.prose: list[str] = []
        self.reasoning: list[str] = []
        self.spoken_of = 0
        """Marks of reasoning in a plain text or markup, whose ends are text as well."""

    def leading_reasoning(self) -> Reading[bool]:
        """Use up reasoning at the start of a plain text, and the white space behind it.

        :return: whether there was any, and an end that may come behind it would be none of its own.
        """
        source, at = self.source, 0
        while (char := (yield from source.peek(at))) and char in SPACE and at < _LONGEST_SPACE:
            at += 1
        space = source.part(0, at)
        source.pos += at
        found = False
        while (yield from self.think()):
            found = True
            yield from self.space()
        if found:
            text = yield from self._mark()
            if self.vocabulary.mark(text) in self.vocabulary.answer_begins:
                source.pos += len(text)
                yield from self.space()
        else:
            source.rewind(space)  # not by counting: what was used up may have been forgotten meanwhile
        return found

    def space(self) -> Reading[None]:
        """Use up white space."""
        source = self.source
        while (char := (yield from source.peek())) and char in SPACE:
            if char not in " \t\n\r":
                self.emitter.note("white-space", "white space of JSON", char, source.offset)
            source.pos += 1

    def think(self) -> Reading[bool]:
        """Use up the reasoning that begins at the position, or the header of an answer; false if neither."""
        if self.emitter.strict:
            return False
        text = yield from self._mark()
        mark = self.vocabulary.mark(text)
        ends = self.vocabulary.ends.get(mark)
        if not ends or (yield from self._is_quoted(len(text))):
            return False
        self.emitter.note("reasoning", "a JSON value", text, self.source.offset)
        is_header = mark in _BEGIN_TOO
        if is_header:
            text = yield from self._header(len(text))
        self.source.pos += len(text)
        if not (is_header and _ANSWER.search(text)):
            yield from self._up_to(ends, "" if is_header else mark)
        return True

    def stray_end(self, *, quotable: bool = True) -> Reading[bool]:
        """Use up ``</think>`` alone: where the opening mark stood in the prompt, only the end is sent.

        The header of an answer ends reasoning too.

        :param quotable: a quote right before it may be one around it, and not the end of a string.
        """
        if self.emitter.strict:
            return False
        text = yield from self._mark()
        mark = self.vocabulary.mark(text)
        if mark in _BEGIN_TOO and self.vocabulary.has_channels:
            text = yield from self._header(len(text))
            ends = bool(_ANSWER.search(text))
        else:
            is_quoted = quotable and (yield from self._is_quoted(len(text)))
            ends = mark in self.vocabulary.stray and not is_quoted
        if ends:
            self.emitter.note("reasoning", "a JSON value", text, self.source.offset)
            self.source.pos += len(text)
        return ends

    def is_draft(self) -> Reading[bool]:
        """Whether a plain text was reasoning up to here: its end, which is used up, has no beginning."""
        mark = self.vocabulary.mark((yield from self._mark()))
        self.spoken_of += mark in self.vocabulary.ends and mark not in _BEGIN_TOO
        if self.spoken_of and mark in self.vocabulary.stray:
            self.spoken_of -= 1
            return False
        return (yield from self.stray_end())

    def answer_end(self) -> Reading[int]:
        """Return how many characters of a plain text are marks of its end, and white space behind them.

        Where nothing is left behind them, as :data:`_LONGEST_END` characters have to show, they are used up.
        """
        at, marks, source = 0, self.vocabulary, self.source
        while at < _LONGEST_END and marks.mark(mark := (yield from self._mark(at))) in marks.answer_ends:
            at += len(mark)
            while at < _LONGEST_END and (char := (yield from source.peek(at))) and char in SPACE:
                at += 1
        if at and not (yield from source.peek(at)):
            self.emitter.note("junk", "the end of the text", source.part(0, at), source.offset)
            source.pos += at
        return at

    def pass_text(self, char: str) -> Reading[None]:
        """Use up what follows, up to what could be a mark."""
        yield from self.source.take(self.vocabulary.text, char)

    def draft_ends(self, at: int) -> Reading[bool]:
        """Whether reasoning ends at ``at`` that began in the prompt, and a document follows."""
        text = "" if self.emitter.strict else (yield from self._mark(at))
        if self.vocabulary.mark(text) not in self.vocabulary.stray:
            return False
        at = yield from self._behind_space(at + len(text))
        char = yield from self.source.peek(at)
        if char == "`":
            return (yield from self.source.starts("```", at))
        if char not in _BEGINS:
            return False
        at = yield from self._behind_space(at + 1)
        return (yield from self.source.peek(at)) in _BEGINS[char]

    def _behind_space(self, at: int) -> Reading[int]:
        while (char := (yield from self.source.peek(at))) and char in SPACE:
            at += 1
        return at

    def _mark(self, at: int = 0) -> Reading[str]:
        """Return the mark at ``at`` as it is written, or as much as could be one."""
        text = ""
        while len(text) < _LONGEST_MARK and (char := (yield from self.source.peek(at + len(text)))):
            if not self.vocabulary.may_become(text + char) or (not text and char in SPACE):
                break
            text += char
        return text

    def _is_quoted(self, length: int) -> Reading[bool]:
        """Whether the mark at the position is spoken of: the same quote is before and behind it."""
        before = self.source.before
        return bool(before) and before in QUOTES and (yield from self.source.peek(length)) in _closing(before)

    def _header(self, at: int) -> Reading[str]:
        """Return the header from the position on, of which ``at`` characters are its mark."""
        while at < _LONGEST_HEADER and (char := (yield from self.source.peek(at))) and char != "\n":
            at += 1
            if char == ">" and self.vocabulary.mark(self.source.part(0, at)).endswith("<|message|>"):
                break
        return self.source.part(0, at)

    def _up_to(self, ends: tuple[str, ...], opening: str) -> Reading[None]:
        """Take text for reasoning up to one of ``ends``; ``opening`` may be nested in it.

        An inner end that a new line or a document follows ends it: the inner opening was only spoken of.
        If the text ends inside, what came since the last inner end is read once more, and not as reasoning.
        """
        source, depth = self.source, 1
        since: list[str] | None = None  # what came since the last inner end
        while char := (yield from source.peek()):
            text = ""
            if char in self.vocabulary.first:
                text = yield from self._mark()
                mark = self.vocabulary.mark(text)
                if mark in (*ends, opening) and not (yield from self._is_quoted(len(text))):
                    depth += 1 if mark == opening else -1
                    if mark != opening and (not depth or (yield from self._document_follows(len(text)))):
                        if mark not in _BEGIN_TOO:
                            source.pos += len(text)
                        return
                    since = [] if mark != opening else since
                    self.reasoning.append(text)
                    source.pos += len(text)
                    continue
            piece = yield from source.take(self.vocabulary.text, char)
            self.reasoning.append(piece)
            if since is not None:
                since.append(piece)
        if since:
            source.rewind("".join(since))

    def _document_follows(self, at: int) -> Reading[bool]:
        char = yield from self.source.peek(at)
        while char and char in " \t":
            at += 1
            char = yield from self.source.peek(at)
        return not char or char in "\r\n{[`"


def _closing(quote: str) -> str:
    return {"“": "”", "‘": "’", "„": "“”"}.get(quote, quote)
