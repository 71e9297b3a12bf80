"""The bindings alone: what they write for a document, and how little they touch for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from .sheet import Open, Sheet, append, set_

LIST = '<ul data-ling-each="list"><template><li data-ling="."></li></template></ul>'
HITS = """<ul data-ling-each="hits"><template><li><my-card data-ling-prop-hit="."></my-card></li>
    </template></ul>"""
CARDS = """<ul data-ling-each="cards" data-ling-key="id"><template><li><b data-ling="id"></b><input>
    <details><summary>more</summary></details></li></template></ul>"""


@pytest.fixture
def page(tab: Page, listen: Callable[[Page], Page]) -> Iterator[Page]:
    yield listen(tab)
    tab.unroute_all()


@pytest.fixture
def sheet(page: Page) -> Open:
    return lambda *args, **options: Sheet(page).open(*args, **options)


class TestAbout:
    @pytest.mark.parametrize(
        ("attribute", "shown"),
        [
            ('data-ling="@status"', "element.textContent === 'running'"),
            ('data-ling="@error/message"', "element.textContent === 'gone'"),
            ('data-ling="@input/question"', "element.textContent === 'why?'"),
            ('data-ling="@reasoning/a#1"', "element.textContent === 'hm'"),
            ('data-ling="@usage/total"', "element.textContent === '7'"),
            ('data-ling-if="@busy" hidden', "!element.hidden"),
            ('data-ling-if="!@busy"', "element.hidden"),
            ('data-ling-attr-title="@status"', "element.title === 'running'"),
            ('data-ling-attr-aria-busy="@busy"', "element.ariaBusy === 'true'"),
            ('data-ling-prop-hidden="@busy"', "element.hidden"),
            ('data-ling-class-on="@busy"', "element.className === 'on'"),
            ('data-ling-class-off="!@busy"', "element.className === ''"),
        ],
    )
    def test_is_read_by_every_binding_before_there_is_a_document(
        self, sheet: Open, page: Page, attribute: str, shown: str
    ) -> None:
        on = sheet(f"<div {attribute}></div>")
        on.say(
            status="running",
            busy=True,
            error={"message": "gone"},
            input={"question": "why?"},
            usage={"total": 7},
            reasoning={"a#1": "hm"},
        )
        assert page.evaluate(
            f"(() => {{ const element = document.querySelector('div'); return {shown}; }})()"
        )

    def test_follows_what_was_touched_inside_items_too(self, sheet: Open) -> None:
        on = sheet('<ul data-ling-each="list"><template><li data-ling="@status"></li></template></ul>')
        on.say(status="running")
        on.replace({"list": [1, 2]})
        assert on.texts("li") == ["running", "running"]
        on.say(status="finished")
        assert on.texts("li") == ["finished", "finished"]

    def test_can_be_listed(self, sheet: Open) -> None:
        on = sheet('<ul data-ling-each="@reasoning"><template><li data-ling="."></li></template></ul>')
        on.say(reasoning={"a#1": "one"})
        on.say(reasoning={"a#1": "one more", "b#1": "two"})
        assert on.texts("li") == ["one more", "two"]

    def test_is_no_key_of_the_document(self, sheet: Open) -> None:
        on = sheet(r'<i data-ling="@status"></i><b data-ling="\@status"></b>')
        on.say(status="running")
        on.replace({"@status": "of the model"})
        assert on.texts("i, b") == ["running", "of the model"]
        on.apply(append(r"\@status", "!"))
        assert on.texts("i, b") == ["running", "of the model!"]


class TestClosed:
    def test_tells_fields_alone_and_within_what_they_are_in(self, sheet: Open) -> None:
        on = sheet(
            """<b data-ling-class-done="@closed/answer">b</b><i data-ling-if="!@closed/answer">i</i>
            <ul data-ling-each="list"><template>
              <li data-ling-class-done="@closed/text" data-ling-class-all="@closed/."></li>
            </template></ul>"""
        )
        on.replace({})
        on.apply(
            append("answer", "x"), set_("list", [{"text": ""}, {"text": ""}]), append("list/0/text", "y")
        )
        assert on.page.locator(".done, .all").count() == 0
        on.settle("answer")
        on.settle("list/0/text")
        assert on.page.locator("b.done").count() == 1
        assert on.page.is_hidden("i")
        assert on.page.eval_on_selector_all("li", "all => all.map((li) => li.className)") == ["done", ""]
        on.settle("list")
        assert on.page.locator("li.done.all").count() == 2
        on.apply(append("answer", "again"))
        assert on.page.locator("b.done").count() == 0, "it is being written again"
        on.settle("")
        assert on.page.locator("b.done").count() == 1

    def test_of_another_run_is_open_again(self, sheet: Open) -> None:
        on = sheet('<b data-ling-class-done="@closed/a"></b>')
        on.replace({"a": "x"})
        on.settle("a")
        assert on.page.locator("b.done").count() == 1
        on.replace({"a": "y"})
        assert on.page.locator("b.done").count() == 0


class TestDirtyPaths:
    """Work is counted: what of the document is read, what of the page is looked at, and what is written."""

    COUNT = """([size, ops]) => {
        let [reads, looks] = [0, 0];
        const { get: original } = Object.getOwnPropertyDescriptor(Element.prototype, "children");
        const children = {
            configurable: true,
            get() {
                const all = original.call(this);
                looks += all.length;
                return all;
            },
        };
        const counted = (value) => value === null || typeof value !== "object" ? value : new Proxy(value, {
            get(target, key) {
                if (typeof key === "string" && key !== "length") reads += 1;
                return counted(target[key]);
            },
        });
        const document_ = { list: [], title: "t" };
        for (let i = 0; i < size; i++) {
            document_.list.push({ topic: `topic ${i}`, details: "d", tags: ["x"] });
        }
        replace(document_);
        draw();
        apply(ops);
        const observer = new MutationObserver(() => {});
        const all = { subtree: true, childList: true, attributes: true, characterData: true };
        observer.observe(document.body, all);
        reads = 0;
        Object.defineProperty(Element.prototype, "children", children);
        bindings.render(counted(folded));
        Object.defineProperty(Element.prototype, "children", { configurable: true, get: original });
        return [reads, looks, observer.takeRecords().length];
    }"""
    MARKUP = """<h1 data-ling="title"></h1><ol data-ling-each="list"><template><li>
        <b data-ling="topic"></b><i data-ling="details"></i><em data-ling-if="more" hidden></em>
        <ul data-ling-each="tags"><template><li data-ling="."></li></template></ul><u data-ling="/title"></u>
        </li></template></ol>"""

    @pytest.mark.parametrize(
        "ops",
        [
            [append("list/7/details", " more")],
            [append("title", "!"), append("list/0/topic", "x")],
            [set_("list/20", {"topic": "new"}), append("list/20/topic", "er")],
            [append("list/3/tags/1", "y")],
        ],
        ids=["one field", "two places", "a new item", "a list in a list"],
    )
    def test_of_a_frame_do_not_grow_with_the_list(
        self, sheet: Open, page: Page, ops: list[dict[str, Any]]
    ) -> None:
        on = sheet(self.MARKUP.replace('<u data-ling="/title"></u>', ""))
        costs = []
        for size in (20, 2_000):
            moved = [{**op, "uri": op["uri"].replace("list/20", f"list/{size}")} for op in ops]
            costs.append(page.evaluate(self.COUNT, [size, moved]))
        assert costs[0] == costs[1]
        reads, looks, writes = costs[0]
        assert reads < 20
        assert looks < 20
        assert 0 < writes < 20
        assert on.texts("h1")[0].startswith("t")

    def test_of_places_outside_reach_every_item(self, sheet: Open) -> None:
        on = sheet(self.MARKUP)
        on.replace({"title": "a", "list": [{"topic": 1}, {"topic": 2}]})
        on.apply(append("title", "b"))
        assert on.texts("u") == ["ab", "ab"]

    def test_that_did_not_change_are_not_written(self, sheet: Open, page: Page) -> None:
        on = sheet(self.MARKUP)
        document = {"title": "a", "list": [{"topic": "x", "details": "y", "more": 1, "tags": ["t"]}] * 5}
        on.replace(document)
        page.evaluate(
            """() => {
                window.observer = new MutationObserver(() => {});
                const all = { subtree: true, childList: true, attributes: true, characterData: true };
                observer.observe(document.body, all);
            }"""
        )
        on.replace(document)
        assert page.evaluate("observer.takeRecords().length") == 0

    def test_objects_show_new_members_in_their_order(self, sheet: Open) -> None:
        on = sheet('<ul data-ling-each="map"><template><li data-ling="."></li></template></ul>')
        on.replace({"map": {"b": "b"}})
        on.apply(set_("map/a", "a"), append("map/c", "c"))
        assert on.texts("li") == ["b", "a", "c"]
        on.apply(set_("map/7", "7"), append("map/c", "!"))
        assert on.texts("li") == ["7", "b", "a", "c!"], "JavaScript puts such keys in front"
        on.apply(append("map/7", "?"), append("map/a", "?"))
        assert on.texts("li") == ["7?", "b", "a?", "c!"]


class TestSlices:
    """The clock is the test's: each read of it takes a tenth of a millisecond."""

    DRAW = """async ([size, between]) => {
        replace({ list: Array.from({ length: size }, (_, i) => `item ${i}`) });
        let now = 0;
        const original = performance.now;
        performance.now = () => (now += 0.1);
        const counts = [];
        try {
            for (let whole = false, frames = 0; !whole && frames < 1000; frames++) {
                whole = bindings.render(folded, now + 8);
                counts.push(document.querySelectorAll("li").length);
                if (frames === 2 && between !== null) apply(between);
            }
        } finally {
            performance.now = original;
        }
        return counts;
    }"""

    def test_of_a_long_list_follow_each_other_in_order(self, sheet: Open, page: Page) -> None:
        on = sheet(LIST)
        counts = page.evaluate(self.DRAW, [1_000, None])
        assert counts == sorted(counts)
        assert len(counts) > 10
        assert counts[0] < 100
        assert on.texts("li") == [f"item {index}" for index in range(1_000)]

    def test_take_up_what_comes_between_them(self, sheet: Open, page: Page) -> None:
        on = sheet(LIST)
        ops = [
            append("list/0", "!"),
            append("list/999", "!"),
            append("list/1000", "new"),
            set_("list/5", "5"),
        ]
        page.evaluate(self.DRAW, [1_000, ops])
        texts = on.texts("li")
        assert texts == ["item 0!", *texts[1:5], "5", *texts[6:999], "item 999!", "new"]
        assert texts[998] == "item 998"

    def test_are_given_up_for_another_document(self, sheet: Open, page: Page) -> None:
        on = sheet(LIST)
        page.evaluate(
            """() => {
                replace({ list: Array.from({ length: 100 }, (_, i) => i) });
                if (bindings.render(folded, 0)) throw new Error("expected a rest");
                replace({ list: ["a", "b"] });
                draw();
            }"""
        )
        assert on.texts("li") == ["a", "b"]


