"""Broken texts of the kinds that public bug reports hold, made from good documents for ``repair.py``."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["kinds", "several"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|\s+')
#: What stands instead of a string, and what is meant by it.
_STRINGS: list[tuple[str, Callable[[str], str], Callable[[str], Any]]] = [
    (
        "JSON in a string",
        lambda s: f'"{s} {{"k": "v", "n": [1, "x"]}}"',
        lambda s: f'{s} {{"k": "v", "n": [1, "x"]}}',
    ),
    ("JSON in a string", lambda s: f'"{{"k": "{s}", "n": 2}}"', lambda s: f'{{"k": "{s}", "n": 2}}'),
    ("quoted ellipsis", lambda s: f'"{s} "..." and so on"', lambda s: f'{s} "..." and so on'),
    ("wrong closing quote", lambda s: f'"{s}”', lambda s: s),
    ("low quote", lambda s: f'"so „{s}", he said"', lambda s: f'so „{s}", he said'),
    ("quote of its own", lambda s: f'"{s} 14""', lambda s: f'{s} 14"'),
    ("backslash at the end", lambda s: f'"{s}\\"', lambda s: f"{s}\\"),
    ("like a comment", lambda s: "#0a0b0c", lambda s: "#0a0b0c"),
    ("like a comment", lambda s: "//host.example/x.png", lambda s: "//host.example/x.png"),
    *(
        ("behind a string", lambda s, mark=mark: f'"{s}"{mark}', lambda s: s)
        for mark in (
            "[3]",
            " [1][2]",
            "【4:0†source】",
            "<br>",
            "<|im_end|>",
            ".trim()",
            " (approx.)",
            " as noted",
        )
    ),
]
#: What stands instead of a key, and what is meant by it.
_KEYS: list[tuple[str, Callable[[str], str], Callable[[str], str]]] = [
    ("key closed by another sign", lambda s: f'"{s}”', lambda s: s),
    ("key like a comment", lambda s: f"#{s}", lambda s: f"#{s}"),
    ("key like a comment", lambda s: f"//{s}", lambda s: f"//{s}"),
]
#: Before the document, with a draft in it.
_THOUGHTS = [
    *(
        ("think tags", text)
        for text in (
            "<think >%s</think>",
            "<THINK>\n%s</THINK >\n",
            "<think>a <think>b</think> %s</think>\n",
            "<think>The tag `</think>` ends it. %s</think>\n",
            "<think>I use a <think> tag. %s</think>\n",
        )
    ),
    *(
        ("other marks of reasoning", text)
        for text in (
            "[THINK]%s[/THINK]",
            "<seed:think>%s</seed:think>",
            "<mm:think>%s</mm:think>",
            "<longcat_think>%s</longcat_think>",
            "<|think:start|>%s<|think:end|>",
            "<|open|>think<|sep|>%s<|close|>think<|sep|>",
            "[unused16]%s[unused17]",
            "<analysis>%s</analysis>\n",
            "◁think▷%s◁/think▷",
            "<|START_THINKING|>%s<|END_THINKING|>",
            "<|inner_prefix|>%s<|inner_suffix|>",
            "<|channel>%s<channel|>",
            "<|channel|>analysis<|message|>%s<|end|><|start|>assistant<|channel|>final<|message|>",
        )
    ),
]
#: What is wrong, by what stands where a bracket belongs.
_BRACKETS = {
    "], [": "second list for a key",
    "}]": "array closed early",
    "": "record without a brace",
}
_BEHIND_A_RECORD = [(",", "{"), *(("]", after) for after in (",", "]", "}", ""))]
_NUMBERS = {"1,234": 1234, "12,500": 12500, "1,234,567.89": 1234567.89}


def kinds(document: Any, formats: list[Callable[[Any], str]]) -> Iterator[tuple[str, Any, str]]:
    """Every fault at every place: its name, what is meant, and the broken text."""
    for write in formats:
        parts = _TOKEN.findall(write(document))
        for index, token in enumerate(parts):
            before, after = _near(parts, index, -1), _near(parts, index, 1)
            if token[0] == '"' and after != ":" and len(token) > 2:
                text = json.loads(token)
                for name, broken, meant in _STRINGS:
                    yield name, *_put(parts, index, broken(text), meant(text))
                if before == ":":
                    for number, value in _NUMBERS.items():
                        yield "comma in a number", *_put(parts, index, number, value)
            elif token[0] == '"' and after == ":":
                for name, broken, meant in _KEYS:
                    # On a line of its own it is a line that was commented out.
                    if broken("")[0] == '"' or not parts[index - 1].startswith("\n"):
                        text = json.loads(token)
                        yield name, *_put(parts, index, broken(text), meant(text))
        for index, token in _wrong_brackets(parts):
            yield _BRACKETS[token], document, _with(parts, index, token)
        for index, token in enumerate(parts):
            if token == "}" and (_near(parts, index, 1), _near(parts, index, 2)) in _BEHIND_A_RECORD:
                for mark in ("[1]", "【4:0†source】", "<br>"):
                    yield "behind a record", document, _with(parts, index, token + mark)
        if isinstance(document, list):
            for count in (1, 2, 3):
                others = ", ".join(write(record) for record in (document * count)[:count])
                yield "sentence behind a list", document, f"{write(document)}, {others} would do, too."
        draft = f"Perhaps {write({'draft': [1, 2]})}?\nNo."
        yield "reasoning without its mark", document, f"{draft}\n</think>\n{write(document)}"
        for name, thought in _THOUGHTS:
            yield name, document, thought % draft + write(document)


def several(
    documents: Sequence[Any], formats: Sequence[Callable[[Any], str]], count: int
) -> Iterator[tuple[Any, str]]:
    """Two strings with a fault each, in every second text wrong brackets too: what is meant, and the text."""
    chance = random.Random(5)
    for _ in range(count):
        parts = _TOKEN.findall(chance.choice(formats)(chance.choice(documents)))
        good = list(parts)
        strings = [index for index, part in enumerate(parts) if part[0] == '"' and len(part) > 2]
        for index in chance.sample(strings, 2):
            text = json.loads(parts[index])
            faults = _KEYS[:1] if _near(parts, index, 1) == ":" else _STRINGS
            _, broken, meant = chance.choice(faults)
            parts[index], good[index] = broken(text), json.dumps(meant(text))
        places = [*_wrong_brackets(parts)]
        if places and chance.random() < 0.5:
            index, token = chance.choice(places)
            parts[index] = token
        yield json.loads("".join(good)), "".join(parts)


def _wrong_brackets(parts: list[str]) -> Iterator[tuple[int, str]]:
    """The places of lists that are closed too early or a second time, and of records without their brace."""
    for index, token in enumerate(parts):
        before, after = _near(parts, index, -1), _near(parts, index, 1)
        if token == "," and _is_in_list(parts[:index]):
            yield index, "], ["
        elif token == "}" and after == "," and _near(parts, index, 2) == "{":
            yield index, "}]"
        elif token == "{" and before == "," and _near(parts, index, -2) == "}":
            yield index, ""


def _put(parts: list[str], index: int, broken: str, meant: Any) -> tuple[Any, str]:
    return json.loads(_with(parts, index, json.dumps(meant))), _with(parts, index, broken)


def _is_in_list(before: list[str]) -> bool:
    """Whether what follows is in a list that is the value of a key."""
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        depth += (before[index] in "]}") - (before[index] in "[{")
        if depth < 0:
            return before[index] == "[" and _near(before, index, -1) == ":"
    return False


def _with(parts: list[str], index: int, token: str) -> str:
    return "".join([*parts[:index], token, *parts[index + 1 :]])


def _near(parts: list[str], index: int, step: int) -> str:
    """The token so many places away, white space not counted."""
    solid = [place for place, part in enumerate(parts) if not part.isspace()]
    place = solid.index(index) + step if index in solid else -1
    return parts[solid[place]] if 0 <= place < len(solid) else ""
