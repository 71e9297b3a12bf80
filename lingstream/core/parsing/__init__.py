"""The incremental parser: what a model writes goes in, piece by piece, and ops come out.

Three layers: ``fastpath`` reads valid JSON, ``repair`` reads everything else, and both tell ``emitter`` what
they found; ``preamble`` takes the text before a document. This module is the outside. What holds of every
text, cut in every way (each is a property test):

1. Folding all ops gives what ``json.loads`` gives, for valid JSON; an overflow to infinity becomes null and a
   lone surrogate U+FFFD, both listed as repairs. After each chunk the fold is the partial view.
2. Strings only grow, and no value changes its type, except by an op marked ``fix``.
3. Numbers, booleans and null arrive whole, once. No op splits an escape or a surrogate pair.
4. The fold, and the order of closed values, do not depend on how the text was cut.
5. Time is linear: nothing is read twice, and a run of characters in a chunk is one append.
6. Depth, size, keys and numbers are bounded; past a bound a typed error names uri and offset.
7. Text is never evaluated. Broken JSON is repaired, each repair listed (kind, uri, offset); strict raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from lingstream.core.document.ops import Closed, Op
from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.phrases import Phrase

from .emitter import Emitter, Guide, Limits, Repair
from .fastpath import read_json
from .preamble import Preamble
from .repair import Repairer
from .tokenizer import EndOfText, Lines, Reading, Source, Unescape, join_surrogates
from .vocabulary import REASONING, TextOptions, vocabulary_of

__all__ = ["REASONING", "BaseParser", "Repair", "StreamParser", "TextOptions", "TextParser"]

_Feed: TypeAlias = Callable[[str], list[Op | Closed]]
_NOTHING = "", ""


class BaseParser:
    """What both parsers have in common: a coroutine that is sent text and gives ops.

    ``feed(text)`` returns the ops that ``text`` brings about. It is the coroutine's own ``send``: a method
    around it would cost a fifth of the time of a chunk.
    """

    feed: _Feed

    def __init__(self, emitter: Emitter, source: Source, preamble: Preamble) -> None:
        self._emitter = emitter
        self._preamble = preamble
        self._source = source
        emitter.on_error = self._fail
        self._escaped: Unescape | None = None  # what undoes the escapes of the whole document
        self._ended = False
        self._rest: list[Op | Closed] = []  # what was read before an error and not told of
        self._reading = self._read(source)
        next(self._reading)
        self.feed = self._reading.send
        if emitter.strict:
            self._count_lines(emitter)

    def close(self, *, cut: bool = False) -> list[Op | Closed]:
        """Say that no text will follow, and return the last ops; a second call returns none.

        After an error they are those of what was read before it.

        :param cut: the text was cut off here, by a limit on its length. Then nothing is guessed: an open
            string keeps its text, an open number or word is not written, and what is open closes as ``cut``.
        """
        if self._ended:
            rest, self._rest = self._rest, []
            return rest
        self._emitter.cut = cut
        ops = self._reading.send(self._escaped.close()) if self._escaped else []
        try:
            self._reading.throw(EndOfText())
        except StopIteration:
            self._end(UsageError(Phrase("expected no text after close(), got more")))
        return ops + self._emitter.take()

    @property
    def value(self) -> Any:
        """The value as it is now; the parser goes on to change its containers."""
        return self._emitter.view()

    @property
    def repairs(self) -> list[Repair]:
        """What was repaired so far."""
        return self._emitter.repairs

    @property
    def behind(self) -> int | None:
        """How many characters came behind the end of the document so far; ``None`` where it has no end."""
        return None

    @property
    def may_be_draft(self) -> bool:
        """Whether the document may still be taken back: prose before it could be reasoning."""
        return False

    def stop(self) -> None:
        """List what comes behind the document as ``trailing``: it is read no further."""
        emitter = self._emitter
        emitter.note("trailing", "the end of the text", "more", self._source.offset, emitter.root)

    def take_beside(self) -> tuple[str, str]:
        """Return the prose before the document and the text in ``<think>…</think>`` since the last call."""
        preamble = self._preamble
        if not (preamble.prose or preamble.reasoning):  # as nearly always, and it is asked for each token
            return _NOTHING
        beside = "".join(preamble.prose), "".join(preamble.reasoning)
        preamble.prose.clear()
        preamble.reasoning.clear()
        return beside

    def _read(self, source: Source) -> Reading[None]:
        raise NotImplementedError

    def _fail(self, error: LingError) -> None:
        self._emitter.release()
        self._rest = self._emitter.take()
        self._end(error)

    def _end(self, error: LingError) -> None:
        """From now on, answer text with ``error``: a coroutine that has ended would be silent."""

        def refuse(text: str) -> list[Op | Closed]:
            raise error

        self._ended = True
        self.feed = refuse

    def _count_lines(self, emitter: Emitter) -> None:
        lines = Lines()
        emitter.line = lines.at

        def feed(text: str) -> list[Op | Closed]:
            lines.add(text)
            return self._reading.send(text)

        self.feed = feed

    def _unescape(self, unescape: Unescape) -> None:
        self._escaped = unescape
        self.feed = lambda text: self._reading.send(unescape.feed(text))


class StreamParser(BaseParser):
    """Turns JSON text that comes in pieces into ops.

    Every value is told of as early as it is certain: containers when they open, strings as they grow,
    numbers and literals whole. The result and the order of :class:`Closed` do not depend on how the
    text was cut.

    :param root: uri of the document; the uris of all ops start with it.
    :param repair: repair what is no JSON and list it in :attr:`repairs`; else raise
        :class:`ParseError`.
    :param max_depth: containers inside each other. Past this and the following bounds
        :class:`ParseLimitError` is raised, in both modes.
    :param max_chars: characters of the whole text.
    :param max_key: characters of a key, 65,536 at the most (a key is withheld until its colon).
    :param max_number: characters of a number, 4,300 at the most (Python reads no longer integers).
    :param reasoning: the marks of reasoning that are looked for, some of :data:`REASONING`; ``()`` for none.
    """

    def __init__(
        self,
        root: str = "",
        repair: bool = True,
        *,
        max_depth: int = 512,
        max_chars: int = 16_777_216,
        max_key: int = 65_536,
        max_number: int = 4_300,
        reasoning: Iterable[str] = REASONING,
    ) -> None:
        limits = Limits(max_depth, max_chars, min(max_key, 65_536), min(max_number, 4_300))
        emitter = Emitter(root, limits, strict=not repair)
        source = Source(emitter)
        preamble = Preamble(emitter, source, vocabulary_of(tuple(reasoning)))
        self._repairer = Repairer(emitter, source, preamble, self._unescape)
        super().__init__(emitter, source, preamble)

    @property
    def behind(self) -> int | None:
        """See :meth:`BaseParser.behind`: white space counts too."""
        end, source = self._repairer.end, self._source
        return None if end is None else source.base + len(source.text) - end

    @property
    def read(self) -> int:
        """How many characters have been read, but for those that valid JSON is read with just now."""
        return self._source.base + len(self._source.text)

    @property
    def open_text(self) -> str:
        """What may be told of the string that is read."""
        return self._emitter.told()

    def guide(self, guide: Guide) -> None:
        """Let ``guide`` change what is told."""
        self._emitter.guide = guide

    @property
    def may_be_draft(self) -> bool:
        """See :meth:`BaseParser.may_be_draft`."""
        return self._repairer.beginning.opening.prose

    def _read(self, source: Source) -> Reading[None]:
        return read_json(self._emitter, source, self._repairer)


class TextParser(BaseParser):
    """Plain text, for bots that write no JSON: all of it is appended at ``root``.

    ``<think>…</think>`` at the start is reasoning here too, and so is what stands before ``</think>`` alone.
    Marks around the answer behind it, and at the end of the text (``<|im_end|>``), are dropped.

    :param max_chars: characters of the whole text; past it :class:`ParseLimitError` is raised.
    :param reasoning: see :class:`StreamParser`.
    """

    def __init__(
        self, root: str = "", *, max_chars: int = 16_777_216, reasoning: Iterable[str] = REASONING
    ) -> None:
        emitter = Emitter(root, Limits(0, max_chars, 0, 0), strict=False)
        source = Source(emitter)
        super().__init__(emitter, source, Preamble(emitter, source, vocabulary_of(tuple(reasoning))))

    def _read(self, source: Source) -> Reading[None]:
        emitter = self._emitter
        marks, preamble = self._preamble.vocabulary.firsts, self._preamble
        may_be_draft = not (yield from preamble.leading_reasoning())
        is_begun = not may_be_draft  # a mark of the end is not all of the answer
        emitter.begin_string(emitter.child())
        while char := (yield from source.peek()):
            text_to = 0
            if marks and marks.match(char):
                if may_be_draft and (yield from preamble.is_draft()):
                    preamble.reasoning.append("".join(emitter.parts))
                    emitter.correct("")
                    yield from preamble.space()
                    is_begun = True
                    continue
                text_to = (yield from preamble.answer_end()) if is_begun else 0
                if not source.left:
                    break
            is_begun = True
            next_mark = marks.search(source.text, source.pos + max(text_to, 1)) if marks else None
            end = next_mark.start() if next_mark else len(source.text)
            if end == len(source.text) and "\ud800" <= source.text[-1] <= "\udbff":  # half a character
                if source.left > 1:
                    end -= 1
                elif (yield from source.peek(1)):
                    continue
            emitter.append(join_surrogates(source.text[source.pos : end])[0])
            source.pos = end
        emitter.settle(cut=emitter.cut)
        source.finish()