class TestText:
    def test_is_appended_to_and_keeps_a_selection(self, sheet: Open, page: Page) -> None:
        on = sheet('<p data-ling="t"></p>')
        on.replace({"t": "one two"})
        page.evaluate(
            "getSelection().setBaseAndExtent(document.querySelector('p').firstChild, 0, "
            "document.querySelector('p').firstChild, 3)"
        )
        on.apply(append("t", " three"))
        on.replace({"t": "one two three four"})
        assert page.evaluate("getSelection().toString()") == "one"
        assert on.texts("p") == ["one two three four"]

    @pytest.mark.parametrize(
        "text", ["😀" * 40_000, "x" + "😀" * 40_000, "a" * 200_000], ids=["even", "odd", "plain"]
    )
    def test_of_any_length_is_whole(self, sheet: Open, page: Page, text: str) -> None:
        on = sheet('<p data-ling="t"></p>')
        on.replace({"t": text})
        assert page.evaluate("document.querySelector('p').textContent") == text
        assert page.evaluate(
            "[...document.querySelector('p').childNodes].every((node) => node.data.isWellFormed())"
        )

    @pytest.mark.parametrize(
        ("form", "value", "lang", "shown"),
        [
            ("number", 1234567.5, "de", "1.234.567,5"),
            ("number", "1234", "en", "1,234"),
            ("percent", 0.256, "en", "25.6%"),
            ("currency:EUR", 12, "de", "12,00\N{NO-BREAK SPACE}€"),
            ("currency:EUR", 12, "en", "€12.00"),
            ("date", "2026-11-05", "en", "Nov 5, 2026"),
            ("date", "2026-11-05", "de", "05.11.2026"),
            ("number", "soon", "en", "soon"),
            ("number", None, "en", ""),
            ("currency:nonsense", 12, "en", "12"),
            ("constructor", 12, "en", "12"),
            ("date", [1], "en", "[1]"),
            ("number", 5, "no such language", "5"),
        ],
    )
    def test_has_a_format(self, sheet: Open, form: str, value: object, lang: str, shown: str) -> None:
        on = sheet(
            f'<div lang="{lang}"><p data-ling="v" data-ling-format="{form}"></p>'
            f'<ul data-ling-each="list"><template><li data-ling="." data-ling-format="{form}"></li>'
            "</template></ul>"
            "</div>"
        )
        on.replace({"v": value, "list": [value]})
        assert on.texts("p, li") == [shown, shown]

    def test_has_no_format_while_it_is_written(self, sheet: Open) -> None:
        on = sheet('<p data-ling="day" data-ling-format="date"></p>')
        on.replace({})
        on.apply(append("day", "2026-1"))
        assert on.texts("p") == ["2026-1"]
        on.apply(append("day", "1-05"))
        assert on.texts("p") == ["2026-11-05"]
        on.settle("day")
        assert on.texts("p") == ["Nov 5, 2026"]


