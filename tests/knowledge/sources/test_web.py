"""A site that is crawled: found as a whole, changed, moved, dead, endless, hostile; each at a known cost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lingstream.core.exceptions import UsageError
from lingstream.knowledge.models import Source
from lingstream.knowledge.sources import remote, render
from lingstream.knowledge.sources.port import Content, Failed, Fetched, Gone, Known, Ref, Unchanged
from lingstream.knowledge.sources.web import Web
from lingstream.knowledge.text.extract import extract
from lingstream.knowledge.web.page import MOST_LINKS
from tests.chaos.patience import within
from tests.web import Answer, Asked, WebServer, web

HTML = {"Content-Type": "text/html"}


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebServer]:
    monkeypatch.setattr(remote, "LEAST_DELAY", 0.0)
    async with web() as served:
        yield served


@dataclass
class Crawled:
    """What became of a pass: documents by path, and how it ended."""

    found: dict[str, Fetched] = field(default_factory=dict)
    complete: bool = False
    problem: str = ""

    @property
    def pages(self) -> set[str]:
        return {path for path, found in self.found.items() if isinstance(found, Content)}

    def code(self, path: str) -> str:
        found = self.found[path]
        assert isinstance(found, Failed)
        return found.code


async def crawl(
    site: WebServer,
    *,
    pages: int = 1_000,
    depth: int = 10,
    known: Mapping[str, Content] | None = None,
    **config: Any,
) -> Crawled:
    """Make a pass as the indexer does: the frontier is what has not been looked at."""
    source = Source(kind="web", config={"seeds": [site.url], "delay": 0, **config})
    Web().check(source.config)
    done = Crawled()
    async with within(60), Web().open(source) as listing:
        waiting = deque([ref async for ref in listing.refs()])
        seen = {ref.key for ref in waiting}
        while waiting and len(done.found) < pages:
            ref = waiting.popleft()
            before = (known or {}).get(path_of(site, ref.url))
            validators = {"etag": before.etag, "modified": before.modified} if before else {}
            answer = await listing.fetch(Known(ref.key, ref.url, depth=ref.depth, **validators))
            done.found[path_of(site, ref.url)] = answer
            for link in getattr(answer, "links", ()):
                if link.key not in seen and ref.depth < depth:
                    seen.add(link.key)
                    waiting.append(Ref(link.key, link.url, depth=ref.depth + 1))
        done.complete, done.problem = listing.complete, listing.problem
    return done


def path_of(site: WebServer, url: str) -> str:
    return url.removeprefix(site.url)


def page(*links: str, head: str = "", **headers: str) -> Answer:
    body = f"<html><head>{head}</head>" + "".join(f'<a href="{link}">{link}</a>' for link in links)
    return Answer(body.encode(), headers={**HTML, **headers})


def asked(site: WebServer) -> list[str]:
    return [request.path for request in site.requests]


class TestARenderer:
    @pytest.fixture
    def rendering(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """The renderer ``test``, which makes a page that leads on; returns what it was asked for."""
        monkeypatch.setattr(render, "_renderers", {})
        asked: list[str] = []

        @render.renderer("test")
        async def make(url: str) -> str:
            asked.append(url)
            return f'<html><head><meta charset="latin1"></head><p>Käse {len(asked)}</p><a href="/b">b</a>'

        yield asked

    async def test_makes_pages_and_nothing_else(self, site: WebServer, rendering: list[str]) -> None:
        site.answers |= {
            "/": page("/a.pdf", ETag='"1"'),
            "/b": Answer(status=301, headers={"Location": "/c"}),
            "/c": page(),
            "/robots.txt": b"User-agent: *\nDisallow: /private",
        }
        first = await crawl(site, render="test")
        assert first.pages == {"/", "/c"} and first.code("/b") == "moved"
        assert rendering == [f"{site.url}/", f"{site.url}/c"]
        made = first.found["/"]
        assert isinstance(made, Content) and made.etag == ""
        assert "Käse 1" in extract(made.body, made.mime, made.url).text
        again = await crawl(site, known={"/": made}, render="test")
        assert isinstance(again.found["/"], Content)
        assert not any("if-none-match" in request.headers for request in site.requests)

    async def test_is_asked_for_nothing_that_is_not_allowed(
        self, site: WebServer, rendering: list[str], settings: Any
    ) -> None:
        site.answers |= {"/": page(), "/robots.txt": b"User-agent: *\nDisallow: /b"}
        done = await crawl(site, render="test")
        assert (done.pages, rendering) == ({"/"}, [f"{site.url}/"])
        rendering.clear()
        settings.LINGSTREAM = {**settings.LINGSTREAM, "ALLOW_HOSTS": []}
        assert (await crawl(site, render="test")).pages == set()
        assert rendering == []

    @pytest.mark.parametrize(
        ("made", "told"),
        [
            ("x" * 5_000_001, "up to 5000000 bytes"),
            ("ä" * 2_500_001, "up to 5000000 bytes"),
            (b"<p>", "expected HTML"),
            (OSError("no browser"), "OSError: no browser"),
            (TimeoutError("of the browser"), "TimeoutError: of the browser"),
            (None, "took longer than 0.05 s"),
        ],
    )
    async def test_that_fails_costs_one_page_and_its_bound(
        self, site: WebServer, rendering: list[str], monkeypatch: pytest.MonkeyPatch, made: Any, told: str
    ) -> None:
        monkeypatch.setattr(render, "MOST_SECONDS", 0.05)
        site.answers["/"] = page()

        async def make(url: str) -> Any:
            if made is None:
                await asyncio.Event().wait()
            if isinstance(made, Exception):
                raise made
            return made

        render._renderers["test"] = make
        config = {"seeds": [site.url], "delay": 0, "render": "test"}
        async with within(30), Web().open(Source(kind="web", config=config)) as listing:
            found = await listing.fetch(Known(f"{site.url}/", f"{site.url}/"))
            assert "where the source begins" in listing.problem
        assert isinstance(found, Failed)
        assert (found.code, told in found.message) == ("render", True)
        assert found.retryable is (made is None or isinstance(made, Exception))

    async def test_is_one_that_is_known(self, site: WebServer, rendering: list[str]) -> None:
        with pytest.raises(UsageError, match="among test, got 'other'"):
            await crawl(site, render="other")
        with pytest.raises(UsageError, match="expected an async function"):
            render.renderer("x")(lambda url: "")
        with pytest.raises(UsageError, match="already"):

            @render.renderer("test")
            async def another(url: str) -> str:
                return ""


class TestAWholeSite:
    async def test_is_found_by_its_links(self, site: WebServer) -> None:
        site.answers |= {
            "/": page("/a", "b/", "http://elsewhere.example/", "mailto:x@y"),
            "/a": page("/", "/a#top", "/a?utm_source=x", "/gone"),
            "/b/": page("c.pdf"),
            "/b/c.pdf": Answer(b"%PDF-1.7", headers={"Content-Type": "application/pdf"}),
        }
        done = await crawl(site)
        assert (done.pages, done.complete, done.problem) == ({"/", "/a", "/b/", "/b/c.pdf"}, True, "")
        assert done.found["/gone"] == Gone(for_good=False)
        pdf = done.found["/b/c.pdf"]
        assert isinstance(pdf, Content)
        assert (pdf.body, pdf.mime, pdf.url) == (b"%PDF-1.7", "application/pdf", f"{site.url}/b/c.pdf")
        assert asked(site) == ["/robots.txt", "/sitemap.xml", "/", "/a", "/b/", "/gone", "/b/c.pdf"]

    async def test_says_who_asks(self, site: WebServer, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*", ".shop.example"]
        await crawl(site)
        assert site.requests[0].headers["user-agent"] == "lingstream/0.1.0 (+shop.example)"

    async def test_by_its_sitemaps(self, site: WebServer) -> None:
        site.answers |= {
            "/robots.txt": b"Sitemap: /index.xml\nSitemap: http://elsewhere.example/x.xml",
            "/index.xml": b"<sitemapindex><sitemap><loc>/1.xml</loc></sitemap><sitemap><loc>/index.xml</loc>"
            b"</sitemap></sitemapindex>",
            "/1.xml": b"<urlset><url><loc>/a</loc></url><url><loc>//elsewhere.example/b</loc></url></urlset>",
            "/": page(),
            "/a": page("/b"),
            "/b": page(),
        }
        done = await crawl(site)
        assert (done.pages, done.complete) == ({"/", "/a", "/b"}, True)
        assert asked(site)[:3] == ["/robots.txt", "/index.xml", "/1.xml"]

    async def test_by_those_that_are_given_and_no_links(self, site: WebServer) -> None:
        site.answers |= {"/map": f"{site.url}/a".encode(), "/": page("/c"), "/a": page("/b")}
        done = await crawl(site, sitemaps=[f"{site.url}/map"], follow=False)
        assert (done.pages, done.complete) == ({"/", "/a"}, True)

    async def test_what_has_not_changed_is_not_sent_again(self, site: WebServer) -> None:
        def answer(request: Asked) -> Answer:
            if request.headers.get("if-none-match") == '"1"':
                return Answer(status=304, length=0)
            return page("/a", ETag='"1"')

        site.answers |= {"/": answer, "/a": page()}
        first = await crawl(site)
        known = {path: found for path, found in first.found.items() if isinstance(found, Content)}
        second = await crawl(site, known=known)
        assert second.found == {"/": Unchanged()}
        assert second.complete

    @pytest.mark.parametrize(
        ("config", "pages"),
        [
            ({"allow": ["127.0.0.1:{port}/", "/a/"], "deny": ["/a/no*"]}, {"/", "/a/yes", "/b"}),
            ({"allow": ["127.0.0.1:{port}/a/*", "/"], "deny": ["*/b"]}, {"/", "/a/yes", "/a/no"}),
        ],
    )
    async def test_as_far_as_it_is_allowed(
        self, site: WebServer, config: dict[str, list[str]], pages: set[str]
    ) -> None:
        site.answers |= {"/": page("/a/yes", "/a/no", "/b")}
        site.answers |= {path: page() for path in ("/a/yes", "/a/no", "/b")}
        allow = [each.format(port=site.port) for each in config["allow"]]
        done = await crawl(site, allow=allow, deny=config["deny"])
        assert done.pages == pages


class TestWhatPagesSay:
    async def test_of_themselves(self, site: WebServer) -> None:
        site.answers |= {
            "/": page("/meta", "/header", "/last", "/other", "/print?of=1", "/front"),
            "/meta": page("/1", head='<meta name="robots" content="noindex">'),
            "/header": page("/2", **{"X-Robots-Tag": "lingstream: noindex"}),
            "/last": page("/3", head='<meta name="robots" content="nofollow">'),
            "/other": page("/4", **{"X-Robots-Tag": "otherbot: none"}),
            "/print": page("/5", head='<link rel="canonical" href="/6">'),
            "/front": page("/7", head='<link rel="canonical" href="/">'),
        }
        site.answers |= {f"/{number}": page() for number in range(1, 8)}
        done = await crawl(site)
        assert done.pages == {"/", "/last", "/other", "/front", "/1", "/2", "/4", "/5", "/6", "/7"}
        codes = {path: done.code(path) for path in ("/meta", "/header", "/print?of=1")}
        assert codes == {"/meta": "noindex", "/header": "noindex", "/print?of=1": "canonical"}
        assert all(getattr(done.found[path], "skip", False) for path in codes)
        assert done.complete

    async def test_of_where_they_have_moved(self, site: WebServer) -> None:
        def to(place: str) -> Answer:
            return Answer(status=301, headers={"Location": place})

        site.answers |= {
            "/": to("/home"),
            "/home": page("/old", "/away", "/self"),
            "/old": to("/new"),
            "/new": page(),
            "/away": to("http://elsewhere.example/"),
            "/self": to("/self"),
        }
        done = await crawl(site)
        assert done.pages == {"/home", "/new"}
        codes = {path: done.code(path) for path in ("/", "/old", "/away", "/self")}
        assert codes == {"/": "moved", "/old": "moved", "/away": "outside", "/self": "redirects"}
        assert done.complete
        assert len(site.requests) == 8

    async def test_in_another_encoding(self, site: WebServer) -> None:
        body = '<html><a href="/云">'.encode("gbk")
        site.answers |= {"/": Answer(body, headers={"Content-Type": "text/html; charset=GBK"})}
        done = await crawl(site)
        found = done.found["/"]
        assert isinstance(found, Content)
        assert (found.mime, path_of(site, found.links[0].url)) == ("text/html; charset=gbk", "/%E4%BA%91")


class TestRobots:
    async def test_what_they_forbid_is_not_asked_for(self, site: WebServer) -> None:
        site.answers |= {
            "/robots.txt": b"User-agent: *\nDisallow: /private",
            "/sitemap.xml": f"{site.url}/private/1".encode(),
            "/": page("/private/2", "/a"),
            "/a": page(),
        }
        done = await crawl(site, sitemaps=[])
        assert (set(done.found), done.complete) == ({"/", "/a"}, True)
        assert not [path for path in asked(site) if "private" in path]

    async def test_what_was_known_before_is_left_out(self, site: WebServer) -> None:
        site.answers |= {"/robots.txt": b"User-agent: *\nDisallow: /"}
        done = await crawl(site)
        assert done.code("/") == "robots"
        assert asked(site) == ["/robots.txt", "/sitemap.xml"]

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(status=500),
            Answer(status=503, headers={"Retry-After": "600"}),
            Answer(status=429),
            Answer(status=302, headers={"Location": "/robots.txt"}),
            Answer(b"User-agent: *\n" + b"Disallow: /*a*b\n" * 501),
            Answer(b"Disallow: /\n" * 1_000_000),
            Answer(b"half", length=100, drop=True),
        ],
    )
    async def test_while_they_cannot_be_read_nothing_is_asked_for(
        self, site: WebServer, answer: Answer
    ) -> None:
        site.answers |= {"/robots.txt": answer, "/": page("/a")}
        done = await crawl(site)
        assert (done.code("/"), done.complete) == ("robots-unread", False)
        assert "/robots.txt" in done.problem
        assert set(asked(site)) == {"/robots.txt"}

    @pytest.mark.parametrize("status", [404, 410, 401, 403])
    async def test_where_there_are_none_all_is_allowed(self, site: WebServer, status: int) -> None:
        site.answers |= {"/robots.txt": Answer(status=status), "/": page("/a"), "/a": page()}
        done = await crawl(site)
        assert (done.pages, done.complete) == ({"/", "/a"}, True)

    async def test_they_are_asked_for_once(self, site: WebServer) -> None:
        site.answers |= {"/": page(*(f"/{number}" for number in range(20)))}
        await crawl(site)
        assert asked(site).count("/robots.txt") == 1


class TestWhatIsMissing:
    """A listing that is not complete lets nothing be deleted."""

    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            ("/", Answer(status=500)),
            ("/", Answer(status=404)),
            ("/", Answer(status=403)),
            ("/", Answer(status=302, headers={"Location": "http://elsewhere.example/login"})),
            ("/sitemap.xml", Answer(status=500)),
        ],
    )
    async def test_where_it_begins(self, site: WebServer, path: str, answer: Answer) -> None:
        site.answers |= {"/": page("/a"), path: answer}
        done = await crawl(site)
        assert not done.complete
        assert f"{site.url}{path}" in done.problem

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(status=404),
            Answer(status=403),
            Answer(b"<html>not found"),
            Answer(b"<urlset>" * 9),
            Answer(b"<urlset><url><loc>/a</loc></url>"),
        ],
    )
    async def test_a_sitemap_that_somebody_names(self, site: WebServer, answer: Answer) -> None:
        site.answers |= {"/robots.txt": b"Sitemap: /map", "/map": answer, "/": page()}
        done = await crawl(site)
        assert not done.complete
        assert f"{site.url}/map" in done.problem

    @pytest.mark.parametrize("follow", [True, False])
    async def test_links_of_a_page_that_has_too_many(self, site: WebServer, follow: bool) -> None:
        far = [f"http://elsewhere.example/{number}" for number in range(MOST_LINKS)]
        site.answers |= {"/": page(*far, "/a"), "/a": page(*map(str, range(MOST_LINKS)), *far, "/b")}
        done = await crawl(site, pages=2, follow=follow, seeds=[f"{site.url}/", f"{site.url}/a"])
        whole, cut = done.found["/"], done.found["/a"]
        assert isinstance(whole, Content) and isinstance(cut, Content)
        assert [len(whole.links), len(cut.links)] == ([1, 1 + MOST_LINKS] if follow else [0, 0])
        assert [link.url for link in (*whole.links, *cut.links) if link.is_gap] == [f"{site.url}/a"] * follow

    async def test_a_sitemap_that_nobody_names_may_be(self, site: WebServer) -> None:
        site.answers |= {"/sitemap.xml": Answer(b"<html>not found"), "/": page()}
        assert (await crawl(site)).complete

    async def test_another_page_may_be(self, site: WebServer) -> None:
        site.answers |= {"/": page("/a", "/b"), "/a": Answer(status=500), "/b": Answer(status=410)}
        done = await crawl(site)
        assert done.complete
        assert done.found["/a"] == Failed("http-500", "127.0.0.1 answered 500", retryable=True)
        assert done.found["/b"] == Gone(for_good=True)


class TestEndlessSites:
    async def test_a_calendar_costs_its_depth(self, site: WebServer) -> None:
        def month(request: Asked) -> Answer:
            number = int(request.path.rpartition("=")[2])
            return page(f"/calendar?month={number + 1}")

        site.answers |= {"/": page("/calendar?month=1"), "/calendar": month}
        done = await crawl(site)
        assert len(done.pages) == 11
        assert len(site.requests) == 13

    async def test_one_that_branches_costs_its_pages(self, site: WebServer) -> None:
        site.answers |= {"/": page("/x?n=1", "/x?n=2")}
        site.answers |= {"/x": lambda request: page(f"{request.path}1", f"{request.path}2")}
        done = await crawl(site, pages=30)
        assert (len(done.found), len(site.requests)) == (30, 32)

    async def test_redirects_to_ever_new_places_cost_their_depth(self, site: WebServer) -> None:
        def on(request: Asked) -> Answer:
            return Answer(status=302, headers={"Location": f"{request.path}x"})

        site.answers |= {"/": page("/r?x"), "/r": on}
        done = await crawl(site)
        assert (done.pages, len(done.found)) == ({"/"}, 11)

    async def test_sitemaps_that_name_ever_more_sitemaps(self, site: WebServer) -> None:
        def index(request: Asked) -> Answer:
            inner = "".join(f"<sitemap><loc>{request.path}{n}</loc></sitemap>" for n in range(10))
            return Answer(f"<sitemapindex>{inner}</sitemapindex>".encode())

        site.answers |= {"/robots.txt": b"Sitemap: /map?n=", "/map": index, "/": page()}
        done = await crawl(site)
        assert "/map" in asked(site)[1]
        assert len(site.requests) <= 53
        assert not done.complete
        assert "sitemaps" in done.problem

    async def test_a_long_address_is_known_by_a_short_key(self, site: WebServer) -> None:
        path = "/" + "a" * 1_500
        site.answers |= {"/": page(path), path: page()}
        done = await crawl(site)
        content = done.found["/"]
        assert isinstance(content, Content)
        assert (len(content.links[0].key) <= 500, done.pages) == (True, {"/", path})


class TestItsConfiguration:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"seeds": ["ftp://example.com/"]}, "expected an address like"),
            ({"seeds": ["https://example.com/"], "allow": ["ftp://x"]}, "expected an address with stars"),
            ({"seeds": ["https://example.com/"], "allow": ["example.org"]}, "expected to be let go to"),
            ({"seeds": ["https://example.com/"], "deny": ["/"]}, "expected to be let go to"),
            ({"seeds": ["https://example.com/"], "sitemaps": ["x"]}, "expected an address like"),
            ({"seeds": ["https://example.com/"], "key": "UNLISTED"}, "does not list"),
        ],
    )
    def test_says_what_is_wrong(self, config: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            Web().check(config)

    async def test_a_key_goes_where_the_setting_lets_it(
        self, site: WebServer, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "PROVIDER_KEYS": {"WIKI": [f"{site.url}/in"]}}
        monkeypatch.setenv("WIKI", "secret\n")
        site.answers |= {"/": page("/in/a"), "/in/a": page("/b"), "/b": page()}
        await crawl(site, key="WIKI", key_header="X-Key", key_prefix="")
        keys = {request.path: request.headers.get("x-key") for request in site.requests}
        assert keys == {"/robots.txt": None, "/sitemap.xml": None, "/": None, "/in/a": "secret", "/b": None}
