"""The marks that models put around their reasoning, and around what they answer.

They are compared without white space and without regard to case: ``<think >`` is ``<think>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["REASONING", "TextOptions", "Vocabulary", "vocabulary_of"]

_XML = (
    *("think", "thinking", "thought", "reasoning", "reflection", "analysis", "scratchpad"),
    *("seed:think", "mm:think", "longcat_think"),
)
_OTHER = {
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel>": "<channel|>",
    "<|think:start|>": "<|think:end|>",
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",
    "<unused94>": "<unused95>",
    "[unused16]": "[unused17]",
}
_CHANNEL = "<|channel|>"
_CHANNEL_ENDS: tuple[str, ...] = ("<|end|>", "<|start|>", "<|channel|>", "<|return|>", "<|call|>")
#: Marks before an answer, behind the reasoning, and behind one, at the end of the text.
_ANSWER_BEGINS = ("<|START_RESPONSE|>", "<|begin_of_solution|>", "<|open|>response<|sep|>")
_ANSWER_ENDS = (
    *("<|END_RESPONSE|>", "<|end_of_solution|>", "<|close|>response<|sep|>", "<|return|>", "<|end|>"),
    *("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|end_of_turn|>", "<end_of_turn>"),
)
_PAIRS = {f"<{name}>": f"</{name}>" for name in _XML} | _OTHER

#: The marks that begin reasoning, each of which can be left out.
REASONING = (*_PAIRS, _CHANNEL)


class TextOptions(NamedTuple):
    """How the text of a model is read.

    :param reasoning: the marks of reasoning that are looked for in it.
    :param trailing_characters: the model is stopped when so many have come behind the end of its document,
    :param trailing_seconds: or when its answer has not ended so long behind it.
    """

    reasoning: tuple[str, ...] = REASONING
    trailing_characters: int = 1_000
    trailing_seconds: float = 5.0


class Vocabulary:
    """The marks that are looked for.

    :param names: some of :data:`REASONING`; none switches it off.
    :raises UsageError: a name that is none of them.
    """

    def __init__(self, names: Iterable[str] = REASONING) -> None:
        chosen = tuple(names)
        if unknown := [name for name in chosen if name not in REASONING]:
            message = Phrase(
                "expected marks of reasoning (%(known)s), got %(got)r",
                known=", ".join(REASONING),
                got=unknown[0],
            )
            raise UsageError(message)
        self.ends: dict[str, tuple[str, ...]] = {
            _plain(name): (_plain(_PAIRS[name]),) for name in chosen if name in _PAIRS
        }
        self.stray = frozenset(end for ends in self.ends.values() for end in ends)
        self.has_channels = _CHANNEL in chosen
        if self.has_channels:
            self.ends[_CHANNEL] = self.ends["<|start|>"] = _CHANNEL_ENDS
        self.answer_begins = frozenset(map(_plain, _ANSWER_BEGINS if chosen else ()))
        self.answer_ends = frozenset(map(_plain, _ANSWER_ENDS if chosen else ()))
        marks = {*self.ends, *(end for ends in self.ends.values() for end in ends)}
        marks |= self.answer_begins | self.answer_ends
        self._beginnings = frozenset(mark[:end] for mark in marks for end in range(1, len(mark) + 1))
        #: What such a mark begins with.
        self.first = "".join(sorted({mark[0] for mark in marks}))
        first = re.escape(self.first)
        self.firsts = re.compile(f"[{first}]") if first else None
        #: Text in which no mark begins, and no half of a surrogate pair is.
        self.text = re.compile(rf"[^{first}\ud800-\udfff]+")

    def may_become(self, text: str) -> bool:
        """Whether ``text`` is the beginning of a mark, or a mark."""
        return _plain(text) in self._beginnings

    def mark(self, text: str) -> str:
        """Return the mark that ``text`` is, as it is compared."""
        return _plain(text)


@lru_cache(maxsize=64)
def vocabulary_of(names: tuple[str, ...]) -> Vocabulary:
    """Return the marks of these names; made once, as each parser needs them."""
    return Vocabulary(names)


def _plain(text: str) -> str:
    return "".join(text.split()).lower()