class TestKeys:
    def test_bring_items_into_a_new_order_with_what_is_in_them(self, sheet: Open, page: Page) -> None:
        on = sheet(CARDS)
        on.replace({"cards": [{"id": name} for name in "abcde"]})
        page.locator("li", has_text="d").locator("input").fill("typed")
        page.locator("li", has_text="b").locator("summary").click()
        page.locator("li", has_text="d").locator("input").focus()
        page.evaluate("document.activeElement.setSelectionRange(1, 3)")
        on.replace({"cards": [{"id": name} for name in "edxcb"]})
        assert on.texts("b") == ["e", "d", "x", "c", "b"]
        state = """[...document.querySelectorAll("li")].map((li) =>
            [li.dataset.lingItem, li.querySelector("input").value, li.querySelector("details").open])"""
        assert page.evaluate(state) == [
            ["e", "", False],
            ["d", "typed", False],
            ["x", "", False],
            ["c", "", False],
            ["b", "", True],
        ]
        focused = """(() => { const { activeElement: it } = document;
            return [it.closest("li").dataset.lingItem, it.selectionStart, it.selectionEnd]; })()"""
        assert page.evaluate(focused) == ["d", 1, 3]

    def test_move_as_few_items_as_can_be(self, sheet: Open, page: Page) -> None:
        on = sheet(CARDS)
        names = [f"n{index}" for index in range(100)]
        on.replace({"cards": [{"id": name} for name in names]})
        page.evaluate(
            """() => {
                window.observer = new MutationObserver(() => {});
                observer.observe(document.querySelector("ul"), { childList: true });
            }"""
        )
        moved = [names[-1], *names[1:60], names[0], *names[60:-1]]
        on.replace({"cards": [{"id": name} for name in moved]})
        assert on.texts("b") == moved
        assert page.evaluate("observer.takeRecords().flatMap((r) => [...r.addedNodes]).length") <= 4

    def test_are_the_index_until_they_are_whole(self, sheet: Open, page: Page) -> None:
        on = sheet(CARDS)
        labels = "[...document.querySelectorAll('li')].map((li) => li.dataset.lingItem)"
        on.replace({"cards": []})
        on.apply(
            set_("cards/0", {}), append("cards/0/id", "al"), set_("cards/1", {}), append("cards/1/id", "b")
        )
        kept = page.query_selector("li")
        assert page.evaluate(labels) == ["0", "1"]
        on.apply(append("cards/0/id", "ice"))
        on.settle("cards/0/id")
        assert page.evaluate(labels) == ["alice", "1"]
        on.settle("cards/1/id")
        on.replace({"cards": [{"id": "b"}, {"id": "alice"}]})
        assert page.evaluate(labels) == ["b", "alice"]
        assert page.evaluate("first => first === document.querySelectorAll('li')[1]", kept)

    @pytest.mark.parametrize(
        ("cards", "labels"),
        [
            ([{"id": "a"}, {"id": "a"}], ["a", "1"]),
            ([{}, {"id": None}, {"id": ""}, {"id": {}}], ["0", "1", "2", "3"]),
            ([{"id": 7}, {"id": "7"}, "text", None], ["7", "1", "2", "3"]),
            ([{"id": "1"}, {}], ["1", "1"]),
            ([{"id": "__proto__"}, {"id": "constructor"}], ["__proto__", "constructor"]),
        ],
        ids=["doubled", "missing", "numbers", "as an index", "of objects"],
    )
    def test_that_are_none_stay_the_index(
        self, sheet: Open, page: Page, cards: list[Any], labels: list[str]
    ) -> None:
        on = sheet(CARDS)
        for _ in range(2):
            on.replace({"cards": cards})
            assert page.eval_on_selector_all("li", "all => all.map((li) => li.dataset.lingItem)") == labels

    def test_random_orders(self, sheet: Open, page: Page) -> None:
        sheet(CARDS)
        wrong = page.evaluate(
            """() => {
                let seed = 7;
                const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
                for (let round = 0; round < 200; round++) {
                    const ids = Array.from({ length: random(12) }, () => `n${random(20)}`);
                    replace({ cards: ids.map((id) => ({ id })) });
                    draw();
                    const shown = [...document.querySelectorAll("li b")].map((b) => b.textContent);
                    if (shown.join() !== ids.join()) return [shown, ids];
                }
                return null;
            }"""
        )
        assert wrong is None
        assert page.locator("ul > *").last.evaluate("last => last.localName") == "template"

    def test_draw_items_where_they_are_now(self, sheet: Open) -> None:
        on = sheet(CARDS.replace("<input>", '<i data-ling="text"></i>'))
        on.replace({"cards": [{"id": "a", "text": "1"}, {"id": "b", "text": "2"}]})
        on.replace({"cards": [{"id": "b", "text": "2"}, {"id": "a", "text": "1"}]})
        on.apply(append("cards/0/text", "b"))
        assert on.texts("i") == ["2b", "1"]
        assert on.page.locator("[data-ling-writing]").text_content() == "2b"
        on.settle("cards/0")
        assert on.page.locator("[data-ling-writing]").count() == 0


