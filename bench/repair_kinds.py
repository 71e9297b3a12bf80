"""Broken texts of the kinds that public bug reports hold, made from good documents for ``repair.py``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["kinds"]

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
            elif token == "}" and after == "," and _near(parts, index, 2) == "{":
                yield "array closed early", document, _with(parts, index, "}]")
            elif token == "{" and before == "," and _near(parts, index, -2) == "}":
                yield "record without a brace", document, _with(parts, index, "")
        draft = f"Perhaps {write({'draft': [1, 2]})}?\nNo.\n</think>\n{write(document)}"
        yield "reasoning without its mark", document, draft


def _put(parts: list[str], index: int, broken: str, meant: Any) -> tuple[Any, str]:
    return json.loads(_with(parts, index, json.dumps(meant))), _with(parts, index, broken)


def _with(parts: list[str], index: int, token: str) -> str:
    return "".join([*parts[:index], token, *parts[index + 1 :]])


def _near(parts: list[str], index: int, step: int) -> str:
    """The token so many places away, white space not counted."""
    solid = [place for place, part in enumerate(parts) if not part.isspace()]
    place = solid.index(index) + step if index in solid else -1
    return parts[solid[place]] if 0 <= place < len(solid) else ""
