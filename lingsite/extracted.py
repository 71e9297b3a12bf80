"""Answers without a model: what in the prompt's passages has most of the question's words.

It reads its prompt as a model does: the passages stand there in fences, numbered. What it says is what they
say, so a page that is edited changes the answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lingstream.core.provider import Message
from lingstream.knowledge.text.words import query_words, words
from lingstream.providers.scripted import text_of

__all__ = ["condensed", "extracted"]

_PASSAGE = re.compile(r"^\[(\d+)\] ([^\n]*)\n(`{3,})\n(.*?)\n\3$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^\s*(?:[*+-]|\d+\.)\s+")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*“\[])|(?<=[。！？])")
_LONGEST, _SHORTEST = 400, 25
_MOST = 3  # sentences
_ENOUGH = 0.3  # of what the question's words weigh: below that the passages are about something else
_NOTHING = "The pages do not say."


class _Sentence(NamedTuple):
    source: int
    text: str
    around: frozenset[str]  # the words of it, and of the heading that it stands below


def condensed(messages: Sequence[Message]) -> str:
    """Return the last question together with the one before."""
    asked = [text_of(message).strip() for message in messages if message["role"] == "user"]
    return " ".join(asked[-2:])


def extracted(system: str, question: str) -> str:
    """Return citations, answer and further questions, as JSON."""
    passages = [(int(number), label, text) for number, label, _, text in _PASSAGE.findall(system)]
    chosen = _chosen([*_sentences(passages)], query_words(question))
    cited = {sentence.source for sentence in chosen}
    answer = " ".join(f"{sentence.text.rstrip('.')} [{sentence.source}]." for sentence in chosen)
    others = [label for number, label, _ in passages if number not in cited]
    return json.dumps(
        {
            "citations": [{"source": sentence.source, "quote": sentence.text} for sentence in chosen],
            "answer": answer or _NOTHING,
            "related_question": [*dict.fromkeys(map(_asked_about, others))][:3],
        },
        ensure_ascii=False,
    )


def _asked_about(label: str) -> str:
    return f"What about {re.split(' — | › ', label)[-1].replace('`', '')}?"


def _chosen(sentences: Sequence[_Sentence], asked: Sequence[str]) -> list[_Sentence]:
    """The best ones, best first; each has to say something of the question that those before did not."""
    counts = Counter(word for sentence in sentences for word in sentence.around)
    weights = {word: 1 / (1 + counts[word]) ** 0.5 for word in asked}
    chosen: list[_Sentence] = []
    missing = dict(weights)
    for _ in range(_MOST):
        best = max(sentences, key=lambda each: _score(each, missing, weights), default=None)
        if best is None or best in chosen:
            break
        found = sum(weight for word, weight in weights.items() if word in best.around)
        if found < _ENOUGH * sum(weights.values()) or (chosen and not best.around & missing.keys()):
            break
        chosen.append(best)
        missing = {word: weight for word, weight in missing.items() if word not in best.around}
    return chosen


def _score(sentence: _Sentence, missing: dict[str, float], weights: dict[str, float]) -> float:
    said = set(words(sentence.text))
    new = sum(weight for word, weight in missing.items() if word in sentence.around)
    own = sum(weight for word, weight in weights.items() if word in said)
    return (new + own) / (1 + 0.1 * sentence.source)  # what was found first is more likely it


def _sentences(passages: Sequence[tuple[int, str, str]]) -> Iterator[_Sentence]:
    for number, label, text in passages:
        heading = label
        for block in re.split(r"\n\s*\n|\n(?=\s*(?:[*+|-]|\d+\.)\s)", _CODE.sub("", text)):
            if block.lstrip().startswith("#"):
                heading = f"{label} {block}"
                continue
            yield from _of_block(number, heading, block)


def _of_block(number: int, heading: str, block: str) -> Iterator[_Sentence]:
    """The sentences of a paragraph or an item, or the cells of a row, which say something together."""
    is_row = block.lstrip().startswith("|")
    pieces: list[str] = block.strip().strip("|").split("|") if is_row else _END.split(_ITEM.sub("", block))
    around = words(f"{heading} {block if is_row else ''}")
    for piece in pieces:
        text = " ".join(piece.split())
        if _SHORTEST <= len(text) <= _LONGEST and any(map(str.isalpha, text)):
            yield _Sentence(number, text, frozenset([*around, *words(text)]))