class TestTakingOver:
    FIRST = """<h1 data-ling="title" data-ling-placeholder="">Title</h1>
        <p data-ling="wait">Wait…</p><p data-ling-if="more">more</p>
        <ul data-ling-each="list"><li data-ling-item="0"><b data-ling="x">one</b></li>
        <li data-ling-item="1"><b data-ling="x">two</b></li>
        <template><li><b data-ling="x"></b></li></template></ul>"""

    def test_leaves_what_the_server_wrote_until_there_is_a_document(self, sheet: Open, page: Page) -> None:
        sheet(self.FIRST)
        before = page.inner_html("section")
        page.evaluate("draw()")
        assert page.inner_html("section") == before

    def test_writes_nothing_that_is_there(self, sheet: Open, page: Page) -> None:
        on = sheet(self.FIRST)
        page.evaluate(
            """() => {
                window.observer = new MutationObserver(() => {});
                observer.observe(document.body, { subtree: true, childList: true, characterData: true });
            }"""
        )
        on.replace({"title": "Title", "more": True, "list": [{"x": "one"}, {"x": "two"}]})
        assert page.evaluate("observer.takeRecords().length") == 0
        on.apply(append("list/1/x", "!"), set_("list/2", {"x": "three"}))
        assert on.texts("b") == ["one", "two!", "three"]

    def test_goes_on_where_the_server_was(self, sheet: Open, page: Page) -> None:
        on = sheet(self.FIRST)
        kept = page.query_selector("li")
        on.replace({"title": "Title, longer", "list": [{"x": "one more"}]})
        assert on.texts("h1, b") == ["Title, longer", "one more"]
        assert page.evaluate("kept => kept === document.querySelector('li')", kept)

    def test_knows_a_placeholder_from_a_text(self, sheet: Open) -> None:
        on = sheet(self.FIRST)
        on.replace({"title": "T", "wait": "x"})
        on.replace({})
        assert on.texts("h1") + on.texts("p")[:1] == ["", "Wait…"]
        assert on.texts("b") == []

    def test_of_a_copy_of_the_page(self, sheet: Open, page: Page) -> None:
        """As Turbo's cache does, or who sets innerHTML to what it was."""
        on = sheet(self.FIRST + '<i data-ling="empty"></i>')
        on.replace({"title": "T", "wait": "x", "empty": "y", "list": [{"x": "a"}, {"x": "b"}]})
        page.evaluate(
            """() => {
                bindings.disconnect();
                const root = document.querySelector("section");
                root.replaceWith(root.cloneNode(true));
                window.bindings = new Bindings(document.querySelector("section"));
            }"""
        )
        on.replace({"list": [{"x": "a"}, {"x": "b"}, {"x": "c"}]})
        assert on.texts("h1") + on.texts("p")[:1] + on.texts("i") == ["", "Wait…", ""]
        assert on.texts("b") == ["a", "b", "c"]

    @pytest.mark.parametrize("is_again", [False, True], ids=["once", "in a copy"])
    def test_of_lists_that_are_looked_at_again(self, sheet: Open, page: Page, is_again: bool) -> None:
        on = sheet(LIST + CARDS)
        document = {"list": ["a", "b"], "cards": [{"id": "one"}, {"id": "two"}]}
        on.replace(document)
        page.evaluate(
            """(isAgain) => {
                window.items = [...document.querySelectorAll("li")];
                if (!isAgain) return bindings.refresh();
                bindings.disconnect();
                window.bindings = new Bindings(document.querySelector("section"));
            }""",
            is_again,
        )
        on.replace(document)
        assert on.texts("ul:first-of-type li") + on.texts("b") == ["a", "b", "one", "two"]
        assert page.evaluate("[...document.querySelectorAll('li')].every((item, at) => item === items[at])")

    def test_by_key_and_of_items_without_a_key(self, sheet: Open, page: Page) -> None:
        on = sheet(
            """<ul data-ling-each="a" data-ling-key="id"><li data-ling-item="two"><input></li>
            <li data-ling-item="one"><input></li><template><li><input></li></template></ul>
            <ol data-ling-each="b"><li data-ling-item data-ling=".">x</li>
            <li data-ling-item data-ling=".">y</li>
            <template><li data-ling="."></li></template></ol>"""
        )
        page.locator("input").nth(1).fill("beside one")
        on.replace({"a": [{"id": "one"}, {"id": "two"}, {"id": "three"}], "b": ["x", "z"]})
        assert page.eval_on_selector_all("input", "all => all.map((i) => i.value)") == ["beside one", "", ""]
        assert on.texts("ol li") == ["x", "z"]

    def test_of_templates_whose_children_stand_beside_their_content(self, sheet: Open, page: Page) -> None:
        """React and Vue make them so."""
        on = sheet('<ul data-ling-each="list"></ul>')
        page.evaluate(
            """() => {
                const template = document.createElement("template");
                const item = document.createElement("li");
                item.setAttribute("data-ling", ".");
                template.append(item);
                document.querySelector("ul").append(template);
            }"""
        )
        on.frame()
        on.replace({"list": ["a", "b"]})
        assert on.texts("ul > li") == ["a", "b"]


