"""A conversation exported: what stands in it, whose it is, and that what was said stays what it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.conversations.exporting import exported, filename
from lingstream.models import Conversation, Feedback, Run
from tests.site import Site

TEXTS = (
    ("# no heading\n- no list\n1. nor 2)", "\\# no heading\\\n\\- no list\\\n1\\. nor 2)"),
    ("a\n\n    no code", "a\\\n\\\n&nbsp;&nbsp;&nbsp;&nbsp;no code"),
    ("*a* _b_ `c` [d](e)", "\\*a\\* \\_b\\_ \\`c\\` \\[d\\](e)"),
    ("![f](g) <b>h</b> &amp;", "!\\[f\\](g) \\<b\\>h\\</b\\> \\&amp;"),
    ("~~i~~ | $k$ \\*", "\\~\\~i\\~\\~ \\| \\$k\\$ \\\\\\*"),
    ("===\n---\n> m\n```\n~~~\n+ o", "\\===\\\n\\---\\\n\\> m\\\n\\`\\`\\`\\\n\\~\\~\\~\\\n\\+ o"),
    ("12) a\n1.5 a-b c=d #e", "12\\) a\\\n1\\.5 a-b c=d #e"),
    ("云", "云"),
)
ANSWERS = (
    ("Use **two**:\n\n# Heading\n```py\nx = 1", "> Use **two**:\n>\n> # Heading\n> ```py\n> x = 1"),
    ("![x](https://evil/?q)", "```\n![x](https://evil/?q)\n```"),
    ("`a` <img src=//evil>\n````", "`````\n`a` <img src=//evil>\n````\n`````"),
    ("1 < 2", "> 1 < 2"),
)


@pytest.fixture
def talk(db: None) -> Conversation:
    return Conversation.objects.create(workflow="talk", title="Of *clouds*", visitor=digest_of("me"))


def turn(talk: Conversation, number: int, text: str = "hi", answer: Any = "yes", **columns: Any) -> Run:
    message = {"parts": [{"type": "text", "text": text}]}
    document = {"answer": answer} if isinstance(answer, str) else answer
    fields = {"message": message, "document": document, "visitor": digest_of("me"), "status": "finished"}
    run = Run.objects.create(workflow="talk", conversation=talk, number=number, **{**fields, **columns})
    Conversation.objects.filter(pk=talk.pk).update(leaf=run, count=number)
    talk.leaf = run
    return run


def text_of(talk: Conversation) -> str:
    return b"".join(exported(talk, "md")).decode()


@pytest.mark.parametrize(("text", "written"), TEXTS)
def test_what_a_person_wrote_is_read_as_it_was_written(talk: Conversation, text: str, written: str) -> None:
    turn(talk, 1, text, {})
    assert text_of(talk).endswith(f" UTC\n\n{written}\n")


@pytest.mark.parametrize(("answer", "written"), ANSWERS)
def test_an_answer_is_markdown_that_loads_and_runs_nothing(
    talk: Conversation, answer: str, written: str
) -> None:
    turn(talk, 2, "more", parent=turn(talk, 1, answer=answer))
    assert f"UTC\n\n{written}\n\n## User" in text_of(talk)


def test_as_markdown_it_is_what_is_shown(talk: Conversation) -> None:
    first = turn(talk, 1, "one", status="failed", document=None)
    turn(talk, 2, "two", parent=first)
    turn(talk, 3, "three", {"cards": ["`"]}, parent=first)
    text = text_of(talk)
    assert text.startswith("# Of \\*clouds\\*\n\n## User · ")
    assert "one" in text and "two" not in text
    assert text.endswith('```json\n{\n  "cards": [\n    "`"\n  ]\n}\n```\n')
    assert filename(talk, "md") == "of-clouds.md"
    assert filename(Conversation(title="//"), "json") == "conversation.json"


def test_as_json_it_is_all_there_is(talk: Conversation) -> None:
    first = turn(talk, 1, "one")
    turn(talk, 2, "two", parent=first, hidden=True)
    turn(talk, 3, "three", "\ud800\x00云", parent=first)
    Feedback.objects.create(run=first, value=1, visitor=digest_of("me"))
    Feedback.objects.create(run=first, value=-1, visitor=digest_of("you"))
    told = json.loads(b"".join(exported(talk, "json")))
    assert told["conversation"]["title"] == "Of *clouds*"
    assert [each["number"] for each in told["turns"]] == [1, 3]
    assert told["turns"][1]["document"] == {"answer": "\ud800\x00云"}
    assert [each["value"] for each in told["turns"][0]["feedback"]] == [1]
    turn(talk, 4, answer="\ud800")
    assert "\\ud800" in text_of(talk)


def test_a_long_one_is_read_some_turns_at_a_time(talk: Conversation) -> None:
    before = None
    for number in range(1, 51):
        before = turn(talk, number, parent=before)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        told = json.loads(b"".join(exported(talk, "json")))
    assert len(told["turns"]) == 50
    assert max(sql["sql"].count(",") for sql in queries) < 120 and len(queries) < 15


async def test_it_is_its_owners(site: Site) -> None:
    talk = await Conversation.objects.acreate(workflow="talk", title="云", visitor=digest_of("me"))
    await Run.objects.acreate(conversation=talk, number=1, input={"question": "hi"}, visitor=digest_of("me"))
    url = f"/ling/conversations/{talk.pk}/export/"
    assert (await site.http.get(url)).json()["error"]["code"] == "forbidden"
    site.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('me')}"
    answer = await site.http.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert answer.headers["content-disposition"].startswith("attachment; filename*=utf-8''%E4%BA%91.md")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "hi" in answer.text
    told = (await site.http.get(f"{url}?format=json")).json()
    assert told["turns"][0]["message"]["parts"][0]["text"] == "hi"
    refused = await site.http.get(f"{url}?format=pdf")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "usage")
    site.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('you')}"
    assert (await site.http.get(url)).status_code == 403
    await Conversation.objects.aupdate(deleted_at=talk.created_at)
    site.http.headers["authorization"] = f"Ling-Visitor {make_visitor_token('me')}"
    assert (await site.http.get(url)).status_code == 404
