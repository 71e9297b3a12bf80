"""Answers without a model: what in the prompt's passages has most of the question's words.

It reads its prompt as a model does: the passages stand there in fences, numbered. What it says is what they
say, so a page that is edited changes the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from lingstream.core.provider import Message
from lingstream.knowledge.text.words import defining, query_words, spaced_words, words
from lingstream.providers.scripted import text_of

__all__ = ["condensed", "extracted"]

_PASSAGE = re.compile(r"^\[(\d+)\] ([^\n]*)\n(`{3,})\n(.*?)\n\3$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^\s*(?:[*+-]|\d+\.)\s+")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*“\[])|(?<=[。！？])")
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\s]*\)")
_ASIDE = re.compile(r"\s*\(\[[^\]\n]*\]\([^)\s]*\)\)")  # "(more)", as a link
_LONGEST, _SHORTEST = 400, 25
_MOST = 3  # sentences
_KNOWN = 0.5  # of the question's words: if the passages have less, they are about something else
_ENOUGH = 0.3  # of what the best sentence scores
_LEAD = 0.5  # words that standing first is worth
_DEFINES = 2.0  # words that it is worth to say what the one thing is that is asked for
_PART = 0.6  # of its score for what is no whole sentence
_LATER = 0.2  # for each passage that was found sooner
_NOTHING = "The pages do not say."


class _Sentence(NamedTuple):
    source: int
    text: str
    own: frozenset[str]  # its words
    around: frozenset[str]  # these, and those of the heading that it stands below
    leads: bool  # it is the first below that heading
    defines: bool  # it begins by saying what is asked for

    @property
    def is_whole(self) -> bool:
        """Whether it begins as sentences do: what does not is an item of a list, or a cell."""
        return self.defines or not self.text[0].islower()


def condensed(messages: Sequence[Message]) -> str:
    """Return the last question together with the one before."""
    asked = [text_of(message).strip() for message in messages if message["role"] == "user"]
    return " ".join(asked[-2:])


def extracted(system: str, question: str) -> str:
    """Return citations, answer and further questions, as JSON."""
    passages = [(int(number), label, text) for number, label, _, text in _PASSAGE.findall(system)]
    chosen = _chosen([*_sentences(passages, defining(question))], query_words(question))
    cited = {sentence.source for sentence in chosen}
    answer = " ".join(
        f"{_without_links(sentence.text).rstrip('.')} [{sentence.source}]." for sentence in chosen
    )
    others = [label for number, label, _ in passages if number not in cited]
    return json.dumps(
        {
            "citations": [{"source": sentence.source, "quote": sentence.text} for sentence in chosen],
            "answer": answer or _NOTHING,
            "related_question": [*dict.fromkeys(map(_asked_about, others))][:3],
        },
        ensure_ascii=False,
    )


def _without_links(text: str) -> str:
    """The sentence for another page than its own, from which its links lead nowhere."""
    return _LINK.sub(r"\1", _ASIDE.sub("", text))


def _asked_about(label: str) -> str:
    heading = re.split(" — | › ", label)[-1].replace("`", "")
    return heading if heading.endswith("?") else f"What about “{heading}”?"


def _chosen(sentences: Sequence[_Sentence], asked: Sequence[str]) -> list[_Sentence]:
    """The best ones, best first; each has to say something of the question that those before did not."""
    said = frozenset[str]().union(*(sentence.around for sentence in sentences))
    missing = {word for word in asked if word in said}
    if len(missing) < _KNOWN * len(asked):
        return []
    chosen: list[_Sentence] = []
    while missing and len(chosen) < _MOST:
        best = max(sentences, key=lambda each: _score(each, missing))
        if not best.around & missing or (
            chosen and _score(best, missing) < _ENOUGH * _score(chosen[0], {*asked})
        ):
            break
        chosen.append(best)
        missing -= best.around
    return chosen


def _score(sentence: _Sentence, missing: Set[str]) -> float:
    """How much of what is asked it says, by itself and below its heading; more where it was found sooner."""
    found: float = len(missing & sentence.around) + len(missing & sentence.own)
    found += _LEAD * sentence.leads + _DEFINES * sentence.defines
    return found * (1.0 if sentence.is_whole else _PART) / (1 + _LATER * (sentence.source - 1))


def _sentences(passages: Sequence[tuple[int, str, str]], definitions: Sequence[str]) -> Iterator[_Sentence]:
    for number, label, text in passages:
        heading, leads = label, True
        for block in re.split(r"\n\s*\n|\n(?=\s*(?:[*+|-]|\d+\.)\s)", _CODE.sub("", text)):
            if block.lstrip().startswith("#"):
                heading, leads = f"{label} {block}", True
                continue
            for piece, around in _pieces(block):
                said = spaced_words(piece)
                own = frozenset(said.split())
                defines = f"{said} ".startswith(tuple(f"{each} " for each in definitions))
                yield _Sentence(number, piece, own, own | {*words(f"{heading} {around}")}, leads, defines)
                leads = False


def _pieces(block: str) -> Iterator[tuple[str, str]]:
    """The sentences of a paragraph or an item; or the cells of a row, each with the row that it is in."""
    is_row = block.lstrip().startswith("|")
    pieces: list[str] = block.strip().strip("|").split("|") if is_row else _END.split(_ITEM.sub("", block))
    for piece in pieces:
        text = " ".join(piece.split())
        if _SHORTEST <= len(text) <= _LONGEST and any(map(str.isalpha, text)):
            yield text, block if is_row else ""