class TestProperties:
    @pytest.mark.parametrize(
        ("markup", "value", "property_", "shown"),
        [
            ("<input data-ling-prop-value=v>", "text", "value", "text"),
            ("<input data-ling-prop-value=v>", 5, "value", "5"),
            ("<input value=old data-ling-prop-value=v>", None, "value", ""),
            ("<input value=old data-ling-prop-value=w>", 5, "value", "old"),
            ("<input type=checkbox checked data-ling-prop-checked=w>", 5, "checked", True),
            ("<select data-ling-prop-value=w><option>a<option selected>b</select>", 5, "value", "b"),
            ("<progress max=100 data-ling-prop-value=v></progress>", "50", "value", 50),
            ("<progress max=100 data-ling-prop-value=v></progress>", "50%", "value", 0),
            ("<textarea data-ling-prop-value=v></textarea>", "text", "value", "text"),
            ("<select data-ling-prop-value=v><option>a<option>b</select>", "b", "value", "b"),
            ("<input type=checkbox data-ling-prop-checked=v>", "yes", "checked", True),
            ("<input type=checkbox checked data-ling-prop-checked=!v>", [1], "checked", False),
            ("<button data-ling-prop-disabled=v>x</button>", True, "disabled", True),
            ("<p data-ling-prop-hidden=v>x</p>", {"a": 1}, "hidden", True),
            ("<details data-ling-prop-open=v>x</details>", 1, "open", True),
            ("<my-card data-ling-prop-hit=v></my-card>", {"a": [1]}, "hit.a[0]", 1),
            ("<my-card data-ling-prop-big-hit=v></my-card>", "x", "bigHit", "x"),
        ],
    )
    def test_are_written(
        self, sheet: Open, page: Page, markup: str, value: object, property_: str, shown: object
    ) -> None:
        on = sheet(markup)
        page.evaluate("customElements.define('my-card', class extends HTMLElement {})")
        on.replace({"v": value})
        assert page.evaluate(f"document.querySelector('section > *').{property_}") == shown

    @pytest.mark.parametrize(
        "name",
        [
            *["inner-html", "innerhtml", "outer-html", "raw-html", "html", "srcdoc", "onclick", "on-answer"],
            *["text-content", "style", "class-name", "__proto__", "constructor", "prototype", "append-child"],
        ],
    )
    def test_of_a_custom_element_that_are_dangerous_are_refused(self, context: Any, name: str) -> None:
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        sheet = Sheet(page)
        sheet.open(f"<my-card data-ling-prop-{name}=v>kept</my-card>")
        sheet.replace({"v": "<img src=x onerror=alert(1)>"})
        assert page.inner_text("my-card") == "kept"
        if name != "prototype":
            assert len(told) == 1
            assert f"data-ling-prop-{name} is not allowed" in told[0]
        assert page.evaluate(
            "Object.getPrototypeOf(document.querySelector('my-card')) === HTMLElement.prototype"
        )

    @pytest.mark.parametrize("name", ["title", "src", "href", "text-content"])
    def test_of_other_elements_are_refused(self, context: Any, name: str) -> None:
        page = context.new_page()
        sheet = Sheet(page)
        sheet.open(f"<iframe data-ling-prop-{name}=v></iframe>")
        sheet.replace({"v": "javascript:alert(1)"})
        assert page.evaluate(f"document.querySelector('iframe').getAttribute('{name}')") is None

    @pytest.mark.parametrize("name", ["attr-onclick", "attr-style", "prop-text-content"])
    def test_what_is_refused_is_told_once_for_all_items(self, context: Any, name: str) -> None:
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        sheet = Sheet(page)
        sheet.open(f"<ul data-ling-each=v><template><li data-ling-{name}=.>kept</li></template></ul>")
        sheet.replace({"v": ["alert(1)"] * 3})
        assert page.eval_on_selector_all("li", "all => all.map(({ outerHTML }) => outerHTML)") == [
            f'<li data-ling-{name}="." data-ling-item="{index}">kept</li>' for index in range(3)
        ]
        assert len(told) == 1
        assert f"data-ling-{name} is not allowed" in told[0]

    def test_give_the_item_itself_also_to_what_is_defined_later(self, sheet: Open, page: Page) -> None:
        on = sheet(HITS)
        on.replace({"hits": [{"n": 1}, {"n": 2}]})
        page.evaluate(
            """() => customElements.define("my-card", class extends HTMLElement {
                set hit(hit) { this.textContent = `hit ${hit.n}`; }
            })"""
        )
        on.frame()
        assert on.texts("my-card") == ["hit 1", "hit 2"]
        on.apply(set_("hits/0/n", 3), set_("hits/2", {"n": 4}))
        assert on.texts("my-card") == ["hit 3", "hit 2", "hit 4"]

    def test_are_there_before_an_item_is_connected(self, sheet: Open, page: Page) -> None:
        on = sheet(HITS)
        page.evaluate(
            """() => customElements.define("my-card", class extends HTMLElement {
                connectedCallback() { this.textContent = this.hit; }
            })"""
        )
        on.replace({"hits": ["a"]})
        assert on.texts("my-card") == ["a"]

    def test_leave_a_field_to_who_types_in_it(self, sheet: Open, page: Page) -> None:
        on = sheet('<input id="a" data-ling-prop-value="v"><input id="b">')
        on.replace({})
        page.focus("#a")
        on.apply(append("v", "from the model"))
        assert page.input_value("#a") == "from the model", "nobody has typed yet"
        page.evaluate("document.activeElement.setSelectionRange(4, 4)")
        on.apply(append("v", ", more"))
        assert page.evaluate("document.activeElement.selectionStart") == 4
        page.keyboard.type("!")
        on.apply(append("v", ", and more"))
        assert page.input_value("#a") == "from! the model, more"
        page.focus("#b")
        assert page.input_value("#a") == "from! the model, more"
        on.apply(append("v", "."))
        assert page.input_value("#a") == "from the model, more, and more."

    def test_leave_a_composition_alone(self, sheet: Open, page: Page) -> None:
        on = sheet('<input id="a" data-ling-prop-value="v">')
        on.replace({"v": ""})
        page.focus("#a")
        session = page.context.new_cdp_session(page)
        session.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
        on.apply(append("v", "model"))
        session.send("Input.insertText", {"text": "日本"})
        assert page.input_value("#a") == "日本"

    def test_that_disable_a_focused_button_keep_the_focus(self, sheet: Open, page: Page) -> None:
        on = sheet(
            '<button id="ask" data-ling-prop-disabled="@busy">Ask</button><button id="other">other</button>'
        )
        page.evaluate(
            """() => {
                window.clicks = 0;
                document.querySelector("#ask").addEventListener("click", () => clicks++);
            }"""
        )
        on.say(busy=False)
        page.focus("#ask")
        on.say(busy=True)
        on.frame()
        on.frame()
        state = """(() => { const ask = document.querySelector("#ask");
            const isFocused = document.activeElement === ask;
            return [isFocused, ask.disabled, ask.getAttribute("aria-disabled"), clicks]; })()"""
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        assert page.evaluate(state) == [True, False, "true", 0]
        on.say(busy=False)
        page.keyboard.press("Enter")
        assert page.evaluate(state) == [True, False, None, 1]
        on.say(busy=True)
        page.focus("#other")
        assert page.evaluate(state) == [False, True, None, 1]
        on.say(busy=False)
        assert page.evaluate(state) == [False, False, None, 1]


