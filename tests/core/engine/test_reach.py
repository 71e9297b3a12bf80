"""Whatever a step writes is met by the patterns that match it: no fault is told of what works."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Closed
from lingstream.core.engine import reach
from lingstream.core.parsing.html import HtmlParser
from tests.core.support import documents, keys, walk

TYPES = {dict: "object", list: "array", str: "string"}
PLENTY = 1_000_000


def segments(uri: str) -> list[str]:
    """Of a pattern that matches nothing else: a star is a key."""
    return [jsonuri.escape(key).replace("*", "\\*") for key in jsonuri.split(uri)]


def pattern(data: st.DataObject, uri: str) -> str:
    """Some pattern that matches ``uri``: segments hidden behind stars, and runs of them behind two."""
    found: list[str] = []
    for segment in segments(uri):
        found += data.draw(st.sampled_from([[segment], [segment], ["*"], ["**"], ["**", segment]]))
    made = "/".join(found + data.draw(st.sampled_from([[], [], ["**"]])))
    assert not made or jsonuri.match(made, uri) is not None
    return made


def strict(value: Any) -> dict[str, Any]:
    """The schema that allows values of the shape of ``value`` and nothing else."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {key: strict(item) for key, item in value.items()},
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "prefixItems": [strict(item) for item in value], "items": False}
    return {"const": value}


@settings(deadline=None)
@given(documents, st.lists(keys, max_size=2), st.data())
def test_a_place_of_a_document_is_met(document: Any, above: list[str], data: st.DataObject) -> None:
    below, value = data.draw(st.sampled_from(list(walk(document))))
    wanted = reach.glob(pattern(data, jsonuri.concat(jsonuri.join(*above), below)))
    types = [TYPES.get(type(value), "other")]
    if types != ["other"]:
        root = tuple(data.draw(st.sampled_from([key, None])) for key in above)
        for place in (
            reach.Stored(document),
            reach.written("json", None),
            reach.written("json", strict(document)),
        ):
            for told in (False, True):
                assert reach.meets(wanted, root, place, types, reach.Budget(PLENTY), told=told)
        assert below or reach.meets_root(wanted, root)


@settings(deadline=None)
@given(documents, st.data())
def test_a_place_that_is_not_there_is_not(document: Any, data: st.DataObject) -> None:
    places = list(walk(document))
    below, _value = data.draw(st.sampled_from(places))
    wanted = reach.glob(jsonuri.concat("/".join(segments(below)), "nowhere"))
    for place in (reach.Stored(document), reach.written("json", strict(document))):
        assert not reach.meets(wanted, (), place, list(TYPES.values()), reach.Budget(PLENTY))


@pytest.mark.parametrize(
    "markup",
    [
        "<h1>Clouds</h1><p>So<b>ft <i>and</i></b><p>wet",
        '<a href="/x" title="y">link</a> and <img src="/z">',
        "only text",
        "<table><tr><td>1<td>2</table><ul><li>a<li>b</ul>",
    ],
)
def test_all_that_markup_closes_is_met(markup: str) -> None:
    parser = HtmlParser("r")
    closed = [each for each in parser.feed(markup) + parser.close() if isinstance(each, Closed)]
    assert closed
    place = reach.written("html", None)
    for uri, value, _cut in closed:
        if isinstance(value, (str, dict, list)):
            wanted = reach.glob(uri)
            assert reach.meets(wanted, ("r",), place, [TYPES[type(value)]], reach.Budget(PLENTY))
