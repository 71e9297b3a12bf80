"""Fetching from a real server that is all that servers can be: each costs its bound, and no more."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest

from lingstream.access import network
from lingstream.access.client import shared_client
from lingstream.knowledge.web import fetch as module
from lingstream.knowledge.web.fetch import Failed, Fetched, Fetcher, Gone, Moved, Unchanged
from tests.chaos.patience import within
from tests.ports import free_port
from tests.web import Answer, WebServer, web

MEGABYTE = b"x" * 1_048_576


def anywhere(url: str) -> bool:
    return True


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web() as served:
        yield served


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with shared_client(4) as client:
        yield Fetcher(client, "lingstream/1 (tests)", pause=0)


class Counted:
    """The pieces of a body, and how many of them the server got rid of."""

    def __init__(self, piece: bytes, count: int) -> None:
        self._piece, self._count = piece, count
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._count):
            yield self._piece
            self.sent += len(self._piece)


class TestAnswers:
    async def test_a_page(self, server: WebServer, fetcher: Fetcher) -> None:
        headers = {
            "Content-Type": "Text/HTML; charset=GBK",
            "ETag": 'W/"1"',
            "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT",
            "X-Robots-Tag": "noindex",
        }
        server.answers["/a"] = Answer(b"<p>clouds", headers=headers)
        assert await fetcher.fetch(f"{server.url}/a") == Fetched(
            url=f"{server.url}/a",
            body=b"<p>clouds",
            mime="text/html",
            charset="gbk",
            etag='W/"1"',
            modified="Wed, 21 Oct 2015 07:28:00 GMT",
            robots=("noindex",),
        )
        (request,) = server.requests
        assert request.headers["user-agent"] == "lingstream/1 (tests)"
        assert request.headers["accept-encoding"] == "gzip, deflate"
        assert not {"cookie", "authorization", "if-none-match", "if-modified-since"} & set(request.headers)

    @pytest.mark.parametrize(
        ("encoding", "packed"),
        [
            ("gzip", gzip.compress(b"clouds")),
            ("x-gzip", gzip.compress(b"clouds")),
            ("deflate", zlib.compress(b"clouds")),
            ("deflate", zlib.compress(b"clouds", wbits=-15)),
            ("identity", b"clouds"),
        ],
    )
    async def test_what_is_packed(
        self, server: WebServer, fetcher: Fetcher, encoding: str, packed: bytes
    ) -> None:
        server.answers["/"] = Answer(packed, headers={"Content-Encoding": encoding})
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Fetched)
        assert answer.body == b"clouds"

    async def test_what_has_not_changed_is_not_sent(self, server: WebServer, fetcher: Fetcher) -> None:
        server.answers["/"] = Answer(status=304, length=0)
        assert await fetcher.fetch(f"{server.url}/", etag='"1"', modified="then") == Unchanged()
        headers = server.requests[0].headers
        assert (headers["if-none-match"], headers["if-modified-since"]) == ('"1"', "then")
        answer = await fetcher.fetch(f"{server.url}/")
        assert answer == Failed("http-304", "127.0.0.1 answered 304")

    @pytest.mark.parametrize(
        ("status", "answer"),
        [
            (404, Gone(for_good=False)),
            (410, Gone(for_good=True)),
            (401, Failed("http-401", "127.0.0.1 answered 401")),
            (403, Failed("http-403", "127.0.0.1 answered 403")),
            (206, Failed("http-206", "127.0.0.1 answered 206")),
            (300, Failed("http-300", "127.0.0.1 answered 300")),
            (408, Failed("http-408", "127.0.0.1 answered 408", retryable=True)),
            (500, Failed("http-500", "127.0.0.1 answered 500", retryable=True)),
        ],
    )
    async def test_other_statuses(
        self, server: WebServer, fetcher: Fetcher, status: int, answer: module.Answer
    ) -> None:
        server.answers["/"] = Answer(status=status)
        assert await fetcher.fetch(f"{server.url}/") == answer

    @pytest.mark.parametrize("etag", ["x" * 501, '"\xe9"'])
    async def test_a_validator_that_cannot_be_sent_back_is_not_kept(
        self, server: WebServer, fetcher: Fetcher, etag: str
    ) -> None:
        server.answers["/"] = Answer(headers={"ETag": etag})
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Fetched)
        assert answer.etag == ""

    async def test_headers_by_address(self, server: WebServer) -> None:
        server.answers["/a"] = Answer(status=302, headers={"Location": "/b"})
        async with shared_client(1) as client:
            keyed = Fetcher(
                client, "x", pause=0, headers=lambda url: {"x-key": "1"} if url.endswith("/a") else {}
            )
            await keyed.fetch(f"{server.url}/a", follow=anywhere)
        assert [request.headers.get("x-key") for request in server.requests] == ["1", None]


class TestRedirects:
    async def test_are_said_and_not_followed(self, server: WebServer, fetcher: Fetcher) -> None:
        server.answers["/a"] = Answer(status=301, headers={"Location": "b?utm_source=x#top"})
        assert await fetcher.fetch(f"{server.url}/a") == Moved(f"{server.url}/b")
        assert len(server.requests) == 1

    async def test_are_followed_as_far_as_is_allowed(self, server: WebServer, fetcher: Fetcher) -> None:
        for name, to in (("a", "b"), ("b", "c"), ("c", "d")):
            server.answers[f"/{name}"] = Answer(status=308, headers={"Location": f"/{to}"})
        answer = await fetcher.fetch(f"{server.url}/a", follow=lambda url: not url.endswith("/d"))
        assert answer == Moved(f"{server.url}/d")
        assert [request.path for request in server.requests] == ["/a", "/b", "/c"]

    async def test_lead_to_the_page_and_say_where_it_is(self, server: WebServer, fetcher: Fetcher) -> None:
        server.answers |= {"/a": Answer(status=302, headers={"Location": "/b"}), "/b": b"clouds"}
        answer = await fetcher.fetch(f"{server.url}/a", follow=anywhere)
        assert isinstance(answer, Fetched)
        assert (answer.url, answer.body) == (f"{server.url}/b", b"clouds")

    async def test_in_a_circle_end(self, server: WebServer, fetcher: Fetcher) -> None:
        server.answers["/a"] = Answer(status=302, headers={"Location": "/a"})
        answer = await fetcher.fetch(f"{server.url}/a", follow=anywhere)
        assert answer == Failed("redirects", "127.0.0.1 redirects more than 10 times")
        assert len(server.requests) == 11

    @pytest.mark.parametrize("location", ["", "mailto:a@b", "http://user@127.0.0.1/", "file:///etc/passwd"])
    async def test_to_nowhere(self, server: WebServer, fetcher: Fetcher, location: str) -> None:
        server.answers["/b/a"] = Answer(status=302, headers={"Location": location} if location else {})
        answer = await fetcher.fetch(f"{server.url}/b/a", follow=anywhere)
        assert isinstance(answer, Failed)
        assert (answer.code, len(server.requests)) == ("redirects", 1)


class TestTheGuard:
    @pytest.mark.parametrize(
        "inside",
        [
            "http://127.0.0.2/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://2130706434/",
            "http://0x7f000002/",
            "http://localhost:{port}/",
            "http://public.example/",
            "http://public.example:{port}/",
        ],
    )
    async def test_lets_no_redirect_in(
        self, server: WebServer, fetcher: Fetcher, inside: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def dns(host: str, port: int, **more: Any) -> Any:
            return await resolve("127.0.0.1" if host == "public.example" else host, port, **more)

        monkeypatch.setattr(loop, "getaddrinfo", dns)
        server.answers["/"] = Answer(status=302, headers={"Location": inside.format(port=server.port)})
        answer = await fetcher.fetch(f"{server.url}/", follow=anywhere)
        assert isinstance(answer, Failed)
        assert (answer.code, answer.retryable, len(server.requests)) == ("address", False, 1)

    async def test_lets_nobody_in_at_once(self, server: WebServer, fetcher: Fetcher, settings: Any) -> None:
        settings.LINGSTREAM = {}
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failed)
        assert (answer.code, server.requests) == ("address", [])


class TestBounds:
    async def test_a_hundred_megabytes(self, server: WebServer, fetcher: Fetcher) -> None:
        body = Counted(MEGABYTE, 100)
        server.answers["/"] = Answer(body)
        answer = await fetcher.fetch(f"{server.url}/")
        assert answer == Failed("too-large", f"127.0.0.1 answered with more than {20 * 1024 * 1024} bytes")
        await server.requests[0].ended.wait()
        assert body.sent < 28 * 1024 * 1024  # what the system holds for both ends is on top

    async def test_that_are_announced_are_not_read(self, server: WebServer, fetcher: Fetcher) -> None:
        body = Counted(MEGABYTE, 100)
        server.answers["/"] = Answer(body, length=100 * 1024 * 1024)
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failed)
        assert answer.code == "too-large"
        await server.requests[0].ended.wait()
        assert body.sent < 8 * 1024 * 1024

    async def test_a_bomb_of_gzip(self, server: WebServer, fetcher: Fetcher) -> None:
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join([*(packer.compress(MEGABYTE) for _ in range(300)), packer.flush()])
        assert len(bomb) < 400_000
        server.answers["/"] = Answer(bomb, headers={"Content-Encoding": "gzip"})
        tracemalloc.start()
        try:
            answer = await fetcher.fetch(f"{server.url}/")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert isinstance(answer, Failed)
        assert (answer.code, answer.retryable) == ("too-large", False)
        assert peak < 45 * 1024 * 1024

    async def test_a_bomb_is_unpacked_beside_others(self, server: WebServer, fetcher: Fetcher) -> None:
        bomb = gzip.compress(MEGABYTE * 20)
        server.answers["/"] = Answer(bomb, headers={"Content-Encoding": "gzip"})
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        answer = await fetcher.fetch(f"{server.url}/")
        counting.cancel()
        assert isinstance(answer, Fetched)
        assert turns > 20

    @pytest.mark.parametrize(
        ("answer", "code", "retryable"),
        [
            (Answer(b"short", length=500, drop=True), "incomplete", True),
            (Answer(b"short", drop=True), "incomplete", True),
            (Answer(gzip.compress(b"clouds")[:-3], headers={"Content-Encoding": "gzip"}), "encoding", False),
            (Answer(b"?", headers={"Content-Encoding": "br"}), "encoding", False),
            (Answer(headers={"X": "x" * 200_000}), "incomplete", True),
        ],
    )
    async def test_lies(
        self, server: WebServer, fetcher: Fetcher, answer: Answer, code: str, retryable: bool
    ) -> None:
        server.answers["/"] = answer
        found = await fetcher.fetch(f"{server.url}/")
        assert isinstance(found, Failed)
        assert (found.code, found.retryable) == (code, retryable)

    async def test_what_is_behind_the_announced_end_is_not_read(
        self, server: WebServer, fetcher: Fetcher
    ) -> None:
        server.answers["/"] = Answer(b"clouds and more", length=6)
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Fetched)
        assert answer.body == b"clouds"

    @pytest.mark.parametrize("body", [(), (b"begun",)])
    async def test_time(
        self, server: WebServer, fetcher: Fetcher, body: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_SECONDS", 0.2)
        server.answers["/"] = Answer([*body, asyncio.Event()])
        answer = await fetcher.fetch(f"{server.url}/")
        assert answer == Failed("timed-out", "127.0.0.1 took longer than 0.2 s", retryable=True)

    async def test_time_is_for_all_redirects_together(
        self, server: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_SECONDS", 0.3)

        def slowly(request: Any) -> Answer:
            gate = asyncio.Event()
            asyncio.get_running_loop().call_later(0.1, gate.set)
            return Answer([gate], status=302, headers={"Location": "/"})

        async def never_ends(response: Any, most: int, conditional: bool) -> Any:
            await response.aread()
            return Moved(f"{server.url}/")

        monkeypatch.setattr(fetcher, "_answer", never_ends)
        server.answers["/"] = slowly
        answer = await fetcher.fetch(f"{server.url}/", follow=anywhere)
        assert answer == Failed("timed-out", "127.0.0.1 took longer than 0.3 s", retryable=True)
        assert len(server.requests) <= 4

    async def test_nobody_there(self, server: WebServer, fetcher: Fetcher) -> None:
        answer = await fetcher.fetch(f"http://127.0.0.1:{free_port()}/")
        assert answer == Failed(
            "unreachable", "127.0.0.1 cannot be reached: Connection refused", retryable=True
        )

    @pytest.mark.parametrize("guarded", [True, False])
    @pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", ".a", "_" * 100])
    async def test_at_a_name_that_the_dns_cannot_have(
        self, server: WebServer, fetcher: Fetcher, host: str, guarded: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not guarded:
            monkeypatch.setattr(network, "_installed", None)
        server.answers["/"] = Answer(status=301, headers={"Location": f"http://{host}/"})
        answer = await fetcher.fetch(f"{server.url}/", follow=anywhere)
        assert isinstance(answer, Failed)
        assert answer.code == ("redirects" if host == ".a" else "unreachable")


class TestManners:
    async def test_one_request_at_a_time_and_a_pause(self, server: WebServer) -> None:
        loop, times = asyncio.get_running_loop(), []
        running = most = 0

        def answer(request: Any) -> Answer:
            nonlocal running, most
            running += 1
            most = max(most, running)
            times.append(loop.time())

            def body() -> Iterator[bytes]:
                nonlocal running
                yield b"clouds"
                running -= 1

            return Answer(body())

        server.answers["/"] = answer
        async with shared_client(4) as client:
            polite = Fetcher(client, "x", pause=0.1)
            polite.pace.slow_down("127.0.0.1", 0.15)
            await asyncio.gather(*(polite.fetch(f"{server.url}/") for _ in range(3)))
        assert most == 1
        assert all(after - before >= 0.15 for before, after in pairwise(times))

    @pytest.mark.parametrize(("given", "rest"), [("120", 120.0), ("99999999", 3_600.0)])
    async def test_a_host_that_wants_to_be_left_alone_is(
        self, server: WebServer, fetcher: Fetcher, given: str, rest: float
    ) -> None:
        server.answers["/"] = Answer(status=429, headers={"Retry-After": given})
        answer = await fetcher.fetch(f"{server.url}/")
        assert answer == Failed("http-429", "127.0.0.1 answered 429", retryable=True, retry_after=rest)
        async with within(5):
            answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failed)
        assert (answer.code, answer.retryable, len(server.requests)) == ("resting", True, 1)
        assert answer.retry_after == pytest.approx(rest, abs=10)

    @pytest.mark.parametrize(
        "given",
        [
            "soon",
            "Mon, 1 Jan 99999999999999999999 10:00:00 GMT",
            "Mon, 1 Jan 2026 10:99999999999999999999:00 GMT",
            "Mon, 1 Jan 2026 10:00:00 +99999999999",
        ],
    )
    async def test_a_time_that_is_none_is_no_rest(
        self, server: WebServer, fetcher: Fetcher, given: str
    ) -> None:
        server.answers["/"] = Answer(status=503, headers={"Retry-After": given})
        answer = await fetcher.fetch(f"{server.url}/")
        assert answer == Failed("http-503", "127.0.0.1 answered 503", retryable=True)

    async def test_a_short_rest_is_waited_for(self, server: WebServer, fetcher: Fetcher) -> None:
        server.answers["/"] = [Answer(status=503, headers={"Retry-After": "1"}), b"clouds"]
        await fetcher.fetch(f"{server.url}/")
        began = asyncio.get_running_loop().time()
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Fetched)
        assert asyncio.get_running_loop().time() - began > 0.9