class TestClasses:
    def test_stand_beside_those_of_the_page(self, sheet: Open, page: Page) -> None:
        on = sheet('<p class="own" data-ling-class-is-good="good" data-ling-class-bad="!good">x</p>')
        on.replace({"good": 1})
        assert page.get_attribute("p", "class") == "own is-good"
        page.evaluate("document.querySelector('p').classList.add('later')")
        on.replace({"good": 0})
        assert page.get_attribute("p", "class") == "own later bad"


class TestMistakes:
    @pytest.mark.parametrize("attribute", ['data-ling="a//b"', 'data-ling-if="a\\"', 'data-ling-each="//"'])
    def test_in_a_uri_are_told_and_the_rest_works(self, context: Any, attribute: str) -> None:
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        sheet = Sheet(page)
        sheet.open(f'<p {attribute}></p><b data-ling="a"></b>')
        sheet.replace({"a": "x"})
        assert sheet.texts("b") == ["x"]
        assert len(told) == 1
        assert told[0].startswith("lingstream: expected")

    def test_in_a_setter_are_reported_and_the_rest_works(self, context: Any) -> None:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        sheet = Sheet(page)
        sheet.open('<my-card data-ling-prop-hit="a"></my-card><b data-ling="a"></b>')
        page.evaluate(
            """() => customElements.define("my-card", class extends HTMLElement {
                set hit(_) { throw new Error("of the page"); }
            })"""
        )
        sheet.replace({"a": "x"})
        assert sheet.texts("b") == ["x"]
        assert len(errors) == 1


