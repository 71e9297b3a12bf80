"""A web site and its index, pass by pass: it says what the site says, at the cost of what has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async

from lingstream.core.engine.kinds import Services
from lingstream.knowledge import outcomes
from lingstream.knowledge.deletion import confirm
from lingstream.knowledge.models import Chunk, Collection, Document, Source, Sync
from lingstream.knowledge.sources import remote
from lingstream.knowledge.sync import sync
from lingstream.knowledge.web import page as web_page
from tests.knowledge.world import indexed
from tests.web import Answer, Asked, WebServer, web

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebServer]:
    monkeypatch.setattr(remote, "LEAST_DELAY", 0.0)
    monkeypatch.setattr(outcomes, "_BACKOFF", (0.0, 0.0))
    async with web() as served:
        yield served


@pytest.fixture
async def source(site: WebServer) -> Source:
    collection = await Collection.objects.acreate(slug="site", access="anyone")
    config = {"seeds": [site.url], "delay": 0}
    return await Source.objects.acreate(
        slug="site", collection=collection, kind="web", config=config, every=60
    )


def page(text: str, *links: str, head: str = "") -> object:
    """A page with an ETag, which it answers 304 to."""
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    body = f"<html><head>{head}</head><body><main><p>{text}</p>{anchors}</main></body></html>".encode()
    headers = {"Content-Type": "text/html", "ETag": f'"{hash(body)}"'}

    def answer(request: Asked) -> Answer:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Answer(status=304, length=0)
        return Answer(body, headers=headers)

    return answer


async def make_pass(source: Source, trigger: str = Sync.Trigger.MANUAL) -> Sync:
    """Make a pass, which looks at everything unless it is one by the clock."""
    services = Services(lambda plan: None)  # type: ignore[arg-type,return-value]
    outcome = await sync(source.pk, "test", services=services, trigger=trigger)
    assert outcome.status in ("finished", "waiting"), outcome
    return await Sync.objects.filter(source=source).alatest("number")


async def texts(site: WebServer, source: Source) -> dict[str, str]:
    """The first word of each document that can be found, by path."""
    rows = await sync_to_async(indexed)(source)
    found = {key.removeprefix(site.url): row["text"] for key, row in rows.items() if row["chunks"]}
    return {path: text.split()[0] for path, text in found.items()}


async def codes(site: WebServer, source: Source) -> dict[str, str]:
    rows = Document.objects.filter(source=source).exclude(error_code="")
    return {row.key.removeprefix(site.url): row.error_code async for row in rows}


async def test_a_site_that_changes_moves_and_dies(site: WebServer, source: Source) -> None:
    site.answers |= {
        "/": page("home", "/a", "/b", "/c", "/d"),
        "/a": page("alpha"),
        "/b": page("beta", "/deep"),
        "/c": page("gamma"),
        "/d": page("delta"),
        "/deep": page("epsilon"),
    }
    first = await make_pass(source)
    whole = {"/": "home", "/a": "alpha", "/b": "beta", "/c": "gamma", "/d": "delta", "/deep": "epsilon"}
    assert await texts(site, source) == whole
    assert (first.complete, first.changed, first.failed) == (True, 6, 0)

    site.requests.clear()
    again = await make_pass(source)
    assert (again.complete, again.changed) == (True, 0)
    assert len(site.requests) == 2 + 6
    assert all("if-none-match" in request.headers for request in site.requests[2:])

    site.answers |= {
        "/a": page("omega"),
        "/b": Answer(status=301, headers={"Location": "/new"}),
        "/new": page("beta", "/deep"),
        "/c": Answer(status=410),
        "/d": page("delta", head='<meta name="robots" content="noindex">'),
    }
    third = await make_pass(source)
    there = {"/": "home", "/a": "omega", "/new": "beta", "/deep": "epsilon"}
    assert await texts(site, source) == {**there, "/b": "beta"}
    assert (third.complete, third.deleted) == (True, 1)
    assert await codes(site, source) == {"/b": "moved", "/d": "noindex"}
    fourth = await make_pass(source)
    assert (await texts(site, source), fourth.deleted) == (there, 1)
    await make_pass(source)
    assert await texts(site, source) == there
    assert await codes(site, source) == {"/b": "moved", "/d": "noindex"}


async def test_cutting_its_pages_in_another_way_asks_a_site_for_none(site: WebServer, source: Source) -> None:
    site.answers |= {"/": page("home " * 100, "/a"), "/a": page("alpha " * 200)}
    await make_pass(source)
    asked, few = len(site.requests), await Chunk.objects.acount()
    await Collection.objects.aupdate(chunk_size=100)
    done = await make_pass(source, Sync.Trigger.SCHEDULE)
    assert (done.complete, done.seen, done.changed) == (True, 2, 2)
    assert [request.path for request in site.requests[asked:]] == ["/robots.txt", "/sitemap.xml"]
    assert await Chunk.objects.acount() > few

    site.requests.clear()
    await Collection.objects.aupdate(chunk_size=1_200)
    done = await make_pass(source)  # by hand all pages are asked for, whether they have changed
    assert (done.changed, await Chunk.objects.acount()) == (2, few)
    assert len(site.requests) == 2 + 2
    assert all("if-none-match" in request.headers for request in site.requests[2:])


async def test_pages_that_a_sitemap_says_have_changed_come_first(site: WebServer, source: Source) -> None:
    pages = [f"/{name}" for name in "abcd"]
    site.answers |= {"/": page("home"), **{path: page(path) for path in pages}}
    long_ago = datetime.now(UTC) - timedelta(days=9)
    dates = dict.fromkeys(pages, long_ago)

    def sitemap(request: Asked) -> Answer:
        urls = "".join(f"<url><loc>{path}</loc><lastmod>{at}</lastmod></url>" for path, at in dates.items())
        return Answer(f"<urlset>{urls}</urlset>".encode())

    site.answers["/sitemap.xml"] = sitemap

    async def asked(trigger: str) -> list[str]:
        site.requests.clear()
        assert (await make_pass(source, trigger)).complete
        return [request.path for request in site.requests[2:]]

    assert set(await asked("manual")) == {"/", *pages}
    assert await asked("schedule") == []
    dates["/d"] = datetime.now(UTC)  # before its next look is due
    assert await asked("schedule") == ["/d"]
    assert await asked("schedule") == []
    dates["/c"] = datetime.now(UTC)
    assert (await asked("manual"))[0] == "/c"


async def test_dates_that_are_always_of_now_are_not_believed_until_they_are_right(
    site: WebServer, source: Source
) -> None:
    pages = [f"/{name}" for name in "abcdef"]
    site.answers |= {"/": page("home"), **{path: page(path) for path in pages}}
    lies = True

    def sitemap(request: Asked) -> Answer:
        now = datetime.now(UTC)
        dates = {path: now + timedelta(seconds=place) for place, path in enumerate(pages)}
        if not lies:
            dates |= dict.fromkeys(pages[1:], now - timedelta(days=9))
        urls = "".join(f"<url><loc>{path}</loc><lastmod>{at}</lastmod></url>" for path, at in dates.items())
        return Answer(f"<urlset>{urls}</urlset>".encode())

    site.answers["/sitemap.xml"] = sitemap

    async def asked(trigger: str = "schedule") -> set[str]:
        site.requests.clear()
        assert (await make_pass(source, trigger)).complete
        return {request.path for request in site.requests[2:]}

    assert await asked("manual") == {"/", *pages}
    assert await asked() == set(pages)  # all have changed, it says, and none has
    assert await asked() == set()
    await source.arefresh_from_db()
    assert source.distrusted == ["127.0.0.1"]
    lies = False
    for _ in range(4):
        await asked("manual")
    await source.arefresh_from_db()
    assert source.distrusted == []
    assert await asked() == {pages[0]}


async def test_dates_of_pages_that_have_changed_are_believed(site: WebServer, source: Source) -> None:
    pages = [f"/{name}" for name in "abcdef"]
    site.answers["/"] = page("home")
    for number in range(4):
        site.answers |= {path: page(f"{path[1:]}{number}") for path in pages}
        urls = "".join(
            f"<url><loc>{path}</loc><lastmod>{datetime.now(UTC)}</lastmod></url>" for path in pages
        )
        site.answers["/sitemap.xml"] = Answer(f"<urlset>{urls}</urlset>".encode())
        assert (await make_pass(source, "schedule")).changed >= len(pages)
    await source.arefresh_from_db()
    assert source.distrusted == []


async def test_a_page_with_too_many_links_loses_nothing_whoever_looks_at_it(
    site: WebServer, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {f"/{name}": page(name) for name in "abc"}
    site.answers |= {"/": page("home", *pages), **pages}
    assert (await make_pass(source)).complete
    monkeypatch.setattr(web_page, "MOST_LINKS", 2)
    site.answers |= {"/": page("longer", "/n", "/m", *pages), "/n": page("n"), "/m": page("m")}
    there = {"/": "longer", **{f"/{name}": name for name in "abcmn"}}
    for trigger in ("manual", "schedule", "manual", "schedule"):  # by the clock it is not due
        asked = len(site.requests)
        done = await make_pass(source, trigger)
        assert (done.complete, await texts(site, source)) == (False, there)
        assert f"there is more in {site.url}/ than is read" in done.problem
        assert len(site.requests) - asked == (2 + 6 if trigger == "manual" else 2)
    site.answers["/"] = Answer(status=503)
    assert not (await make_pass(source)).complete
    site.answers["/"] = page("short", "/a")
    assert [(await make_pass(source)).complete for _ in range(2)] == [True, True]
    assert await texts(site, source) == {"/": "short", "/a": "a"}


async def test_what_a_site_says_is_gone_goes_after_two_passes(site: WebServer, source: Source) -> None:
    site.answers |= {"/": page("home", "/a"), "/a": page("alpha")}
    await make_pass(source)
    del site.answers["/a"]
    await make_pass(source)
    assert await texts(site, source) == {"/": "home", "/a": "alpha"}
    await make_pass(source)
    assert await texts(site, source) == {"/": "home"}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/robots.txt", Answer(status=503)),
        ("/", Answer(status=404)),
        ("/", Answer(status=302, headers={"Location": "http://elsewhere.example/login"})),
        ("/sitemap.xml", Answer(status=500)),
    ],
)
async def test_a_site_that_is_down_loses_nothing(
    site: WebServer, source: Source, path: str, answer: Answer
) -> None:
    site.answers |= {"/": page("home", "/a"), "/a": page("alpha")}
    await make_pass(source)
    site.answers |= {path: answer, "/a": Answer(status=503)}
    for _ in range(3):
        assert not (await make_pass(source)).complete
    assert (await texts(site, source))["/a"] == "alpha"


@pytest.mark.parametrize("place", ["/login", "http://elsewhere.example/login"])
async def test_a_site_that_redirects_everything_for_a_while_loses_nothing(
    site: WebServer, source: Source, place: str
) -> None:
    pages = {f"/{number}": page(f"{number}") for number in range(25)}
    answers = {"/": page("home", *pages), **pages}
    site.answers |= answers
    await make_pass(source)
    whole = await texts(site, source)
    away = Answer(status=302, headers={"Location": place})
    site.answers |= {**dict.fromkeys(answers, away), "/login": page("login")}
    for _ in range(2):
        await Document.objects.filter(source=source).aupdate(status="pending")
        await make_pass(source)
        assert whole.items() <= (await texts(site, source)).items()
    await source.arefresh_from_db()
    assert (source.state, len(whole)) == ("needs-confirmation", 26)
    site.answers |= answers
    await make_pass(source)
    assert whole.items() <= (await texts(site, source)).items()


async def test_an_endless_site_costs_its_bounds(site: WebServer, source: Source) -> None:
    source.max_documents = 12
    await source.asave()
    site.answers |= {"/": page("home", "/x?n=1", "/x?n=2")}
    site.answers["/x"] = lambda request: page("more", f"{request.path}1", f"{request.path}2")(request)  # type: ignore[operator]
    done = await make_pass(source)
    assert (done.complete, done.seen, len(site.requests)) == (False, 12, 14)


AWAY = Answer(status=302, headers={"Location": "http://elsewhere.example/login"})
FORBIDDEN = {"/robots.txt": b"User-agent: *\nDisallow: /"}


def template(text: str, *links: str) -> object:
    """A page of a template that writes one address on each."""
    return page(text, *links, head='<link rel="canonical" href="/about">')


@pytest.mark.parametrize(
    ("fault", "size"),
    [("redirects", 0), ("redirects", 4), ("one address", 4), ("one address of none", 4), ("forbidden", 4)],
)
async def test_a_small_site_that_disowns_all_its_pages_waits_for_somebody(
    site: WebServer, source: Source, size: int, fault: str
) -> None:
    pages = {f"/{number}": page(f"{number}") for number in range(size)}
    answers = {"/": page("home", *pages, *(["/about"] if fault == "one address" else [])), **pages}
    site.answers |= {**answers, "/about": page("about")}
    await make_pass(source)
    whole = await texts(site, source)
    wrong = {path: template("wrong", *pages) for path in answers}
    site.answers |= {"redirects": dict.fromkeys(answers, AWAY), "forbidden": FORBIDDEN}.get(fault, wrong)
    if fault == "one address of none":
        del site.answers["/about"]
    for _ in range(2):
        await make_pass(source)
        assert whole.items() <= (await texts(site, source)).items()
    await source.arefresh_from_db()
    assert source.state == "needs-confirmation", source.problem
    count = 1 + size
    assert f"{count} documents" in source.problem
    await sync_to_async(confirm)(source)
    services = Services(lambda plan: None)  # type: ignore[arg-type,return-value]
    assert (await sync(source.pk, "test", services=services, full=False)).status == "finished"
    assert set(await texts(site, source)) == ({"/about"} if fault == "one address" else set())


@pytest.mark.parametrize("path", ["/0", "/"])
async def test_one_page_that_is_disowned_goes_unless_the_source_begins_there(
    site: WebServer, source: Source, path: str
) -> None:
    pages = {f"/{number}": page(f"{number}") for number in range(4)}
    site.answers |= {"/": page("home", *pages), **pages}
    await make_pass(source)
    site.answers[path] = AWAY
    for _ in range(3):
        await make_pass(source)
    await source.arefresh_from_db()
    found = await texts(site, source)
    assert (path in found, len(found)) == ((False, 4) if path == "/0" else (True, 5))
    assert source.state == ("ok" if path == "/0" else "needs-confirmation")
