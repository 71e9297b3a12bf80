"""HTML: what tree it becomes, when it is told of, what never gets in."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.core.document.ops import Append, Closed, Set
from lingstream.core.exceptions import ParseLimitError, UsageError
from lingstream.core.parsing.html import HtmlParser, policy
from tests.core.engine.test_bot import plan
from tests.core.support import ROOT, in_node, outcome

from .support import CASES, every_cut, fold_all

ATTACKS = json.loads((CASES / "html_attacks.json").read_text())
IMAGES = json.loads((CASES / "html_images.json").read_text())


class Parsed(NamedTuple):
    tree: Any
    closed: list[tuple[str, str]]
    repairs: list[Any]
    preamble: str
    reasoning: str


def parse(chunks: Iterable[str], **options: Any) -> Parsed:
    parser = HtmlParser(**options)
    ops = [op for chunk in chunks for op in parser.feed(chunk)] + parser.close()
    tree = fold_all(ops)
    assert repr(tree) == repr(parser.value)
    closed = [(op.uri, repr(op.value)) for op in ops if isinstance(op, Closed)]
    fixes = [at for at, op in enumerate(ops) if isinstance(op, Set) and op.fix]  # a draft's are told again
    since = [op.uri for op in ops[fixes[-1] if fixes else 0 :] if isinstance(op, Closed)]
    assert len(set(since)) == len(since)
    return Parsed(tree, closed, parser.repairs, *parser.take_beside())


def drawn(node: Any) -> str:
    """A tree in one line: ``p['text' b['bold']]``."""
    if isinstance(node, str):
        return repr(node)
    attributes = "".join(f" {name}={value}" for name, value in node.get("attrs", {}).items())
    return f"{node.get('tag', '')}{attributes}[{' '.join(map(drawn, node['children']))}]"


TREES = {
    "elements": ("<p>Hi <b>you</b> there</p>", "[p['Hi ' b['you'] ' there']]"),
    "names in any case": ("<P>a<BR>b</p>", "[p['a' br[] 'b']]"),
    "attributes": ("<a title=x href='/y'>z</a>", "[a title=x href=/y['z']]"),
    "a sign inside a quoted value": ("<p title='a>b'>x</p>", "[p title=a>b['x']]"),
    "an empty attribute": ("<img alt title=x>", "[img alt= title=x[]]"),
    "void elements": ("<p>a<br>b<img alt=x>c<hr></p>", "[p['a' br[] 'b' img alt=x[] 'c'] hr[]]"),
    "elements that close themselves": ("<p>a<b/>c</p><div/>d", "[p['a' b[] 'c'] div[] 'd']"),
    "references": ("<p>&lt;b&gt; &amp;amp; &#x1F600;&nbsp;&copy y &nope; & &</p>", None),
    "no references": ("<p>R&D, a &&b; AT&T</p>", "[p['R&D, a &&b; AT&T']]"),
    "comparisons": ("<p>3 < 4 <5 a<b</p>", None),
    "comments": ("<p>a<!-- <b> -- > -->b<!-->c<!--->d<!-- --!>e</p>", "[p['abcde']]"),
    "doctype and structure": (
        "<!DOCTYPE html>\n<html><head><title>T</title></head>\n<body>\n<p>x\n</body></html>",
        "[p['x']]",
    ),
    "unknown tags lose themselves": ("<p>a <font>b</font> <x-y>c</x-y></p>", "[p['a b c']]"),
    "cdata is a comment": ("<p>a<![CDATA[ x ]]>b</p>", "[p['ab']]"),
    "paragraphs end": ("<p>a<p>b<div>c</div><p>d<ul><li>e</ul>f", None),
    "items end": ("<ul><li>a<li>b <i>c<li>d</ul>e", "[ul[li['a'] li['b ' i['c']] li['d']] 'e']"),
    "lists inside": ("<ul><li>a<ul><li>b</ul><li>c</ul>", "[ul[li['a' ul[li['b']]] li['c']]]"),
    "terms end": ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "[dl[dt['a'] dd['b'] dt['c'] dd['d']]]"),
    "cells end": (
        "<table><tr><td>a<td>b<tr><th>c</table>d",
        "[table[tr[td['a'] td['b']] tr[th['c']]] 'd']",
    ),
    "sections end": (
        "<table><thead><tr><th>a<tbody><tr><td>b<table><tr><td>c</table>d</table>",
        "[table[thead[tr[th['a']]] tbody[tr[td['b' table[tr[td['c']]] 'd']]]]]",
    ),
    "stray end tags": ("<p>a</b>b</p></p></div></br>c", "[p['ab'] 'c']"),
    "end tags do not leave a cell": ("<p><table><tr><td>a</p>b</table>", "[p[] table[tr[td['ab']]]]"),
    "crossed tags": ("<p><b>a<i>b</b>c</i>d</p>", "[p[b['a' i['b']] 'cd']]"),
    "a heading ends another": ("<h2>a</h3>b", "[h2['a'] 'b']"),
    "unclosed": ("<div><p>a <b>b", "[div[p['a ' b['b']]]]"),
    "half a tag": ("<p>a</p><p cla", "[p['a']]"),
    "half an end tag": ("<p>a</", "[p['a']]"),
    "half a reference": ("<p>a &am", "[p['a &am']]"),
    "a sign at the end": ("<p>a <", "[p['a <']]"),
    "white space between blocks": ("\n<p> a\n b </p>\n\n<p>\n<i>c</i>\n</p>\n", "[p['a\\n b'] p[i['c']]]"),
    "white space in a line": ("<p><b>a</b> <i>b </i>c<br> d</p>", None),
    "white space in a line's element": ("<p>a<b> b</b></p>", "[p['a' b[' b']]]"),
    "preformatted": ("<pre>\n  a\n\n <b> b</b>\n</pre>\n", "[pre['  a\\n\\n ' b[' b'] '\\n']]"),
    "ruby": ("<ruby>漢<rt>kan<rp>(</ruby>", "[ruby['漢' rt['kan'] rp['(']]]"),
    "a language": ("<pre class='language-c++'>x</pre>", "[pre class=language-c++['x']]"),
    "no markup at all": ("Just text & more.\n", "['Just text & more.']"),
    "text, then something in a line": ("A <b>bold</b> word", "['A ' b['bold'] ' word']"),
    "nothing": ("", "[]"),
    "pairs": ("<p>😀\ud83d\ude00\ud83d x</p>", "[p['😀😀\ufffd x']]"),
}
ELSEWHERE = {
    "references": "[p['<b> &amp; 😀\\xa0© y &nope; & &']]",
    "comparisons": "[p['3 < 4 <5 a']]",
    "paragraphs end": "[p['a'] p['b'] div['c'] p['d'] ul[li['e']] 'f']",
    "white space in a line": "[p[b['a'] ' ' i['b '] 'c' br[] 'd']]",
    "that shows markup": "[p['x'] pre[code class=language-html['<b>&amp;</b>\\n']] p['y']]",
}
AROUND = {
    "a fence": ("```html\n<p>x</p>\n```", "[p['x']]", ""),
    "a fence in a line": ("```html <p>x</p>```", "[p['x']]", ""),
    "prose and a fence": ("Here, with <p>:\n```html\n<p>x</p>\n```\nBye <b>now</b>", None, None),
    "prose": ("Sure! Here it is:\n\n<h1>x</h1>", "[h1['x']]", "Sure! Here it is:\n\n"),
    "prose with a sign": ("a < b and <3:\n<p>x", "[p['x']]", "a < b and <3:\n"),
    "text in a fence": ("```\njust text\n```", "['just text']", ""),
    "a fence in code": ("<pre>\n```js\n```\n</pre>", "[pre['```js\\n```\\n']]", ""),
    "a fence in code in a fence": ("```html\n<pre>\n```\n</pre>\n```", "[pre['```\\n']]", ""),
    "ticks": ("<p>`a` ```b```</p>", "[p['`a` ```b```']]", ""),
    "a fence behind": ("<p>x</p>\n```\n", "[p['x']]", ""),
    "a fence of tildes": ("~~~html\n<p>x</p>\n~~~\nBye", "[p['x']]", ""),
    "a longer fence": ("````html\n<p>x</p>\n```\n</p>y\n````\nBye", "[p['x'] 'y']", ""),
    "a block behind a fence": ("```html\n<p>x</p>\n```\n<p>y</p>", "[p['x'] p['y']]", ""),
    "ticks in a fence": ("```html\nUse ```x``` now\n```\nBye", "['Use ```x``` now']", ""),
    "ticks at the top": ("Use ```x``` <b>now</b>", "['Use ```x``` ' b['now']]", ""),
    "a fence of another language": ("```vue\n\n<p>x</p>\n```\nBye", "[p['x']]", ""),
    "code first": ("```js\nlet a;\n```\n<p>y", "[pre[code class=language-js['let a;\\n']] p['y']]", ""),
    "prose, then code": (
        "Use:\n```js\nlet a;\n```\n",
        "[pre[code class=language-js['let a;\\n']]]",
        "Use:\n",
    ),
}
LET = "pre[code class=language-js['let a;\\n']]"
CODE = {
    "at the top": ("<p>x</p>\n```js\nlet a;\n```\n<p>y</p>", f"[p['x'] {LET} p['y']]"),
    "right behind a tag": ("<p>x</p>```js\nlet a;\n```\n<p>y</p>", f"[p['x'] {LET} p['y']]"),
    "with more words": ("<p>x</p>\n```js title=a.js\r\nlet a;\n```\r\ny", f"[p['x'] {LET} 'y']"),
    "no language": (
        "<p>x</p>\n```\na <b && c\n\n  d\n```\n<p>y",
        "[p['x'] pre[code['a <b && c\\n\\n  d\\n']] p['y']]",
    ),
    "no name of a language": ("<p>x</p>\n```{r}\ny\n```\n", "[p['x'] pre[code['y\\n']]]"),
    "of tildes": ("<p>x</p>\n~~~\n```\n~~~~\ny", "[p['x'] pre[code['```\\n']] 'y']"),
    "a longer fence": ("<p>x</p>\n````\n```\n````\ny", "[p['x'] pre[code['```\\n']] 'y']"),
    "that shows markup": ("<p>x</p>\n```html\n<b>&amp;</b>\n```\n<p>y", None),
    "in a paragraph": ("<p>x\n```js\nlet a;\n```\ny</p>z", f"[p['x'] {LET} 'yz']"),
    "in a section": ("<div>\n<p>x\n```js\nlet a;\n```\n</div>z", f"[div[p['x'] {LET}] 'z']"),
    "in a list": ("<ol><li>x\n   ```js\nlet a;\n   ```\n<li>y", f"[ol[li['x' {LET}] li['y']]]"),
    "in a fence": ("```html\n<p>x</p>\n```js\nlet a;\n```\n<p>y</p>\n```\nBye", f"[p['x'] {LET} p['y']]"),
    "twice": ("<p>x</p>\n```js\nlet a;\n```\ny\n```js\nlet a;\n```\n", f"[p['x'] {LET} 'y' {LET}]"),
    "never closed": ("<p>x</p>\n```js\nlet a;\n", f"[p['x'] {LET}]"),
    "never closed, markup behind it": ("<p>x</p>\n```\na\n</p><p>y", "[p['x'] pre[code['a\\n</p><p>y']]]"),
    "nothing in it": ("<p>x</p>\n```js\n```\n<p>y", "[p['x'] pre[code class=language-js[]] p['y']]"),
    "nothing behind it": ("<p>x</p>\n```js\n\n", "[p['x']]"),
    "not in its middle": (
        "<p>x</p>\n```\na ``` b\n     ```\n```c\n```",
        "[p['x'] pre[code['a ``` b\\n     ```\\n```c\\n']]]",
    ),
    "markup in a fence": ("<p>x</p>\n```\n<p>y</p>\n```\n<p>z", "[p['x'] p['y'] p['z']]"),
    "ticks in a line": ("<p>\n```x``` is code\n``y``\n</p>", "[p['```x``` is code\\n``y``']]"),
    "ticks alone in a cell": ("<td>\n```\n</td>", "[td['```']]"),
    "in a line's element": ("<p><code>\n```js\n</code></p>", "[p[code['\\n```js\\n']]]"),
    "in what is dropped": ("<svg>\n```js\n</svg><p>x", "[p['x']]"),
    "waves in a text": ("<p>~~~ a ~~~\n~5 ~~ b</p>", "[p['~~~ a ~~~\\n~5 ~~ b']]"),
    "thoughts in it": (
        "<p>x</p>\n```js\n<think>a</think>\n```\n",
        "[p['x'] pre[code class=language-js['<think>a</think>\\n']]]",
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_markup_becomes_a_tree_at_every_cut(name: str) -> None:
    text, tree = TREES[name]
    whole = parse([text])
    assert drawn(whole.tree) == (tree or ELSEWHERE[name])
    for pieces in every_cut(text):
        assert parse(pieces) == whole


@pytest.mark.parametrize("name", CODE)
def test_a_fence_in_the_middle_is_code_at_every_cut(name: str) -> None:
    text, tree = CODE[name]
    whole = parse([text])
    assert drawn(whole.tree) == (tree or ELSEWHERE[name])
    for pieces in every_cut(text):
        assert parse(pieces) == whole


@pytest.mark.parametrize("name", AROUND)
def test_what_is_around_is_kept_out_at_every_cut(name: str) -> None:
    text, tree, preamble = AROUND[name]
    whole = parse([text])
    if tree is not None:
        assert (drawn(whole.tree), whole.preamble) == (tree, preamble)
    for pieces in every_cut(text):
        assert parse(pieces) == whole


def test_thoughts_are_beside_the_tree() -> None:
    parsed = parse(["<think>Hm <p>", "no</p></think>", "\n<p>Yes</p>"])
    assert drawn(parsed.tree) == "[p['Yes']]"
    assert parsed.reasoning == "Hm <p>no</p>"


DRAFTS = {
    "markup": ("<p>Hm <b>so</b></p>\n</think>\n<p>Yes</p>", "[p['Yes']]", "Hm so", ""),
    "in the middle of it": ("<ul><li>a <pre>x\n y</THINK ><p>c", "[p['c']]", "ax\n y", ""),
    "in what is dropped": ("<p>a<svg>b</think>c", "['c']", "a", ""),
    "a line": ("a <b>x</b> plan &amp;</think>Yes <i>b</i>", "['Yes ' i['b']]", "a x plan &", ""),
    "prose": ("Hm so.\n</think>\n<p>Yes</p>", "[p['Yes']]", "", "Hm so.\n"),
    "prose behind it": ("<p>Hm</p></think>\nHere:\n<p>Yes</p>", "[p['Yes']]", "Hm", "Here:\n"),
    "a fence": ("```html\n<p>a</p>\n</think>\n```html\n<p>b</p>\n```\nx", "[p['b']]", "a", ""),
    "code": ("Hm <b>so</b>\n```js\nx\n</think>\n<p>Yes</p>", "[p['Yes']]", "Hm sox\n", ""),
    "prose and a fence": (
        "Hm:\n```html\n<p>a</p>\n```\nso\n</think>\n<p>Yes</p>",
        "[p['Yes']]",
        "a",
        "Hm:\n",
    ),
    "nothing behind it": ("<p>a</thought>", "[]", "a", ""),
    "twice": ("<p>a</think><p>b</think><p>c", "[p['c']]", "ab", ""),
    "a mark in quotes": ("<p>The `</think>` tag</p>", "[p['The `` tag']]", "", ""),
    "with its beginning": ("<p>Use <think>x</think> so</p>", "[p['Use x so']]", "", ""),
    "behind reasoning": ("<think>a</think><p>b</think>c</p>", "[p['bc']]", "a", ""),
    "in a script": ("<p>a<script>x</think></script>b", "[p['ab']]", "", ""),
    "another tag": ("<p>a</thing>b", "[p['ab']]", "", ""),
}


@pytest.mark.parametrize("name", DRAFTS)
def test_an_end_without_its_beginning_takes_back_what_was_reasoning(name: str) -> None:
    text, tree, reasoning, preamble = DRAFTS[name]
    whole = None
    for pieces in [[text], *every_cut(text)]:
        parser = HtmlParser("page")
        ops = [op for piece in pieces for op in parser.feed(piece)] + parser.close()
        document = fold_all([Set("", {}), *ops])["page"]
        assert repr(document) == repr(parser.value)
        told = [(op.uri, repr(op.value)) for op in ops if isinstance(op, Closed)]
        found = drawn(document), *parser.take_beside(), parser.repairs, told
        assert found[:3] == (tree, preamble, reasoning)
        assert found == (whole := whole or found)


async def test_a_draft_is_taken_back_from_a_page() -> None:
    answer = ["<p>Hm ", "<b>so</b></p>", "</think>", "<ul>", "<li>Yes", "</ul>"]
    drafts = plan(format="html", root="page", show_reasoning=True)
    ended = await outcome(drafts, [answer], input="go")
    assert drawn(ended.document["page"]) == "[ul[li['Yes']]]"
    assert ended.texts("reasoning", "bot#1") == "Hm so"


def test_a_draft_stays_where_marks_are_switched_off() -> None:
    assert drawn(parse(["<p>a</think>b"], reasoning=()).tree) == "[p['ab']]"
    assert drawn(parse(["<p>a</think>b"], reasoning=["<thought>"]).tree) == "[p['ab']]"


def test_prose_is_given_up_after_a_while() -> None:
    parsed = parse(["word " * 2000 + "<p>x</p>"])
    assert parsed.preamble == ""
    assert drawn(parsed.tree).startswith("['word word")


def test_text_streams_within_a_node() -> None:
    parser = HtmlParser("page")
    assert parser.feed("<p>He") == [
        Set("page", {}),
        Set("page/children", []),
        Set("page/children/0", {}),
        Append("page/children/0/tag", "p"),
        Set("page/children/0/attrs", {}),
        Set("page/children/0/children", []),
        Append("page/children/0/children/0", "He"),
    ]
    assert parser.feed("llo &a") == [Append("page/children/0/children/0", "llo")]
    assert parser.feed("mp; you") == [Append("page/children/0/children/0", " & you")]
    assert parser.feed("</p>") == [
        Closed("page/children/0/children/0", "Hello & you"),
        Closed("page/children/0", {"tag": "p", "attrs": {}, "children": ["Hello & you"]}),
    ]
    assert parser.close() == [Closed("page", parser.value)]
    assert parser.close() == []
    with pytest.raises(UsageError):
        parser.feed("x")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["name"])
def test_attacks_come_to_nothing_at_every_cut(attack: dict[str, str]) -> None:
    whole = parse([attack["html"]])
    check_is_safe(whole.tree)
    for pieces in every_cut(attack["html"]):
        assert parse(pieces) == whole


PIECES = (
    "<p>", "</p>", "<b>", "</b>", "<ul>", "<li>", "</ul>", "<table>", "<tr>", "<td>", "</table>", "<pre>",
    "</pre>", "<br>", "<script>", "</script>", "<svg>", "</svg>", "<a href='javascript:x'>", "</a>", "<img ",
    "src=x", ">", "/>", "<", "</", "<!--", "-->", "<!", "&amp;", "&", "#x41", ";", "'", '"', "=", "```",
    "\n```js\n", "~~~", "\n```\n", "</think>",
    "\n", " ", "a", "云", "😀", "\ud83d", "\ude00", "onclick=x", "<x-y>", "<style ", "<h1>", "</h2>",
    "<div/>", "html",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.integers(0, 2**32))
def test_soup_is_safe_and_the_same_for_every_cut(pieces: list[str], seed: int) -> None:
    text = "".join(pieces)
    whole = parse([text])
    check_is_safe(whole.tree)
    assert parse(list(text)) == whole
    dice = random.Random(seed)
    cuts = sorted(dice.choices(range(len(text) + 1), k=5))
    assert parse(text[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)) == whole


def check_is_safe(node: Any) -> None:
    if isinstance(node, str):
        assert node
        return
    for child in node["children"]:
        check_is_safe(child)
    if "tag" not in node:
        return
    assert node["tag"] in policy.ELEMENTS
    for name, value in node["attrs"].items():
        assert name in policy.ATTRIBUTES.get(node["tag"], ()) or name in ("dir", "lang", "title")
        if name in ("href", "src", "cite"):
            scheme, colon, _ = value.partition(":")
            assert not colon or set("/?#") & set(scheme) or scheme.lower() in ("http", "https", "mailto")
        if name == "class":
            assert value.startswith("language-")


@pytest.mark.parametrize("case", IMAGES, ids=lambda case: f"{case['images']} {case['src']}")
def test_images_keep_their_address_where_their_origin_is_asked_for(case: dict[str, Any]) -> None:
    parser = HtmlParser(images=case["images"])
    parser.feed(f'<img alt="a" src="{case["src"]}">')
    parser.close()
    image = parser.value["children"][0]["attrs"]
    assert ("src" in image, image["alt"]) == (case["shown"], "a")
    assert [kind for kind, _, _ in parser.repairs] == ([] if case["shown"] else ["dropped-attribute"])


def test_client_has_the_same_lists() -> None:
    script = (
        "import { ATTRIBUTES, ELEMENTS } from './lingstream/static/lingstream/nodes.js';\n"
        "output = { elements: [...ELEMENTS], attributes: Object.fromEntries(ATTRIBUTES) };"
    )
    client = in_node(script, None)
    assert set(client["elements"]) == policy.ELEMENTS
    assert {tag: tuple(names) for tag, names in client["attributes"].items()} == policy.ATTRIBUTES


def test_example_of_the_docs_runs() -> None:
    examples = re.findall(r"```python\n(.*?)\n```\n", (ROOT / "docs" / "html.md").read_text(), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, "docs/html.md", "exec"), {})


class TestBounds:
    @pytest.mark.parametrize(
        ("text", "bounds", "expected"),
        [
            ("<div>" * 101, {}, "100 elements inside each other"),
            ("<b>" * 4, {"max_depth": 3}, "3 elements inside each other"),
            ("<br>" * 11, {"max_nodes": 10}, "10 nodes"),
            ("a<br>" * 6, {"max_nodes": 10}, "10 nodes"),
            ("<b>x<p " + "x" * 20_000, {}, "16384 characters in a tag"),
            ("<b>x<p title='" + "<p>" * 9_000, {}, "16384 characters in a tag"),
            ("<p>abcdef", {"max_chars": 8}, "8 characters"),
        ],
    )
    def test_raise_with_uri_and_offset(self, text: str, bounds: dict[str, int], expected: str) -> None:
        for size in (1, 7, len(text)):
            parser = HtmlParser("page", **bounds)
            with pytest.raises(ParseLimitError, match=f"expected at most {expected}, got more") as caught:
                for start in range(0, len(text), size):
                    parser.feed(text[start : start + size])
            assert caught.value.uri.startswith("page")
            assert caught.value.offset > 0
            with pytest.raises(ParseLimitError):
                parser.feed("x")

    def test_a_character_past_all_numbers_is_no_fault(self) -> None:
        assert drawn(parse([f"<p>a<b title='&#{'9' * 5000};'>b&#{'9' * 50};"]).tree).startswith("[p['ab")

    def test_depth_within_them_is_fine(self) -> None:
        assert drawn(parse(["<b>" * 100 + "x"]).tree) == "[" + "b[" * 100 + "'x'" + "]" * 101

    @pytest.mark.parametrize(
        "unit",
        [
            "<!-- ",
            "< ",
            "&",
            "&amp",
            " ",
            "`",
            "<svg>",
            "<script>",
            "</x",
            "<![CDATA[",
            "<p>x",
            "word\n",
            "\n```",
            "\n~~~a\nb",
            "```a\n ",
        ],
    )
    def test_work_grows_with_the_text(self, unit: str) -> None:
        """The characters that the reader holds, summed over all chunks, are what could be read twice."""

        def held(count: int) -> int:
            parser, total = HtmlParser(), 0
            for chunk in ["<p>", *[unit] * count]:
                parser.feed(chunk)
                frame = parser._reading.gi_frame
                source = frame.f_locals["source"]
                total += len(source.text) - source.pos
            return total

        assert held(2_000) <= 2 * held(1_000) + 100


class TestBots:
    async def test_write_trees_and_tell_of_elements(self) -> None:
        ended = await outcome(
            plan(format="html", root="article"),
            "```html\n<h1>Clouds</h1>\n<p>Soft &amp; wet</p>\n```",
            input="go",
        )
        assert drawn(ended.document["article"]) == "[h1['Clouds'] p['Soft & wet']]"
        assert ended.events("bot#1") == [
            ("string-response", "article/children/0/children/0"),
            ("object-response", "article/children/0"),
            ("string-response", "article/children/1/children/0"),
            ("object-response", "article/children/1"),
            ("object-response", "article"),
            ("inference-done", "article"),
            ("response", "article"),
        ]

    async def test_send_only_what_is_asked_for(self) -> None:
        html = plan(format="html", exclude=("children/1/**",))
        ended = await outcome(html, "<p>a</p><p>b</p>", input="go")
        first, hidden = ended.document["children"]
        assert (drawn(first), hidden) == ("p['a']", None)

    async def test_show_images_of_the_origins_that_their_option_names(self) -> None:
        text = '<img src="/x.png"><img src="//evil.example/x.png">'
        asked = plan(format="html", options={"images": "same-origin"})
        ended = await outcome(asked, text, input="go")
        assert drawn(ended.document) == "[img src=/x.png[] img[]]"
        ended = await outcome(plan(format="html"), text, input="go")
        assert drawn(ended.document) == "[img[] img[]]"

    async def test_past_a_bound_fail_and_keep_what_came(self) -> None:
        ended = await outcome(plan(format="html"), "<p>a</p>" + "<b>" * 200, input="go")
        assert [error["code"] for error in ended.errors] == ["parse-limit"]
        assert drawn(ended.document["children"][0]) == "p['a']"