class TestChangesOfOthers:
    def test_children_that_come_later_are_bound(self, sheet: Open, page: Page) -> None:
        on = sheet(LIST + "<div></div>")
        on.replace({"a": "x", "list": ["one"]})
        page.evaluate(
            """() => {
                const make = (tag, name, uri, ...children) => {
                    const element = document.createElement(tag);
                    if (name) element.setAttribute(name, uri);
                    element.append(...children);
                    return element;
                };
                const template = document.createElement("template");
                template.content.append(make("li", "data-ling", "."));
                document.querySelector("div").append(
                    make("p", "data-ling", "a"), make("ol", "data-ling-each", "list", template));
            }"""
        )
        on.frame()
        assert on.texts("p, ol li") == ["x", "one"]
        on.apply(append("a", "y"), append("list/1", "two"))
        assert on.texts("p, ol li") == ["xy", "one", "two"]

    def test_children_of_an_item_are_relative_to_it(self, sheet: Open, page: Page) -> None:
        on = sheet('<ul data-ling-each="list"><template><li></li></template></ul>')
        on.replace({"list": [{"t": "one"}, {"t": "two"}]})
        page.evaluate(
            """() => {
                for (const item of document.querySelectorAll("li")) {
                    const inner = document.createElement("b");
                    inner.setAttribute("data-ling", "t");
                    item.append(inner);
                }
            }"""
        )
        on.frame()
        on.apply(append("list/1/t", "!"))
        assert on.texts("b") == ["one", "two!"]

    def test_children_that_went_are_forgotten(self, sheet: Open, page: Page) -> None:
        on = sheet('<p data-ling="a"></p>' + LIST)
        on.replace({"a": "x", "list": ["one"]})
        kept = page.evaluate_handle("document.querySelector('p')")
        page.evaluate("document.querySelectorAll('p, ul').forEach((each) => each.remove())")
        on.frame()
        on.apply(append("a", "y"), append("list/0", "!"))
        assert kept.evaluate("node => node.textContent") == "x"
        page.evaluate("(kept) => document.querySelector('section').append(kept)", kept)
        on.frame()
        assert on.texts("p") == ["xy"]

    def test_nothing_is_kept_of_what_went(self, sheet: Open, page: Page) -> None:
        on = sheet('<ul data-ling-each="list"><template><li data-ling="@status"></li></template></ul>')
        page.evaluate(
            """() => {
                window.refs = [];
                for (let round = 0; round < 20; round++) {
                    replace({ list: Array.from({ length: 50 }, () => round % 2) });
                    draw();
                    refs.push(new WeakRef(document.querySelector("li")));
                    replace({ list: [] });
                    draw();
                }
            }"""
        )
        on.frame()
        page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
        assert page.evaluate("refs.filter((ref) => ref.deref() !== undefined).length") <= 1

    @pytest.mark.parametrize(
        "change",
        [
            "p.textContent = 'spoilt'",
            "p.firstChild.data = 'spoilt'",
            "p.append('more')",
            "p.replaceChildren()",
            "p.removeAttribute('data-ling-writing')",
            "b.hidden = true",
            "b.removeAttribute('title')",
            "b.className = ''",
            "ul.replaceChildren()",
            "ul.prepend(ul.children[1])",
            "ul.firstElementChild.removeAttribute('data-ling-item')",
            "ul.firstElementChild.dataset.lingItem = '7'",
            "ul.firstElementChild.replaceChildren()",
            "ul.append(ul.firstElementChild.cloneNode(true))",
            "input.value = ''; b.title = ''",
            "p.remove(); section.prepend(p)",
        ],
    )
    def test_what_we_wrote_is_written_again(self, sheet: Open, page: Page, change: str) -> None:
        on = sheet(
            '<p data-ling="a"></p><b data-ling-if="a" data-ling-attr-title="a" data-ling-class-on="a"></b>'
            f'<input data-ling-prop-value="a">{LIST}'
        )
        on.replace({"list": ["one", "two"]})
        on.apply(append("a", "text"))
        look = """() => [...document.querySelectorAll("p, b, ul > li, input")].map((each) =>
            [each.textContent, each.hidden, each.className, each.title, each.value, { ...each.dataset }])"""
        before = page.evaluate(look)
        names = "const [p, b, ul, input, section] = ['p', 'b', 'ul', 'input', 'section']"
        page.evaluate(f"() => {{ {names}.map((name) => document.querySelector(name)); {change}; }}")
        on.frame()
        on.frame()
        after = page.evaluate(look)
        if "removeAttribute('data-ling-item')" in change:
            # The element is theirs now, with what it is bound to.
            after = [each for each in after if each[5].get("ling") != "." or "lingItem" in each[5]]
        assert after == before
        on.apply(append("list/0", "!"), append("a", "!"))
        assert on.texts("p") == ["text!"]
        assert on.page.locator("li[data-ling-item]").all_text_contents() == ["one!", "two"]

    def test_our_own_writing_is_not_taken_for_one(self, sheet: Open, page: Page) -> None:
        on = sheet('<p data-ling="a"></p>' + LIST)
        page.evaluate(
            """() => {
                window.frames = 0;
                const original = requestAnimationFrame;
                window.requestAnimationFrame = (callback) => { frames += 1; return original(callback); };
            }"""
        )
        on.replace({"a": "x", "list": ["one", "two"]})
        on.apply(append("a", "y"), append("list/2", "three"))
        page.evaluate("new Promise((resolve) => setTimeout(resolve))")
        assert page.evaluate("frames") == 0

    def test_a_script_that_does_not_give_in_gets_its_way(self, sheet: Open, context: Any) -> None:
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        on = Sheet(page)
        on.open('<p data-ling="a"></p>')
        on.replace({"a": "ours"})
        page.evaluate(
            """() => {
                window.times = 0;
                const p = document.querySelector("p");
                const insist = () => {
                    if (p.textContent === "theirs") return;
                    times += 1;
                    p.textContent = "theirs";
                };
                const all = { childList: true, subtree: true, characterData: true };
                new MutationObserver(insist).observe(p, all);
                insist();
            }"""
        )
        for _ in range(60):
            on.frame()
        assert 2 < page.evaluate("times") <= 25
        assert on.texts("p") == ["theirs"]
        assert len(told) == 1
        assert "keeps changing" in told[0]


