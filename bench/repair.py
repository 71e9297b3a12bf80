"""Broken JSON beside its peers: ``python bench/repair.py [--two 6000]``.

Good documents are broken on purpose: one fault at every token that it can befall, in three ways to write the
document down; a word in quotes inside every string; the kinds of fault that public bug reports hold, at every
place and several at once (``repair_kinds.py``); and two faults at random. The table counts how many come
out as what they were before. Some cannot be told: where ``}`` and ``]`` are exchanged, say, or a word loses a
quote that the next one has too; so nobody gets all of them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from parser import Node, install_peers, value_of  # this folder's
from repair_kinds import kinds, several

PEERS = ("lingstream", "json-repair", "jsonrepair")
DOCUMENTS: list[Any] = [
    {
        "name": "Ann Lee",
        "age": 30,
        "active": True,
        "email": None,
        "tags": ["admin", "staff member", "x"],
        "address": {"street": "5 Main St.", "city": "New York", "zip": "10001"},
    },
    {
        "items": [
            {"id": 1, "title": "First item", "price": 9.99, "tags": ["a", "b"]},
            {"id": 2, "title": "Second, item", "price": 12, "tags": []},
        ],
        "total": 2,
        "next": None,
    },
    {
        "title": "人工智能简介",
        "keywords": ["机器学习", "深度学习"],
        "sections": [
            {"heading": "背景", "body": "起源于1956年。"},
            {"heading": "应用", "body": "医疗、金融、教育。"},
        ],
        "score": 8.5,
    },
    {
        "tool": "search",
        "arguments": {"query": "weather in Paris, France: today", "limit": 5, "filters": {"safe": True}},
        "reason": "The user asked for it. That's simple!",
    },
    [
        {"q": "What is 2+2?", "options": ["3", "4", "5"], "answer": "4"},
        {"q": "Is it true?", "options": ["yes", "no"], "why": "See above (part 1)."},
    ],
    {
        "matrix": [[1, 2, 3], [4, 5, 6]],
        "nested": {"a": {"b": {"c": "deep"}}, "d": [{"e": [{"f": 1}]}]},
        "s": "",
    },
]
FORMATS: list[Callable[[Any], str]] = [
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\s+|"')


class Fault(NamedTuple):
    """A fault that befalls tokens of one kind; ``of`` gives what is written instead."""

    name: str
    kinds: str
    of: Callable[[str], str]


def quoted(left: str, right: str) -> Callable[[str], str]:
    return lambda token: f"{left}{token[1:-1]}{right}"


OTHER = {"}": "]", "]": "}", "true": "True", "false": "False", "null": "None"}
FAULTS = [
    *(Fault("comma", ",", lambda token, text=text: text) for text in (" ", ",,", ";", "，", ", ...,")),
    *(Fault("colon", ":", lambda token, text=text: text) for text in (" ", "::", " = ", " => ", "：")),
    *(
        Fault("comment", ",", lambda token, text=text: token + text)
        for text in (' // it\'s "x", y: {z}\n', " # note, here\n", ' /* "n": 1, */ ')
    ),
    *(
        Fault("quotes of a key", "key", quoted(left, right))
        for left, right in (("", '"'), ('"', ""), ("'", "'"), ("“", "”"), ("`", "`"), ('""', '""'), ("", ""))
    ),
    *(
        Fault("quotes of a value", "string", quoted(left, right))
        for left, right in (
            ("", '"'),
            ('"', ""),
            ("“", "”"),
            ("`", "`"),
            ('""', '"'),
            ('""', '""'),
            ('"""', '"""'),
        )
    ),
    *(Fault("bracket", "}]", of) for of in (lambda token: "", lambda token: token * 2, OTHER.__getitem__)),
    *(Fault("bracket", "}]", lambda token, text=text: text + token) for text in (",", ", ...")),
    *(Fault("bracket", "{[", lambda token, text=text: token + text) for text in (",", ", ")),
    *(Fault("literal", "literal", of) for of in (OTHER.__getitem__, str.upper)),
]


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def kind_of(parts: list[str], index: int) -> str:
    token = parts[index]
    if token in OTHER and token.isalpha():
        return "literal"
    if token[0] != '"' or len(token) <= 2:
        return token if token in "{}[],:" else ""
    following = next((part for part in parts[index + 1 :] if not part.isspace()), "")
    return "key" if following == ":" else "string"


def befalls(fault: Fault, kind: str) -> bool:
    return kind == fault.kinds or kind in tuple(fault.kinds)


def single(document: Any) -> Iterator[tuple[str, str]]:
    """Every fault at every token: its name, and the broken text."""
    for write in FORMATS:
        parts = tokens(write(document))
        for index, token in enumerate(parts):
            kind = kind_of(parts, index)
            for fault in FAULTS:
                if befalls(fault, kind) and not (
                    fault.of(token) == ", ..." + token and parts[index - 1] in "{["
                ):
                    yield fault.name, "".join([*parts[:index], fault.of(token), *parts[index + 1 :]])


def inner(document: Any) -> Iterator[tuple[Any, str]]:
    """Every string with its first, middle or last word in quotes: what is meant, and the broken text."""
    for write in FORMATS:
        for match in re.finditer(r'"(\w[^"]*)"(?!:)', write(document)):
            text = match[1]
            words = list(
                re.finditer(r"[\u4e00-\u9fff]{2}" if re.search(r"[\u4e00-\u9fff]", text) else r"\w+", text)
            )
            for word in {words[place] for place in (0, len(words) // 2, -1)} if words else ():
                if word[0] == text:
                    continue  # those are doubled quotes
                said = f'{text[: word.start()]}"{word[0]}"{text[word.end() :]}'
                whole = write(document)
                start, end = match.span(1)
                good = whole[:start] + said.replace('"', '\\"') + whole[end:]
                yield json.loads(good), whole[:start] + said + whole[end:]


def pairs(count: int) -> Iterator[tuple[Any, str]]:
    """Two faults at random places: the document, and the broken text."""
    chance = random.Random(1)
    while count:
        document = chance.choice(DOCUMENTS)
        parts = tokens(chance.choice(FORMATS)(document))
        for fault in chance.sample(FAULTS, 2):
            places = [index for index in range(len(parts)) if befalls(fault, kind_of(parts, index))]
            if not places:
                break
            index = chance.choice(places)
            parts = tokens("".join([*parts[:index], fault.of(parts[index]), *parts[index + 1 :]]))
        else:
            count -= 1
            yield document, "".join(parts)


def main() -> None:
    options = argparse.ArgumentParser(description="repair of broken JSON beside its peers")
    options.add_argument("--two", type=int, default=6000, help="how many texts with two faults")
    arguments = options.parse_args()
    groups: dict[str, list[tuple[Any, str]]] = {}
    for document in DOCUMENTS:
        for name, text in single(document):
            groups.setdefault(name, []).append((document, text))
        groups.setdefault("quotes in a string", []).extend(inner(document))
        for name, meant, text in kinds(document, FORMATS):
            groups.setdefault(name, []).append((meant, text))
    groups["two faults"] = list(pairs(arguments.two))
    groups["several of these kinds"] = list(several(DOCUMENTS, FORMATS, 1_500))

    install_peers()
    node = Node()
    print(f"{'fault':28}{'texts':>8}" + "".join(f"{peer:>14}" for peer in PEERS))
    for name, cases in groups.items():
        right = [100 * count(peer, cases, node) / len(cases) for peer in PEERS]
        print(f"{name:28}{len(cases):8}" + "".join(f"{share:13.1f}%" for share in right))
    node.close()


def count(peer: str, cases: list[tuple[Any, str]], node: Node) -> int:
    if peer == "jsonrepair":
        answers = node.ask(peer=peer, cases=[text for _, text in cases])
        values = [answer.get("value", ...) for answer in answers]
    else:
        values = [value_of(peer, text) for _, text in cases]
    return sum(value == document for value, (document, _) in zip(values, cases, strict=True))


if __name__ == "__main__":
    main()
