"""Conversations by HTTP: who may, what is answered, what is refused."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User

from lingstream.access.claims import claim
from lingstream.access.identity import Identity
from lingstream.access.tokens import make_share, make_token
from lingstream.access.visitors import digest_of, make_visitor_token
from lingstream.core.exceptions import UsageError
from lingstream.execution import ownership
from lingstream.execution.retention import prune, sweep
from lingstream.execution.runner import get_runner
from lingstream.execution.storage import in_database
from lingstream.models import BotRun, Chat, Conversation, Feedback, Run, Workflow
from tests import site as sites
from tests.access.tenants import Caller
from tests.execution.test_start import ended
from tests.site import Site, fold_sse, read_sse

URL = "/ling/conversations/"
VISITOR = {"authorization": f"Ling-Visitor {make_visitor_token('me')}"}


@pytest.fixture
async def talk(site: Site, settings: Any) -> Site:
    """A site whose visitor talks to a workflow."""
    settings.LINGSTREAM = {**settings.LINGSTREAM, "TICK": 0.02}
    sites.answers = '{"answer": "yes"}'
    await site.workflow("talk", answer={"prompt": "A", "history": True})
    site.http.headers.update(VISITOR)
    return site


async def begun(site: Site, **more: Any) -> str:
    """The path of a new conversation."""
    response = await site.http.post(URL, json={"workflow": "talk", **more})
    assert response.status_code in (200, 201), response.text
    return f"{URL}{response.json()['id']}/"


async def post(site: Site, url: str, **body: Any) -> Any:
    return (await site.http.post(url, json=body)).json()


async def get(site: Site, url: str) -> Any:
    return (await site.http.get(url)).json()


async def turn(site: Site, url: str, **body: Any) -> str:
    """Ask, wait for the end, and return the run."""
    told = await post(site, url, **body)
    assert "run" in told, told
    await ended(told["run"])
    return str(told["run"])


async def texts(site: Site, url: str) -> list[tuple[str, Any]]:
    """The shown turns: what was asked, and what was answered."""
    turns = (await get(site, url))["turns"]
    return [
        (turn["message"]["parts"][0]["text"], turn["document"] and turn["document"]["answer"])
        for turn in turns
    ]


class TestTurns:
    async def test_a_message_is_answered_as_a_start_is(self, talk: Site) -> None:
        url = await begun(talk)
        headers = {"accept": "text/event-stream"}
        async with talk.http.stream(
            "POST", f"{url}messages/", json={"text": "hi"}, headers=headers
        ) as response:
            assert fold_sse([event async for event in read_sse(response)]) == {"answer": "yes"}
        assert response.headers["location"] == f"/ling/runs/{response.headers['ling-run']}/"
        lines = await talk.http.post(
            f"{url}messages/", json={"text": "hi"}, headers={"accept": "application/jsonl"}
        )
        assert list(sites.lines(lines.text))[-1]["done"]["status"] == "finished"
        told = await talk.http.post(f"{url}messages/", json={"text": "hi"})
        assert (told.status_code, told.json()["conversation"]) == (202, url.split("/")[-2])
        assert (await talk.http.post(f"{url}messages/", headers={"accept": "x/y"})).status_code == 406

    async def test_they_make_a_tree(self, talk: Site) -> None:
        sites.answers = [f'{{"answer": "{answer}"}}' for answer in ("yes", "yes", "no", "no", "no")]
        url = await begun(talk)
        first = await turn(talk, f"{url}messages/", text="one")
        second = await turn(talk, f"{url}messages/", parts=[{"type": "text", "text": "two"}], id="m2")
        assert await texts(talk, url) == [("one", "yes"), ("two", "yes")]
        again = await turn(talk, f"{url}regenerate/", run=second)
        assert await texts(talk, url) == [("one", "yes"), ("two", "no")]
        edited = await turn(talk, f"{url}edit/", run=first, text="uno")
        assert await texts(talk, url) == [("uno", "no")]
        behind = await turn(talk, f"{url}messages/", text="three", parent=second)
        assert await texts(talk, url) == [("one", "yes"), ("two", "yes"), ("three", "no")]
        whole = await get(talk, url)
        assert [each["siblings"] for each in whole["turns"]] == [[first, edited], [second, again], [behind]]
        assert [each["parent"] for each in whole["turns"]] == [None, first, second]
        assert [each["number"] for each in whole["turns"]] == [1, 2, 5]
        assert [each["cause"] for each in whole["turns"]] == ["user"] * 3
        assert whole["turns"][1]["message"]["id"] == "m2"
        assert whole["leaf"] == behind
        bot = await BotRun.objects.aget(run_id=behind)
        told = [message["content"] for message in bot.messages]
        assert told == ["A", "one", "yes", "two", "yes", "three"]
        for leaf, shown in ((edited, ["uno"]), (first, ["one", "two", "three"]), (again, ["one", "two"])):
            answer = await talk.http.patch(url, json={"leaf": leaf})
            assert answer.status_code == 200
            assert [asked for asked, _ in await texts(talk, url)] == shown

    async def test_come_a_page_at_a_time(self, talk: Site) -> None:
        url = await begun(talk)
        for number in range(5):
            await turn(talk, f"{url}messages/", text=str(number))
        page = await get(talk, f"{url}?limit=2")
        assert ([each["number"] for each in page["turns"]], page["more"]) == ([4, 5], True)
        page = await get(talk, f"{url}?limit=3&before=4")
        assert ([each["number"] for each in page["turns"]], page["more"]) == ([1, 2, 3], False)

    async def test_of_a_run_that_was_started_with_an_input_the_text_is_told(self, talk: Site) -> None:
        body = {"input": {"question": "q"}, "conversation": "new"}
        told = (await talk.http.post("/ling/workflows/talk/runs/", json=body)).json()
        await ended(told["run"])
        assert await texts(talk, f"{URL}{told['conversation']}/") == [("q", "yes")]

    async def test_a_key_is_good_for_one_turn(self, talk: Site) -> None:
        url = await begun(talk)
        first, again = [await post(talk, f"{url}messages/", text="hi", key="k") for _ in range(2)]
        assert first["run"] == again["run"]
        assert (await post(talk, f"{url}messages/", text="other", key="k"))["error"]["code"] == "key-reused"
        assert (await get(talk, url))["seq"] in (1, 2)  # and its end

    async def test_a_stop_ends_what_runs_and_what_waits(self, talk: Site) -> None:
        gate = asyncio.Event()
        sites.answers = [['{"answer": "half', gate], '{"answer": "and whole"}']
        url = await begun(talk)
        running = await post(talk, f"{url}messages/", text="one")
        async with talk.http.stream("GET", f"/ling/runs/{running['run']}/events/") as response:
            async for event in read_sse(response):
                if "half" in event["data"]:
                    break
        waiting = await post(talk, f"{url}messages/", text="two")
        assert (await get(talk, url))["open"] is True
        stopped = await post(talk, f"{url}stop/")
        assert stopped == {"stopped": [running["run"], waiting["run"]]}
        for run in (running, waiting):
            assert (await ended(run["run"])).status == "canceled"
        more = await turn(talk, f"{url}messages/", text="go on")
        bot = await BotRun.objects.aget(run_id=more)
        told = [message["content"] for message in bot.messages]
        assert told == ["A", "one", "half", "two", "go on"]
        assert (await get(talk, url))["open"] is False

    async def test_what_failed_is_told_without_the_sites_own_words(self, talk: Site) -> None:
        url = await begun(talk)
        sites.answers = []
        await turn(talk, f"{url}messages/", text="hi")
        (told,) = (await get(talk, url))["turns"]
        assert (
            told["status"] == "failed" and told["error"]["code"] and "script" not in told["error"]["message"]
        )


class TestAConversation:
    async def test_is_found_again_by_its_external_id(self, talk: Site) -> None:
        first = await begun(talk, external_id="thread-1", data={"page": "/a"})
        assert await begun(talk, external_id="thread-1") == first
        assert (await get(talk, first))["data"] == {"page": "/a"}
        assert (await talk.http.delete(first)).status_code == 204
        assert await begun(talk, external_id="thread-1") != first

    async def test_of_somebody_new_begins_with_a_token(self, site: Site) -> None:
        await site.workflow("talk", answer="A")
        response = await site.http.post(URL, json={"workflow": "talk"})
        url, token = f"{URL}{response.json()['id']}/", response.headers["ling-visitor"]
        assert (await site.http.get(url)).status_code == 403
        headers = {"authorization": f"Ling-Visitor {token}"}
        assert (await site.http.get(url, headers=headers)).status_code == 200
        assert (await site.http.get(URL)).json() == {"conversations": [], "next": None}

    async def test_is_changed_by_its_owner(self, talk: Site) -> None:
        url = await begun(talk)
        await turn(talk, f"{url}messages/", text="hi")
        seq = (await get(talk, url))["seq"]
        told = (await talk.http.patch(url, json={"title": " Clouds ", "archived": True, "read": 9})).json()
        assert (told["title"], told["archived"], told["read"], told["seq"]) == ("Clouds", True, 1, seq + 1)
        assert (await Conversation.objects.aget()).title_by == "user"
        told = (await talk.http.patch(url, json={"title": "", "archived": False, "read": 0})).json()
        assert (told["title"], told["archived"], told["read"]) == ("", False, 1)
        assert (await Conversation.objects.aget()).title_by == ""

    async def test_that_is_deleted_is_gone_at_once_and_its_rows_with_the_next_pruning(
        self, talk: Site
    ) -> None:
        gate = asyncio.Event()
        sites.answers = [['{"answer": "half', gate]]
        url = await begun(talk)
        told = await post(talk, f"{url}messages/", text="hi")
        await Run.objects.filter(pk=told["run"]).aexists()
        assert (await talk.http.delete(url)).status_code == 204
        for request in (
            talk.http.get(url),
            talk.http.delete(url),
            talk.http.post(f"{url}messages/", json={}),
        ):
            assert (await request).status_code == 404
        assert (await get(talk, URL))["conversations"] == []
        assert (await ended(told["run"])).status == "canceled"
        await get_runner().wait(told["run"])
        empty = await begun(talk)
        await talk.http.delete(empty)
        assert await in_database(prune) == 1
        assert await in_database(sweep) == 1
        assert not await Run.objects.aexists() and not await Conversation.objects.aexists()

    async def test_that_is_deleted_may_be_pruned_while_its_turns_are_stopped(
        self, talk: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        adopt = ownership.adopt

        def adopt_and_prune(run: Run, runner_id: UUID, *, epoch: bool) -> bool:
            adopted = adopt(run, runner_id, epoch=epoch)
            Run.objects.filter(pk=run.pk).delete()
            return adopted

        monkeypatch.setattr(ownership, "adopt", adopt_and_prune)
        gate = asyncio.Event()
        sites.answers = [['{"answer": "half', gate]]
        url = await begun(talk)
        await post(talk, f"{url}messages/", text="one")
        waits = await post(talk, f"{url}messages/", text="two")
        async with talk.socket() as viewer:
            await viewer.send(type="subscribe", run=waits["run"], token=waits["token"])
            await viewer.send(type="ping")
            await viewer.until("type")
            gone = await talk.http.delete(url)
            gate.set()
            assert gone.status_code == 204, gone.text
            assert (await viewer.until("done"))["done"]["status"] == "canceled"

    async def test_that_is_deleted_goes_at_once_where_the_site_says_so(
        self, talk: Site, settings: Any
    ) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "HARD_DELETE": True}
        url = await begun(talk)
        run = await turn(talk, f"{url}messages/", text="hi")
        assert (await talk.http.delete(url)).status_code == 204
        assert not await Run.objects.aexists() and not await Conversation.objects.aexists()
        assert (await talk.http.get(f"/ling/runs/{run}/")).status_code == 404


class TestFeedback:
    async def test_is_told_with_the_turn_to_who_gave_it(self, talk: Site) -> None:
        url = await begun(talk)
        run = await turn(talk, f"{url}messages/", text="hi")
        about = f"/ling/runs/{run}/feedback/"
        kept = await post(talk, about, value=-1, uri="answer", reason="wrong", comment="No.")
        assert kept["feedback"] == {"uri": "answer", "value": -1, "reason": "wrong", "comment": "No."}
        await post(talk, about, value=1, uri="answer")
        await post(talk, about, value=1)
        seq = (await get(talk, url))["seq"]
        (told,) = (await get(talk, url))["turns"]
        assert [(each["uri"], each["value"]) for each in told["feedback"]] == [("answer", 1), ("", 1)]
        assert (await post(talk, about, value=0))["feedback"] is None
        whole = await get(talk, url)
        assert [each["uri"] for each in whole["turns"][0]["feedback"]] == ["answer"]
        assert whole["seq"] == seq + 1

    async def test_is_for_who_may_cancel_but_for_permissions(self, talk: Site) -> None:
        url = await begun(talk)
        run = await turn(talk, f"{url}messages/", text="hi")
        about = f"/ling/runs/{run}/feedback/"
        admin = await Caller.signed_in(await User.objects.acreate_user("admin", is_superuser=True))
        del talk.http.headers["authorization"]
        assert await admin.post(talk, about, body={"value": 1}) == "forbidden"
        for token, expected in (
            (make_token(run), "ok"),
            (make_share(run), "forbidden"),
            (make_token("x"), "forbidden"),
            ("", "forbidden"),
        ):
            headers = {"authorization": f"Ling {token}"} if token else {}
            answer = await talk.http.post(about, json={"value": 1}, headers=headers)
            assert answer.json().get("error", {"code": "ok"})["code"] == expected
        (kept,) = [row async for row in Feedback.objects.all()]
        assert kept.owner_key == "anyone"

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"value": 2},
            {"value": True},
            {"value": 1, "uri": 5},
            {"value": 1, "uri": "a//b"},
            {"value": 1, "reason": "x" * 101},
            {"value": 1, "comment": "a\x00b"},
        ],
    )
    async def test_of_another_shape_is_refused(self, talk: Site, body: Any) -> None:
        run = await Run.objects.acreate(workflow="w", visitor=digest_of("me"), status="finished")
        answer = await talk.http.post(f"/ling/runs/{run.pk}/feedback/", json=body)
        assert (answer.status_code, await Feedback.objects.acount()) == (400, 0)

    def test_of_a_visitor_is_the_users_after_the_login(self, db: None) -> None:
        ann = User.objects.create_user("ann")
        run = Run.objects.create(workflow="w", visitor=digest_of("me"))
        for uri in ("a", "b"):
            Feedback.objects.create(run=run, uri=uri, value=1, visitor=digest_of("me"))
        Feedback.objects.create(run=run, uri="a", value=-1, owner=ann)
        claim(ann, "me")
        rows = Feedback.objects.filter(owner=ann, owner_key=f"user:{ann.pk}")
        assert sorted(rows.values_list("uri", "value")) == [("a", -1), ("b", 1)]
        assert Feedback.objects.count() == 2


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("post", URL, {}, 400, "unknown-workflow"),
    ("post", URL, {"workflow": "no-such"}, 404, "unknown-workflow"),
    ("post", URL, {"workflow": 5}, 400, "usage"),
    ("post", URL, {"workflow": "talk", "external_id": "x" * 201}, 400, "usage"),
    ("post", URL, {"workflow": "talk", "data": []}, 400, "usage"),
    ("post", URL, {"workflow": "talk", "data": {"x": "y" * 70_000}}, 413, "too-large"),
    ("post", URL, [], 400, "usage"),
    ("put", URL, {}, 405, "method"),
    ("get", f"{URL}?after=x", None, 400, "usage"),
    ("get", f"{URL}?after=2020-01-01T00:00:00~x", None, 400, "usage"),
    ("get", f"{URL}?limit=0", None, 400, "usage"),
    ("get", f"{URL}nonsense/", None, 404, "not-found"),
    ("get", f"{URL}1f0e2f5c-0000-4000-8000-000000000000/", None, 404, "not-found"),
    ("get", "TALK?limit=x", None, 400, "usage"),
    ("get", "TALK?before=-1", None, 400, "usage"),
    ("patch", "TALK", {}, 400, "usage"),
    ("patch", "TALK", {"titel": "x"}, 400, "usage"),
    ("patch", "TALK", {"title": 5}, 400, "usage"),
    ("patch", "TALK", {"title": "a\nb"}, 400, "usage"),
    ("patch", "TALK", {"archived": 1}, 400, "usage"),
    ("patch", "TALK", {"read": True}, 400, "usage"),
    ("patch", "TALK", {"read": -1}, 400, "usage"),
    ("patch", "TALK", {"leaf": "x"}, 404, "not-found"),
    ("patch", "TALK", {"leaf": None}, 404, "not-found"),
    ("post", "TALKmessages/", {}, 400, "usage"),
    ("post", "TALKmessages/", {"text": "  "}, 400, "usage"),
    ("post", "TALKmessages/", {"parts": []}, 400, "usage"),
    ("post", "TALKmessages/", {"parts": [{"type": "image"}]}, 400, "usage"),
    ("post", "TALKmessages/", {"parts": [{"type": "text", "text": 5}]}, 400, "usage"),
    ("post", "TALKmessages/", {"text": "x", "id": ""}, 400, "usage"),
    ("post", "TALKmessages/", {"text": "x", "key": 5}, 400, "usage"),
    ("post", "TALKmessages/", {"text": "x", "parent": "x"}, 404, "not-found"),
    ("post", "TALKmessages/", {"text": "x", "input": {"question": {}, "a": [[]]}}, 202, ""),
    ("post", "TALKmessages/", {"text": "x", "input": "text"}, 400, "uri"),
    ("post", "TALKregenerate/", {}, 404, "not-found"),
    ("post", "TALKedit/", {"run": "x", "text": "y"}, 404, "not-found"),
    ("get", "TALKstop/", None, 405, "method"),
    ("get", "TALKtyping/", None, 405, "method"),
    ("post", f"{URL}{uuid4()}/typing/", {}, 404, "not-found"),
]


@pytest.mark.parametrize(("method", "url", "body", "status", "code"), REFUSED)
async def test_what_does_not_fit_is_refused(
    talk: Site, method: str, url: str, body: Any, status: int, code: str
) -> None:
    url = url.replace("TALK", await begun(talk))
    response = (
        await talk.http.request(method, url, json=body) if body is not None else await talk.http.get(url)
    )
    found = (response.status_code, response.json().get("error", {}).get("code", ""))
    assert found == (404 if code == "unknown-workflow" else status, code)


async def test_nobody_but_the_owner_and_the_visitor(talk: Site) -> None:
    url = await begun(talk)
    run = await turn(talk, f"{url}messages/", text="hi")
    ann = await User.objects.acreate_user("ann", is_superuser=True)
    others = {
        "nobody": {},
        "another visitor": {"authorization": f"Ling-Visitor {make_visitor_token('you')}"},
        "the run's token": {"authorization": f"Ling {make_token(run)}"},
    }
    del talk.http.headers["authorization"]
    for who, headers in others.items():
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"title": "x"}),
            ("DELETE", "", None),
            ("POST", "messages/", {"text": "x"}),
            ("POST", "regenerate/", {"run": run}),
            ("POST", "edit/", {"run": run, "text": "x"}),
            ("POST", "stop/", {}),
            ("POST", "typing/", {}),
        ):
            response = await talk.http.request(method, url + path, json=body, headers=headers)
            assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden"), (who, path)
    assert await Run.objects.acount() == 1
    assert (await Conversation.objects.aget()).typing_at is None
    caller = await Caller.signed_in(ann)
    assert await caller.get(talk, url) == "forbidden"
    assert await caller.post(talk, f"{url}stop/") == "forbidden"
    await Conversation.objects.aupdate(owner=ann, owner_key=f"user:{ann.pk}", visitor="")
    assert await caller.get(talk, url) == "ok"
    assert await caller.post(talk, f"{url}stop/") == "ok"
    cookie = {"cookie": f"sessionid={caller.session_key}"}
    for method, path in (
        ("POST", "stop/"),
        ("POST", "typing/"),
        ("DELETE", ""),
        ("PATCH", ""),
        ("POST", "messages/"),
    ):
        response = await talk.http.request(method, url + path, headers=cookie)
        assert response.json()["error"]["code"] == "csrf"


async def test_a_tenants_conversations_are_not_anothers(talk: Site, settings: Any) -> None:
    other = await Conversation.objects.acreate(workflow="talk", visitor=digest_of("me"), scope="other")
    assert (await get(talk, URL))["conversations"] == []
    for path in ("typing/", "stop/"):
        assert (await post(talk, f"{URL}{other.pk}/{path}"))["error"]["code"] == "forbidden"


async def test_a_workflow_says_who_may_begin(talk: Site) -> None:
    await Workflow.objects.aupdate(access="authenticated")
    assert (await post(talk, URL, workflow="talk"))["error"]["code"] == "forbidden"


async def test_a_chat_may_want_a_login(talk: Site) -> None:
    url = await begun(talk)
    await Chat.objects.acreate(workflow=await Workflow.objects.aget(), anonymous=False)
    assert (await post(talk, URL, workflow="talk"))["error"]["code"] == "forbidden"
    assert (await post(talk, f"{url}messages/", text="hi"))["error"]["code"] == "forbidden"


async def test_a_chat_that_is_switched_off_is_only_read(talk: Site) -> None:
    url = await begun(talk)
    run = await turn(talk, f"{url}messages/", text="hi")
    await Chat.objects.acreate(workflow=await Workflow.objects.aget(), enabled=False, attachments="files")
    name = url.split("/")[-2]
    for path, body in (
        (URL, {"workflow": "talk"}),
        (f"{url}messages/", {"text": "more"}),
        (f"{url}regenerate/", {"run": run}),
        (f"{url}edit/", {"run": run, "text": "hello"}),
        ("/ling/workflows/talk/runs/", {"input": {}, "conversation": name}),
    ):
        answer = await talk.http.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "chat-disabled"), path
    file = {"data": {"conversation": name}, "files": {"file": ("a", b"a")}}
    assert (await talk.http.post("/ling/attachments/", **file)).json()["error"]["code"] == "chat-disabled"
    with pytest.raises(UsageError, match="switched off"):
        await (await Conversation.objects.aget()).aask("more")
    assert len((await get(talk, url))["turns"]) == 1
    assert (await talk.http.patch(url, json={"title": "Kept"})).status_code == 200


def test_the_identity_of_nobody_has_no_conversations(db: None) -> None:
    from lingstream.conversations.listing import of_person

    Conversation.objects.create()
    assert not of_person(Identity.of(None, None)).exists()