class TestMarkdown:
    FAKE = """() => {
        window.made = [];
        Bindings.markdown = (element, options) => {
            const one = { options, pieces: [], ended: 0 };
            made.push(one);
            element.replaceChildren();
            return {
                append(text) { one.pieces.push(text); element.append(text); },
                end() { one.ended += 1; },
            };
        };
    }"""

    @pytest.fixture
    def on(self, sheet: Open, page: Page) -> Sheet:
        on = sheet(
            '<article data-ling-images="same-origin"><div data-ling-markdown="t">Wait…</div></article>'
        )
        page.evaluate(self.FAKE)
        return on

    def test_gets_only_what_is_new_and_the_end(self, on: Sheet, page: Page) -> None:
        on.replace({})
        assert on.texts("div") == ["Wait…"]
        on.apply(append("t", "# One"))
        on.apply(append("t", " two"), append("t", " three"))
        assert page.get_attribute("div", "data-ling-writing") == ""
        on.settle("t")
        on.settle("")
        assert page.evaluate("made") == [
            {"options": {"images": "same-origin", "copy": ""}, "pieces": ["# One", " two three"], "ended": 1}
        ]
        assert page.get_attribute("div", "data-ling-writing") is None

    def test_begins_anew_with_another_text(self, on: Sheet, page: Page) -> None:
        on.replace({"t": "one"})
        on.apply(set_("t", "other"))
        on.settle("")
        on.apply(append("t", " text"))
        on.replace({"t": "other text, longer"})
        assert page.evaluate("made.map(({ pieces, ended }) => [pieces.join('|'), ended])") == [
            ["one", 0],
            ["other", 1],
            ["other text|, longer", 0],
        ]
        on.replace({})
        assert on.texts("div") == ["Wait…"]

    def test_of_any_length_comes_in_whole_characters(self, on: Sheet, page: Page) -> None:
        text = "x" + "😀" * 20_000
        on.replace({"t": text})
        assert on.texts("div") == [text]
        assert page.evaluate("made[0].pieces.every((piece) => piece.isWellFormed() && piece.length < 5000)")

    def test_is_drawn_again_where_somebody_spoils_it(self, on: Sheet, page: Page) -> None:
        on.replace({"t": "text"})
        page.evaluate("document.querySelector('div').replaceChildren('spoilt')")
        on.frame()
        assert on.texts("div") == ["text"]

    def test_is_drawn_with_our_own_parser_that_is_loaded_when_it_is_needed(
        self, sheet: Open, page: Page
    ) -> None:
        on = sheet('<p data-ling="t"></p>')
        loaded = "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/markdown.js'))"
        on.replace({"t": "# One\n\n<b>two"})
        assert not page.evaluate(loaded)
        page.evaluate(
            """() => {
                const place = document.createElement("div");
                place.setAttribute("data-ling-markdown", "t");
                document.querySelector("section").append(place);
            }"""
        )
        page.wait_for_selector("div > h1:text-is('One')")
        on.apply(append("t", " *three*"))
        on.settle("")
        page.wait_for_selector("div em:text-is('three')")
        assert page.locator("div b").count() == 0

    def test_of_length_is_drawn_once_and_not_taken_for_a_change_of_others(
        self, sheet: Open, page: Page
    ) -> None:
        on = sheet('<div data-ling-markdown="t"></div>')
        made = page.evaluate(
            """async () => {
                const { Markdown } = await import("/static/lingstream/markdown.js");
                let made = 0;
                Bindings.markdown = (...given) => { made += 1; return new Markdown(...given); };
                replace({ t: "# Head\\n\\n* an *item* of a list\\n".repeat(1500) });
                while (!bindings.render(folded, performance.now() + 8)) await nextFrame();
                bindings.settle("");
                while (!bindings.render(folded, performance.now() + 8)) await nextFrame();
                for (let frames = 0; frames < 10; frames++) await nextFrame();
                return made;
            }"""
        )
        assert made == 1
        assert on.page.locator("div em").count() == 1500

    @pytest.mark.parametrize("length", [1, 20_000])
    def test_is_whole_when_render_says_so(self, sheet: Open, length: int) -> None:
        on = sheet('<div data-ling-markdown="t">Wait…</div>')
        on.replace({"t": "*one*\n\n" * length + "**two**"})
        on.settle("")
        assert on.texts("div em, div strong") == ["one"] * length + ["two"]


class TestKindsThatFewPagesHave:
    MARKUP = (
        '<b data-ling="t"></b><i data-ling-markdown="t"></i><u data-ling="n" data-ling-format="number"></u>'
        '<s data-ling-html="h"></s><p class="x" data-ling-class-on="t" data-ling-prop-hidden="t"></p>'
    )

    def test_draw_all_at_once_when_they_are_there(self, sheet: Open, page: Page) -> None:
        held: list[Route] = []
        page.route("**/rare.js", lambda route: held.append(route))
        on = sheet(self.MARKUP)
        page.evaluate("apply([{uri: '', value: {t: '*x*', n: 5000, h: {tag: 'em', children: ['y']}}}])")
        assert page.evaluate("bindings.render(folded)") is False
        assert on.texts("section > *") == [""] * 5
        for route in held:
            route.continue_()
        page.evaluate("draw()")
        assert on.texts("section > *") == ["*x*", "x", "5,000", "y", ""]
        assert page.locator("p.x.on[hidden]").count() == 1

    def test_draw_also_what_only_the_server_has_in_an_item(self, sheet: Open, page: Page) -> None:
        on = sheet(
            """<ul data-ling-each="l"><li data-ling-item="0"><b data-ling-class-on="."></b></li>
            <template><li></li></template></ul>"""
        )
        on.replace({"l": ["x"]})
        assert page.get_attribute("b", "class") == "on"

    def test_that_do_not_come_leave_the_rest_and_the_text(self, context: Any) -> None:
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        sheet = Sheet(page)
        sheet.files["/static/lingstream/rare.js"] = "throw new Error('blocked')"
        on = sheet.open(self.MARKUP)
        on.replace({"t": "*x*", "n": 5000, "h": "y"})
        assert on.texts("section > *") == ["*x*", "*x*", "5000", "", ""]
        assert len(told) == 1
        assert "blocked" in told[0]
