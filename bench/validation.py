"""JSON schemas beside their peer: ``python bench/validation.py [--seconds 5]``.

Each row is one value that a visitor or a model may send, judged by lingstream (the failure's place included)
and by ``jsonschema`` as most sites use it; each in its own process, so that what does not end can be ended.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from lingstream.core.exceptions import UsageError
from lingstream.core.validation import compile_schema

OBJECTS = [{"a": number} for number in range(20_000)]
QUESTION = {
    "type": "object",
    "properties": {"question": {"type": "string", "maxLength": 2000}},
    "required": ["question"],
}
INTEGER = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ROWS: dict[str, tuple[Any, Any]] = {
    "a question": (QUESTION, {"question": "Can I lie on a cloud?"}),
    "a question that is none": (QUESTION, {"question": 5}),
    "20,000 objects": ({"items": INTEGER}, OBJECTS),
    "20,000 objects, the last one wrong": ({"items": INTEGER}, [*OBJECTS[:-1], {"a": "x"}]),
    "120,000 numbers, five kinds of texts": (
        {"anyOf": [{"items": {"type": "string", "minLength": length}} for length in range(5)]},
        [1] * 120_000,
    ),
    "20,000 objects that have to be unique": ({"uniqueItems": True}, OBJECTS),
    "8,000 integers of 20 digits, unique": ({"uniqueItems": True}, [2**63 + n for n in range(8_000)]),
    "29 characters that go back": ({"pattern": r"^(\w+\s?)*$"}, "a" * 28 + "!"),
}


def ours(schema: Any) -> Callable[[Any], object]:
    return compile_schema(schema).failures


def theirs(schema: Any) -> Callable[[Any], object]:
    validator = Draft202012Validator(schema)
    return lambda value: best_match(validator.iter_errors(value))


def measure(make: Callable[[Any], Callable[[Any], object]], name: str, answer: Any) -> None:
    schema, value = ROWS[name]
    judge = make(schema)
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < 0.3 and len(taken) < 2_000):
        began = time.perf_counter()
        with contextlib.suppress(UsageError):
            judge(value)
        taken.append(time.perf_counter() - began)
    answer.send(statistics.median(taken))


def timed(make: Callable[[Any], Callable[[Any], object]], name: str, seconds: float) -> str:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=measure, args=(make, name, there))
    process.start()
    try:
        return (
            f"{here.recv() * 1000:12.3f}"
            if here.poll(seconds)
            else f"{'>' + format(seconds * 1000, '.0f'):>12}"
        )
    finally:
        process.kill()
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long one figure may take")
    seconds = parser.parse_args().seconds
    print(f"{'ms for one value':40}{'lingstream':>12}{'jsonschema':>12}")
    for name in ROWS:
        print(f"{name:40}{timed(ours, name, seconds)}{timed(theirs, name, seconds)}", flush=True)


if __name__ == "__main__":
    main()
