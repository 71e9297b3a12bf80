"""What the template tags write: the words for screen readers, a run's document, one field, a schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.template import Context, Engine, TemplateSyntaxError
from django.utils import translation

from lingstream.models import Run, Workflow
from lingstream.templatetags import lingstream as tags

STATIC = Path(__file__).parents[2] / "lingstream/static/lingstream"
EVIL = "</script><b>&\u2028"


def render(source: str, **context: Any) -> str:
    engine = Engine(libraries={"lingstream": "lingstream.templatetags.lingstream"})
    return engine.from_string("{% load lingstream %}" + source).render(Context(context))


def block(html: str, name: str) -> Any:
    found = re.fullmatch(
        rf'<script id="lingstream-{name}" type="application/json">(.*?)</script>', html, re.DOTALL
    )
    assert found, html
    return json.loads(found[1])


def stored(status: str = "running", log_id: str = "1-7", **more: Any) -> Run:
    return Run(workflow="w", status=status, log_id=log_id, epoch=1, **{"document": {"a": "x"}, **more})


class TestWords:
    def test_are_those_of_the_client(self) -> None:
        names = ("announcer.js", "cite.js", "source-note.js")
        client = "".join((STATIC / name).read_text() for name in names)
        for name, word in tags.WORDS.items():
            assert f'{name}: "{word}"' in client

    def test_are_written_where_the_page_has_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "data-started" not in render("{% lingstream_script %}")
        catalog = {"The answer is complete.": "Die <Antwort> ist da."}
        monkeypatch.setattr(tags, "gettext", lambda text: catalog.get(text, text))
        with translation.override("de"):
            html = render("{% lingstream_script %}")
        assert 'data-finished="Die &lt;Antwort&gt; ist da."' in html
        assert "data-started" not in html


class TestDocument:
    def frames(self, run: Run) -> Any:
        return block(render("{% lingstream_document run %}", run=run), str(run.pk))

    def test_of_a_run_that_goes_on_is_a_snapshot_to_go_on_from(self) -> None:
        [frame] = self.frames(stored())
        assert (frame["id"], frame["snapshot"]["document"]) == ("1-7", {"a": "x"})

    def test_of_a_run_that_has_ended_has_its_end(self) -> None:
        snapshot, done = self.frames(stored("finished", usage={"input": 3}))
        assert (snapshot["id"], snapshot["snapshot"]["document"]) == ("1-6", {"a": "x"})
        assert done == {"id": "1-7", "done": {"status": "finished", "usage": {"input": 3}}}

    @pytest.mark.parametrize("status", ["queued", "running"])
    def test_of_a_run_of_which_nothing_is_stored_is_empty(self, status: str) -> None:
        assert self.frames(stored(status, log_id="", document=None)) == []

    def test_tells_visitors_what_they_may_know_of_an_error(self) -> None:
        errors = [{"code": "no-provider", "message": "the provider “secret” is off", "retryable": False}]
        snapshot, _ = self.frames(stored("failed", errors=errors))
        assert snapshot["snapshot"]["error"]["code"] == "internal"
        assert "secret" not in json.dumps(snapshot)

    def test_cannot_end_its_block(self) -> None:
        [frame] = self.frames(stored(document={EVIL: EVIL}))
        assert frame["snapshot"]["document"] == {EVIL: EVIL}

    def test_needs_no_database_and_no_thread(self) -> None:
        async def view() -> str:
            return render("{% lingstream_document run %}{% ling 'a' %}", run=stored())

        assert async_to_sync(view)().endswith("</script>x")


class TestField:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("<b>&", "&lt;b&gt;&amp;"),
            (None, ""),
            (1.0, "1"),
            (1e21, "1e+21"),
            (True, "true"),
            ([1, "é"], "[1,&quot;é&quot;]"),
            ({"b": 1, "a": None}, "{&quot;b&quot;:1,&quot;a&quot;:null}"),
        ],
    )
    def test_is_what_the_client_shows(self, value: Any, text: str) -> None:
        run = stored(document={"list": [{"a": value}]})
        assert render("{% ling 'list/0/a' run %}", run=run) == text

    @pytest.mark.parametrize("uri", ["b", "a/b", "list/1"])
    def test_that_is_missing_is_empty(self, uri: str) -> None:
        assert render("{% ling uri run %}", run=stored(document={"a": "x", "list": []}), uri=uri) == ""

    def test_is_of_the_run_whose_document_the_page_has(self) -> None:
        source = "{% lingstream_document run %}{% for uri in uris %}{% ling uri %}{% endfor %}"
        assert render(source, run=stored(), uris=["a", "a"]).endswith("</script>xx")

    def test_without_a_run_says_what_is_missing(self) -> None:
        with pytest.raises(TemplateSyntaxError, match="lingstream_document"):
            render("{% ling 'a' %}")


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "description": EVIL}}}


@pytest.mark.django_db
class TestSchema:
    def test_of_a_row_or_of_its_slug(self) -> None:
        row = Workflow.objects.create(slug="w-1", input_schema=SCHEMA)
        for workflow in (row, "w-1"):
            assert (
                block(render("{% lingstream_schema workflow %}", workflow=workflow), "schema-w-1") == SCHEMA
            )

    def test_of_a_workflow_without_a_row_is_empty(self) -> None:
        assert block(render("{% lingstream_schema 'in-python' %}"), "schema-in-python") == {}

    def test_in_an_asynchronous_view_takes_a_row(self) -> None:
        async def view(workflow: Workflow | str) -> str:
            return render("{% lingstream_schema workflow %}", workflow=workflow)

        html = async_to_sync(view)(Workflow(slug="w", input_schema=SCHEMA))
        assert block(html, "schema-w") == SCHEMA
        with pytest.raises(SynchronousOnlyOperation):
            async_to_sync(view)("w")
