"""What is known by uri: forgotten with what it was in, in time linear in what is forgotten."""

from __future__ import annotations

import gc
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.document.filters import UriFilter
from lingstream.core.document.ops import Append, Document, Op, Set
from lingstream.core.document.shared import SharedDocument
from lingstream.core.document.urimap import UriMap
from lingstream.core.exceptions import JsonUriError
from lingstream.core.log.frames import merge_ops
from lingstream.core.parsing import StreamParser
from tests.core.support import KEYS


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32))
def test_is_as_a_dict_whose_keys_are_looked_through(seed: int) -> None:
    dice = random.Random(seed)
    uris, plain = UriMap[int](), dict[str, int]()
    for number in range(dice.randint(0, 40)):
        uri = jsonuri.join(*dice.choices(KEYS[:2] + KEYS[-3:], k=dice.randint(0, 4)))
        below = {known for known in plain if known != uri and known.startswith(f"{uri}/" if uri else "")}
        assert sorted(uris.below(uri)) == sorted(below)
        if dice.random() < 0.4:
            uris.forget_below(uri)
            plain = {known: item for known, item in plain.items() if known not in below}
        else:
            uris.put(uri, number)
            plain[uri] = number
        assert uris == plain
    links = [uri for known in uris._below.values() for uri in known]
    assert len(links) == len(set(links)), "a uri is kept twice"


def test_the_nearest_come_first() -> None:
    uris = UriMap[int]()
    for number, uri in enumerate(["a/b/c", "a/d", "a", "a/b", "ab", "e/f"]):
        uris.put(uri, number)
    assert list(uris.below("a")) == ["a/b", "a/d", "a/b/c"]
    assert set(uris.below("")) == set(uris)


def test_what_is_replaced_again_and_again_takes_no_memory() -> None:
    uris = UriMap[int]()
    for _ in range(100):
        uris.put("a/b/c", 1)
        uris.forget_below("a")
    assert uris == {}
    assert sum(map(len, uris._below.values())) == 1


def test_an_empty_segment_is_refused() -> None:
    with pytest.raises(JsonUriError, match="an empty one in 'a/'"):
        UriMap[int]().put("a/", 1)


def built(batches: Sequence[list[Op]]) -> None:
    document = Document()
    for batch in batches:
        document.apply(batch)


def shared(batches: Sequence[list[Op]]) -> None:
    document = Document()
    shared = SharedDocument(document)
    shared.begin("a#1", "")
    for batch in batches:
        document.apply(shared.admit("a#1", "", batch))


def taken_over(batches: Sequence[list[Op]]) -> None:
    """By another writer each time that the key comes: the one before has finished."""
    document = Document()
    shared, number = SharedDocument(document), 0
    for op in itertools.chain.from_iterable(batches):
        if op.uri == "a":
            shared.finish(f"a#{number}")
            number += 1
        shared.begin(f"a#{number}", "")
        document.apply(shared.admit(f"a#{number}", "", [op]))


def filtered(batches: Sequence[list[Op]]) -> None:
    passes = UriFilter("", exclude=["secret"])
    for batch in batches:
        passes(batch)


def merged(batches: Sequence[list[Op]]) -> None:
    merge_ops(itertools.chain.from_iterable(batches))


BESIDE = {
    "numbers": "1",
    "strings": '"x"',
    "containers": "{}",
    "containers with something in them": '{"y": [1]}',
}
REPLACED = {
    "an object": '{"x": 1}',
    "a string in an object": '{"x": "y"}',
    "an empty object": "{}",
    "an array": '["x", [1]]',
}


@pytest.mark.parametrize("consumer", [built, shared, taken_over, filtered, merged])
@pytest.mark.parametrize("again", REPLACED.values(), ids=REPLACED.keys())
@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
def test_a_key_that_comes_again_and_again_is_replaced_in_linear_time(
    beside: str, again: str, consumer: Callable[[Sequence[list[Op]]], None]
) -> None:
    """Whatever stands beside it: which keys come again is the model's choice."""

    def text_of(count: int) -> str:
        keys = "".join(f"{json.dumps(f'k{number}')}: {beside}, " for number in range(count))
        return "{" + keys + f'"a": {again}, ' * count + '"b": 1}'

    takes_linear_time(consumer, text_of, 500)


@pytest.mark.parametrize("consumer", [built, shared, filtered, merged])
def test_what_a_replaced_container_held_is_looked_at_once(
    consumer: Callable[[Sequence[list[Op]]], None],
) -> None:
    def text_of(count: int) -> str:
        items = ", ".join(["[1]"] * count)
        return '{"a": {"b": [' + items + "]}, " + '"a": {"b": []}, ' * count + '"b": 1}'

    takes_linear_time(consumer, text_of, 500)


def takes_linear_time(
    consumer: Callable[[Sequence[list[Op]]], None], text_of: Callable[[int], str], short: int
) -> None:
    """Check that eight times as many take eight times as long, in pieces of 16 characters."""

    def seconds(count: int) -> float:
        parser, text = StreamParser(), text_of(count)
        items = [parser.feed(text[start : start + 16]) for start in range(0, len(text), 16)]
        batches = [[op for op in batch if isinstance(op, (Append, Set))] for batch in items]
        start = time.process_time()
        consumer(batches)
        return time.process_time() - start

    gc.disable()  # a collection of all that other tests have left would be counted here
    try:
        most = 8 * min(seconds(short) for _ in range(3)) * 3  # quadratic would be 64 times
        assert any(seconds(8 * short) < most for _ in range(3))  # once is nearly always enough
    finally:
        gc.enable()
