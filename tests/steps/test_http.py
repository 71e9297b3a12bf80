"""The kind ``http`` against a real server: what it sends where, what it makes of answers, how it fails."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lingstream.access.faults import told_error
from lingstream.core.engine.kinds import Services, check_options, kind_of
from lingstream.core.engine.plan import Plan, StepPlan, TriggerPlan
from lingstream.core.exceptions import UsageError
from lingstream.execution.services import SiteServices
from lingstream.steps import answers
from lingstream.testing import StepContract
from tests.chaos.patience import within
from tests.core.support import MemoryJournal, Outcome, make_run, outcome, seen
from tests.web import Answer, WebServer, web

SECRET = "sk-Zq81mVtX0pLw7RkE3nYb"
AGAIN = {"Retry-After": "0"}


@pytest.fixture
async def services() -> AsyncIterator[SiteServices]:
    made = SiteServices()
    yield made
    await made.aclose()


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web() as served:
        yield served


def step(url: str, *, plan: dict[str, Any] | None = None, **options: Any) -> StepPlan:
    return StepPlan("ask", "http", options={"url": url, **options}, **(plan or {}))


@pytest.fixture
def asked(services: SiteServices, server: WebServer) -> Any:
    """Execute a workflow of one step, as a row has it, that asks the server."""

    async def ask(
        path: str, *, input: Any = None, more: dict[str, Any] | None = None, **given: Any
    ) -> Outcome:
        plan = step(path if "://" in path else server.url + path, **given)
        check_options(plan)
        return await outcome(Plan("test", steps=(plan,)), services=services, input=input, **(more or {}))

    return ask


class TestWhatIsSent:
    async def test_a_plain_get(self, asked: Any, server: WebServer) -> None:
        server.answers["/facts"] = b'{"height": 2000, "of": ["Clouds"]}'
        ended = await asked("/facts")
        assert (ended.status, ended.document) == ("finished", {"height": 2000, "of": ["Clouds"]})
        (request,) = server.requests
        assert (request.method, request.path, request.body) == ("GET", "/facts", b"")
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"] == "lingstream"
        assert not {"idempotency-key", "cookie", "authorization"} & set(request.headers)

    async def test_templates_everywhere(self, asked: Any, server: WebServer) -> None:
        server.answers["/v1/a%2Fb%3F%20c/orders"] = b"{}"
        await asked(
            "/v1/{{ input.who }}/orders?page=1",
            input={"who": "a/b? c", "tags": ["x y", "z"], "none": None, "n": 2.5, "yes": True},
            method="POST",
            query={"tag": "{{ input.tags }}", "q": "is {{ input.n }}", "no": "{{ input.none }}", "y": 1},
            headers={"X-Yes": "{{ input.yes }}", "X-No": None, "Accept": "text/plain"},
            body={"who": "{{ input.who }}", "all": ["{{ input }}"], "云": "{{ input.n }}"},
        )
        (request,) = server.requests
        assert request.path == "/v1/a%2Fb%3F%20c/orders?page=1&tag=x+y&tag=z&q=is+2.5&y=1"
        assert (request.headers["x-yes"], request.headers["accept"]) == ("true", "text/plain")
        assert "x-no" not in request.headers
        assert request.headers["content-type"] == "application/json"
        body = json.loads(request.body)
        assert (body["who"], body["云"], body["all"][0]["tags"]) == ("a/b? c", 2.5, ["x y", "z"])

    @pytest.mark.parametrize(
        ("body", "sent", "content_type"),
        [
            ("plain {{ input }}", b"plain 5", "text/plain; charset=utf-8"),
            ("{{ input }}", b"5", "application/json"),
            (None, b"null", "application/json"),
            ([1, "x"], b'[1, "x"]', "application/json"),
            ("", b"", "text/plain; charset=utf-8"),
        ],
    )
    async def test_a_text_goes_as_it_is_and_all_else_as_json(
        self, asked: Any, server: WebServer, body: Any, sent: bytes, content_type: str
    ) -> None:
        server.answers["/"] = b""
        assert (await asked("/", input=5, method="PUT", body=body)).status == "finished"
        assert (server.requests[0].body, server.requests[0].headers["content-type"]) == (sent, content_type)

    @pytest.mark.parametrize("part", ["..", "../admin", "..\\admin", "..;x/y", "%2e%2e/a", "a/../../b", "."])
    async def test_an_interpolation_climbs_nowhere(self, asked: Any, server: WebServer, part: str) -> None:
        ended = await asked("/public/{{ input }}/x", input=part)
        assert ended.errors[0]["code"] == "option"
        assert not server.requests

    @pytest.mark.parametrize("part", ["..", "a..b", "v1.2", "云/水"])
    async def test_where_dots_are_words_they_stay(self, asked: Any, server: WebServer, part: str) -> None:
        server.answers["/find"] = b"{}"
        assert (await asked("/find?q={{ input }}", input=part)).status == "finished"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"headers": {"X-A": "{{ input.lines }}"}}, "printable ASCII in one line"),
            ({"headers": {"X-A": "{{ input.list }}"}}, "got a container"),
            ({"query": {"q": "{{ input.list }}"}}, ""),
            ({"query": {"q": ["{{ input.list }}"]}}, "got a container"),
        ],
    )
    async def test_what_the_templates_come_to_is_checked(
        self, asked: Any, server: WebServer, options: Any, message: str
    ) -> None:
        server.answers["/"] = b"{}"
        ended = await asked("/", input={"lines": "a\r\nX-Evil: 1", "list": [1]}, **options)
        if not message:
            assert ended.status == "finished"
            return
        assert message in ended.errors[0]["message"]
        assert not server.requests

    async def test_a_host_may_be_interpolated_and_is_guarded(self, asked: Any, server: WebServer) -> None:
        server.answers["/x"] = b"{}"
        url = "http://{{ input }}:" + str(server.port) + "/x"
        assert (await asked(url, input="127.0.0.1")).status == "finished"
        for host in ("localhost", "169.254.169.254", "127.0.0.1/@evil", "a@127.0.0.1", "%31"):
            assert (await asked(url, input=host)).errors[0]["code"] in ("address", "option"), host
        assert len(server.requests) == 1


class TestWhatIsRefused:
    """Before a row is saved, and again when it is executed."""

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"url": "ftp://127.0.0.1/"}, "option"),
            ({"url": "{{ input.url }}"}, "option"),
            ({"url": "//127.0.0.1/x"}, "option"),
            ({"url": ""}, "option"),
            ({"url": "http:///x"}, "option"),
            ({"url": "http://user:word@127.0.0.1/"}, "option"),
            ({"url": "http://127.0.0.1\\@10.0.0.1/"}, "option"),
            ({"url": "http://10.0.0.1/{{ value }}"}, "address"),
            ({"url": "http://169.254.169.254"}, "address"),
            ({"url": "https://api.example.com:22/"}, "address"),
            ({"url": "https://api.example.com/", "method": "TRACE"}, "option"),
            ({"url": "https://api.example.com/", "headers": {"Authorization": "Bearer x"}}, "option"),
            ({"url": "https://api.example.com/", "headers": {"HOST": "x"}}, "option"),
            ({"url": "https://api.example.com/", "headers": {"X-A": "a\nb"}}, "option"),
            ({"url": "https://api.example.com/", "headers": {"X A": "a"}}, "option"),
            ({"url": "https://api.example.com/", "key_header": "Content-Length"}, "option"),
            ({"url": "https://api.example.com/", "key_prefix": "a\nb"}, "option"),
            ({"url": "https://api.example.com/", "key": "SECRET_KEY"}, "key-not-listed"),
            ({"url": "https://api.example.com/", "response": "xml"}, "option"),
            ({"url": "https://api.example.com/", "timeout": 3}, "option"),
            ({}, "option"),
        ],
    )
    def test_options(self, options: dict[str, Any], code: str) -> None:
        with pytest.raises(UsageError) as caught:
            check_options(StepPlan("ask", "http", options=options))
        assert caught.value.code == code

    def test_but_not_what_makes_sense(self) -> None:
        check_options(step("https://api.example.com/{{ value }}", headers={"X-A": 1, "X-B": "{{ value }}"}))
        check_options(step("HTTPS://{{ input.tenant }}.example.com/x"))
        check_options(step("https://api.example.com", key="LINGSTREAM_API_KEY", key_header="X-Api-Key"))

    @pytest.mark.parametrize(("method", "acts"), [(None, False), ("HEAD", False), ("POST", True)])
    def test_what_only_reads_acts_on_nothing(self, method: str | None, acts: bool) -> None:
        plan = step("https://api.example.com", **({"method": method} if method else {}))
        assert kind_of("http").has_effects(plan) is acts

    def test_each_option_has_a_title_and_a_description_for_the_form(self) -> None:
        for name, option in kind_of("http").options_schema["properties"].items():
            assert option["title"] and option["description"], name


class TestKeys:
    @pytest.fixture(autouse=True)
    def listed(self, settings: Any, server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.LINGSTREAM = {
            "ALLOW_HOSTS": ["127.0.0.1", "localhost"],
            "PROVIDER_KEYS": {"SHOP_KEY": [f"{server.url}/v1"]},
        }
        monkeypatch.setenv("SHOP_KEY", SECRET + "\n")

    async def test_go_where_the_setting_says(self, asked: Any, server: WebServer) -> None:
        server.answers = {"/v1/a%20b": b"{}", "/v1": b"{}"}
        await asked("/v1/{{ input }}?q=a%20b", input="a b", key="SHOP_KEY")
        await asked("/v1", key="SHOP_KEY", key_header="X-Token", key_prefix="")
        first, second = server.requests
        assert first.headers["authorization"] == f"Bearer {SECRET}"
        assert second.headers["x-token"] == SECRET
        assert "authorization" not in second.headers

    @pytest.mark.parametrize("path", ["/v2", "/", "/v1x", "/%76%31/x"])
    async def test_and_nowhere_else(self, asked: Any, server: WebServer, path: str) -> None:
        ended = await asked(path, key="SHOP_KEY")
        assert (ended.errors[0]["code"], server.requests) == ("base-url", [])
        assert SECRET not in repr(ended.frames)

    async def test_one_that_is_not_set_is_the_sites_mistake(
        self, asked: Any, server: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for value in ("", "mit Ümlaut"):
            monkeypatch.setenv("SHOP_KEY", value)
            error = (await asked("/v1", key="SHOP_KEY")).errors[0]
            assert told_error(error)["code"] == "internal"
            assert "Ümlaut" not in error["message"]
        assert not server.requests

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("header", ["Authorization", "X-Token", "Accept"])
    async def test_never_reach_another_host(
        self, asked: Any, server: WebServer, caplog: pytest.LogCaptureFixture, status: int, header: str
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with web({"/v1": b'{"other": true}'}) as other:
            elsewhere = f"http://localhost:{other.port}/v1"
            server.answers["/v1"] = Answer(status=status, headers={"Location": elsewhere})
            headers = {"X-Private": "between us", "X-Trace": "1"}
            ended = await asked(
                "/v1", method="POST", body="hello", key="SHOP_KEY", key_header=header, headers=headers
            )
            assert ended.document == {"other": True}
            (request,) = other.requests
        assert SECRET in server.requests[0].headers[header.lower()]
        assert SECRET not in repr(request) + caplog.text
        assert "between us" not in repr(request)
        assert (request.method, request.body) == (("POST", b"hello") if status > 303 else ("GET", b""))
        assert request.headers["idempotency-key"] == server.requests[0].headers["idempotency-key"]

    @pytest.mark.parametrize(("path", "carried"), [("/v1/b", True), ("/b", False), ("/v1/%2e%2e/b", False)])
    async def test_on_the_same_host_they_go_as_far_as_the_setting_says(
        self, asked: Any, server: WebServer, path: str, carried: bool
    ) -> None:
        server.answers = {"/v1/a": Answer(status=302, headers={"Location": path}), path: b"{}"}
        ended = await asked("/v1/a", key="SHOP_KEY", headers={"X-Private": "between us"})
        if "%" in path:
            assert "no address" in ended.errors[0]["message"]
            return
        assert ended.status == "finished"
        assert ("authorization" in server.requests[1].headers) is carried
        assert server.requests[1].headers["x-private"] == "between us"

    async def test_are_in_no_message(
        self, asked: Any, server: WebServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.answers["/v1"] = lambda request: Answer(json.dumps(request.headers).encode(), status=401)
        error = (await asked("/v1", key="SHOP_KEY")).errors[0]
        assert error == {
            "code": "http",
            "message": "127.0.0.1 answered 401",
            "retryable": False,
            "bot": "ask#1",
        }
        server.answers["/v1"] = Answer(b"{", drop=True)
        await asked("/v1", key="SHOP_KEY")
        assert SECRET not in caplog.text


class TestRedirects:
    async def test_into_the_network_are_refused(self, asked: Any, server: WebServer) -> None:
        async with web({"/": b"{}"}) as inside:
            for address in (f"http://localhost:{inside.port}/", "http://169.254.169.254/latest/meta-data"):
                server.answers["/"] = Answer(status=302, headers={"Location": address})
                error = (await asked("/")).errors[0]
                assert error["code"] == "address"
                assert told_error(error)["code"] == "internal"
            assert not inside.requests

    @pytest.mark.parametrize(
        "location",
        ["ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://[bad/", "javascript:alert(1)", "file:///etc"],
    )
    async def test_to_what_is_no_address(self, asked: Any, server: WebServer, location: str) -> None:
        server.answers["/"] = Answer(status=302, headers={"Location": location})
        ended = await asked("/")
        assert ended.errors[0]["message"] == "127.0.0.1 redirects to what is no address"
        assert len(server.requests) == 1

    @pytest.mark.parametrize(("count", "ends"), [(5, True), (6, False)])
    async def test_are_followed_five_times(
        self, asked: Any, server: WebServer, count: int, ends: bool
    ) -> None:
        for number in range(count):
            server.answers[f"/{number}"] = Answer(status=307, headers={"Location": f"/{number + 1}"})
        server.answers[f"/{count}"] = b'"there"'
        ended = await asked("/0")
        assert (ended.document == "there") is ends
        assert len(server.requests) == 6
        if not ends:
            assert ended.errors[0]["message"] == "127.0.0.1 redirects more than 5 times"


LANGSERVE = (
    b': ping\r\n\r\nevent: metadata\r\ndata: {"run_id": "1"}\r\n\r\n'
    b'event: data\r\ndata: "{\\"a\\": "\r\n\r\n'
    b'event: data\r\ndata: {"content": "\\"\xe4\xba\x91", "type": "AIMessageChunk"}\r\n\r\n'
    b'event: data\r\ndata: {"content": [{"type": "text", "text": " is"}, {"type": "image"}, " soft"]}\r\n\r\n'
    b'event: data\r\ndata: {"context": [{"page_content": "unused"}]}\r\n\r\n'
    b'event: data\r\ndata: {"answer": "\\""}\r\n\r\n'
    b'event: data\r\ndata: {"output": {"content": "}"}}\r\n\r\n'
    b"event: end\r\n\r\n"
)


class TestAnswers:
    @pytest.mark.parametrize(
        ("body", "document"),
        [
            (b'{"a": [1, 2.5, null, true, "\\u4e91"]}', {"a": [1, 2.5, None, True, "云"]}),
            (b'"text"', "text"),
            ("\ufeff[]".encode(), []),
            ('{"a": "云"}'.encode("utf-16"), {"a": "云"}),
            (b"", None),
        ],
    )
    async def test_of_json_are_set_at_the_root(
        self, asked: Any, server: WebServer, body: bytes, document: Any
    ) -> None:
        server.answers["/"] = body
        ended = await asked("/", plan={"root": "x/y"})
        assert ended.status == "finished"
        assert ended.document == {"x": {"y": document} if body else {}}

    async def test_of_json_start_triggers_as_if_a_model_had_written_them(
        self, services: SiteServices, server: WebServer
    ) -> None:
        server.answers["/"] = b'{"items": [{"name": "a"}, {"name": "b"}]}'
        plan = Plan(
            "test",
            steps=(step(server.url + "/"), StepPlan("loud", "compute", options={"set": {"": "value|upper"}})),
            triggers=(TriggerPlan("ask", "loud", pattern="items/*/name", root="items/{{ match[0] }}/loud"),),
        )
        ended = await outcome(plan, services=services)
        assert ended.document["items"] == [{"name": "a", "loud": "A"}, {"name": "b", "loud": "B"}]

    async def test_without_a_body_set_nothing(self, asked: Any, server: WebServer) -> None:
        server.answers = {"/204": Answer(status=204, headers={"Content-Length": "0"}), "/": b'{"a": 1}'}
        assert (await asked("/204", method="DELETE")).document is None
        assert (await asked("/", method="HEAD")).document is None

    @pytest.mark.parametrize("body", [b"<html>", b"{", b"NaN", b"[1,]", b"[" * 100_000, b"\xff\xfe\xfd"])
    async def test_of_json_that_are_none(self, asked: Any, server: WebServer, body: bytes) -> None:
        server.answers["/"] = Answer(body, headers={"Content-Type": "text/html"})
        (error,) = (await asked("/")).errors
        assert (error["code"], error["retryable"]) == ("http", False)
        assert error["message"] == (
            f"expected JSON from 127.0.0.1, got {len(body)} bytes of something else ('text/html')"
        )

    @pytest.mark.parametrize(
        ("body", "content_type", "text"),
        [
            ("云".encode(), "text/plain", "云"),
            ("\ufeff云".encode(), "text/plain; charset=utf-8", "云"),
            ("ü".encode("latin-1"), "text/plain; charset=ISO-8859-1", "ü"),
            ("云".encode("gbk"), "text/plain; charset=GBK", "云"),
            ("ü".encode(), "text/plain; charset=punycode", "ü"),
            ("ü".encode(), "text/plain; charset=zip", "ü"),
            (b"a\xffb", "text/plain", "a\ufffdb"),
            (b"", "text/plain", ""),
        ],
    )
    async def test_of_text(
        self, asked: Any, server: WebServer, body: bytes, content_type: str, text: str
    ) -> None:
        server.answers["/"] = Answer(body, headers={"Content-Type": content_type})
        assert (await asked("/", response="text", plan={"root": "said"})).document == {"said": text}

    @pytest.mark.parametrize("format", ["json", "text"])
    async def test_as_they_come(self, services: SiteServices, server: WebServer, format: Any) -> None:
        half = asyncio.Event()
        server.answers["/"] = Answer([b'{"a": "\xe4', b"\xba\x91 is", half, b' soft"}'])
        plan = step(server.url + "/", response="stream", plan={"format": format})
        run, log = make_run(Plan("test", steps=(plan,)), services=services)
        running = asyncio.create_task(run.execute())
        async with within(10):
            await seen(log, lambda doc: doc == ({"a": "云 is"} if format == "json" else '{"a": "云 is'))
            half.set()
            result = await running
        assert result.document == ({"a": "云 is soft"} if format == "json" else '{"a": "云 is soft"}')

    @pytest.mark.parametrize("size", [1, 7, 1_000])
    @pytest.mark.parametrize("newline", [b"\r\n", b"\n", b"\r"])
    async def test_of_langserve(self, asked: Any, server: WebServer, size: int, newline: bytes) -> None:
        body = LANGSERVE.replace(b"\r\n", newline)
        server.answers["/stream"] = Answer([body[at : at + size] for at in range(0, len(body), size)])
        ended = await asked(
            "/stream", method="POST", body={"input": "{{ input }}"}, input="q", response="langserve"
        )
        assert ended.document == {"a": "云 is soft"}
        assert json.loads(server.requests[0].body) == {"input": "q"}
        assert server.requests[0].headers["accept"] == "text/event-stream"
        assert server.requests[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize(
        ("body", "message", "retryable"),
        [
            (
                b'event: error\ndata: {"status_code": 500, "message": "secret"}\n\n',
                "broke off with 500",
                True,
            ),
            (
                b'event: error\ndata: {"status_code": 422, "message": "secret"}\n\n',
                "broke off with 422",
                False,
            ),
            (b"event: data\ndata: {broken\n\n", "expected events of JSON", False),
            (b'event: data\ndata: "half"\n\n', "without an event “end”", True),
            (b'{"not": "a stream"}', "without an event “end”", True),
        ],
    )
    async def test_of_langserve_that_failed(
        self, asked: Any, server: WebServer, body: bytes, message: str, retryable: bool
    ) -> None:
        server.answers["/"] = body
        plan = {"format": "text"}
        (error,) = (await asked("/", response="langserve", method="POST", plan=plan)).errors
        assert message in error["message"] and "secret" not in error["message"]
        assert error["retryable"] is retryable


class TestBounds:
    @pytest.mark.parametrize("response", ["json", "text", "stream", "langserve"])
    async def test_of_what_is_read(
        self, asked: Any, server: WebServer, monkeypatch: pytest.MonkeyPatch, response: str
    ) -> None:
        monkeypatch.setattr(answers, "MOST_BYTES", 100_000)
        never = asyncio.Event()
        server.answers["/"] = Answer([b" " * 50_000, b" " * 50_001, never])
        async with within(10):
            (error,) = (await asked("/", response=response, plan={"format": "text"})).errors
            await server.requests[0].ended.wait()
        assert error["message"] == "127.0.0.1 answered with more than 100000 bytes"
        assert server.requests[0].closed_early

    def test_are_four_megabytes(self) -> None:
        assert answers.MOST_BYTES == 4 * 1024 * 1024

    async def test_a_long_answer_within_them(self, asked: Any, server: WebServer) -> None:
        words = ["云" * 1000] * 100
        server.answers["/"] = json.dumps(words, ensure_ascii=False).encode()
        assert (await asked("/")).document == words

    async def test_compressed_answers_are_read(self, asked: Any, server: WebServer) -> None:
        server.answers["/"] = Answer(gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
        assert (await asked("/")).document == {"a": 1}
        assert server.requests[0].headers["accept-encoding"] == "gzip"

    async def test_a_bomb_is_not_unpacked(self, asked: Any, server: WebServer) -> None:
        bomb = gzip.compress(b" " * 300_000_000, 9)
        assert len(bomb) < 300_000
        server.answers["/"] = Answer(bomb, headers={"Content-Encoding": "gzip"})
        tracemalloc.start()
        try:
            (error,) = (await asked("/")).errors
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert error["message"] == f"127.0.0.1 answered with more than {4 * 1024 * 1024} bytes"
        assert most < 20_000_000

    async def test_what_follows_the_end_of_a_gzip_counts(
        self, asked: Any, server: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answers, "MOST_BYTES", 100_000)
        pieces = [gzip.compress(b"{}"), b"x" * 100_000, asyncio.Event()]
        server.answers["/"] = Answer(pieces, headers={"Content-Encoding": "gzip"})
        async with within(10):
            (error,) = (await asked("/")).errors
        assert error["message"] == "127.0.0.1 answered with more than 100000 bytes"

    @pytest.mark.parametrize(
        ("encoding", "body", "message"),
        [
            ("gzip", b"no gzip", "a gzip that is broken"),
            ("gzip", gzip.compress(b"{}")[:-1], "a gzip that is not complete"),
            ("deflate", b"no deflate", "a deflate that is broken"),
            ("br", b"?", "expected gzip, deflate or nothing from 127.0.0.1, got 'br'"),
            ("gzip, gzip", b"?", "expected gzip, deflate or nothing"),
        ],
    )
    async def test_what_cannot_be_unpacked(
        self, asked: Any, server: WebServer, encoding: str, body: bytes, message: str
    ) -> None:
        server.answers["/"] = Answer(body, headers={"Content-Encoding": encoding})
        assert message in (await asked("/")).errors[0]["message"]

    @pytest.mark.parametrize("body", [(), (b'{"a": ',)])
    async def test_of_time(self, asked: Any, server: WebServer, body: tuple[bytes, ...]) -> None:
        server.answers["/"] = Answer([*body, asyncio.Event()])
        (error,) = (await asked("/", plan={"timeout": 0.1})).errors
        assert (error["code"], error["message"]) == ("timeout", "ask#1 took more than 0.1 seconds")
        async with within(5):
            await server.requests[0].ended.wait()
        assert server.requests[0].closed_early

    async def test_of_silence_where_the_step_has_none(
        self, asked: Any, server: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lingstream.steps.exchange._SILENCE", 0.05)
        server.answers["/"] = Answer([b"{", asyncio.Event()])
        (error,) = (await asked("/")).errors
        assert (error["message"], error["retryable"]) == ("127.0.0.1 sent nothing for 0.05 s", True)

    async def test_a_refusal_is_not_read_to_its_end(self, asked: Any, server: WebServer) -> None:
        server.answers["/"] = Answer([b"sorry", asyncio.Event()], status=404)
        async with within(5):
            assert (await asked("/")).errors[0]["message"] == "127.0.0.1 answered 404"
            await server.requests[0].ended.wait()
        assert server.requests[0].closed_early

    async def test_a_cancel_closes_the_connection(self, services: SiteServices, server: WebServer) -> None:
        server.answers["/"] = Answer([b'{"a": "half', asyncio.Event()])
        plan = step(server.url + "/", response="stream")
        run, log = make_run(Plan("test", steps=(plan,)), services=services)
        running = asyncio.create_task(run.execute())
        async with within(10):
            await seen(log, lambda doc: doc == {"a": "half"})
            run.cancel()
            assert (await running).status == "canceled"
            await server.requests[0].ended.wait()
        assert server.requests[0].closed_early


class TestTries:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
    async def test_are_made_again_where_it_may_help(self, asked: Any, server: WebServer, status: int) -> None:
        server.answers["/"] = [Answer(status=status, headers=AGAIN)] * 2 + [b'{"a": 1}']
        ended = await asked("/", plan={"retries": 2})
        assert (ended.status, ended.document, len(server.requests)) == ("finished", {"a": 1}, 3)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 304])
    async def test_and_not_where_it_does_not(self, asked: Any, server: WebServer, status: int) -> None:
        server.answers["/"] = Answer(status=status, headers=AGAIN)
        (error,) = (await asked("/", plan={"retries": 2})).errors
        assert (error["message"], error["retryable"]) == (f"127.0.0.1 answered {status}", False)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    async def test_of_what_acts_have_the_same_key_each(
        self, asked: Any, server: WebServer, method: str
    ) -> None:
        server.answers["/"] = [Answer(status=503, headers=AGAIN)] * 2 + [b"{}"]
        await asked("/", method=method, body={}, plan={"retries": 2})
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert len(keys) == 3 and len(set(keys)) == 1 and len(keys[0]) == 64

    async def test_are_not_made_without_a_key(self, asked: Any, server: WebServer) -> None:
        server.answers["/"] = Answer(status=503, headers=AGAIN)
        (error,) = (await asked("/", method="POST", idempotency_key=False, plan={"retries": 2})).errors
        assert (len(server.requests), error["retryable"]) == (1, False)
        assert "idempotency-key" not in server.requests[0].headers
        server.requests.clear()
        own = {"Idempotency-Key": "order-5"}
        await asked("/", method="POST", idempotency_key=False, headers=own, plan={"retries": 2})
        assert [request.headers["idempotency-key"] for request in server.requests] == ["order-5"] * 3

    @pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("PUT", 2), ("DELETE", 2)])
    async def test_follow_a_lost_connection(
        self, asked: Any, server: WebServer, method: str, tries: int
    ) -> None:
        server.answers["/"] = [Answer([b'{"a"'], drop=True), b'{"a": 1}']
        ended = await asked("/", method=method, plan={"retries": 1})
        assert (ended.document, len(server.requests)) == ({"a": 1}, tries)

    async def test_unless_it_acts_and_has_no_key(self, asked: Any, server: WebServer) -> None:
        server.answers["/"] = Answer([b'{"a"'], drop=True)
        (error,) = (await asked("/", method="POST", idempotency_key=False, plan={"retries": 1})).errors
        assert (len(server.requests), error["retryable"]) == (1, False)
        assert error["message"] == "127.0.0.1 closed the connection before its answer was complete"

    async def test_nobody_at_the_address(self, asked: Any) -> None:
        async with web() as gone:
            pass
        (error,) = (await asked(gone.url)).errors
        assert (error["code"], error["retryable"]) == ("http", True)
        assert error["message"] == "127.0.0.1 cannot be reached: Connection refused"
        assert "127.0.0.1" not in told_error(error)["message"]

    @pytest.mark.parametrize(
        "after", ["1", "Thu, 01 Jan 2099 00:00:00 GMT", "1 Jan 99999999999999999999", "soon", "-1", "0"]
    )
    async def test_wait_as_long_as_the_server_says(
        self, asked: Any, server: WebServer, monkeypatch: pytest.MonkeyPatch, after: str
    ) -> None:
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        monkeypatch.setattr("lingstream.core.engine.calls.asyncio.sleep", sleep)
        server.answers["/"] = [Answer(status=429, headers={"Retry-After": after}), b"{}"]
        assert (await asked("/", plan={"retries": 1})).status == "finished"
        (pause,) = [each for each in pauses if each or after == "0"][:1]
        assert {"1": pause == 1, "0": pause == 0}.get(
            after, 0.25 <= pause <= (30 if "2099" in after else 0.5)
        )

    async def test_none_is_made_once_something_was_said(self, asked: Any, server: WebServer) -> None:
        server.answers["/"] = [Answer([b"half"], drop=True), b"whole"]
        ended = await asked("/", response="stream", plan={"format": "text", "retries": 2})
        assert (ended.status, ended.document, len(server.requests)) == ("failed", "half", 1)


class TestAfterACrash:
    async def test_the_key_is_the_same_and_another_calls_is_not(
        self, services: SiteServices, server: WebServer
    ) -> None:
        plan = step(server.url + "/{{ value }}", method="POST", body="{{ value }}")
        journal, never = MemoryJournal(), asyncio.Event()
        server.answers["/1"] = [Answer([never]), b'"done"']
        run, _ = make_run(Plan("test", steps=(plan,)), services=services, input=1, journal=journal, name="r")
        running = asyncio.create_task(run.execute())
        async with within(10):
            await server.asked()
            running.cancel()  # the process dies
            await asyncio.wait([running])
            again = {"services": services, "journal": journal, "name": "r", "epoch": 2}
            assert (await outcome(Plan("test", steps=(plan,)), input=1, **again)).document == "done"
            server.answers["/2"] = b'"other"'
            await outcome(Plan("test", steps=(plan,)), input=2, **again)
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert keys[0] == keys[1] != keys[2]

    async def test_what_has_been_answered_is_not_asked_again(
        self, services: SiteServices, server: WebServer
    ) -> None:
        server.answers["/"] = [b'{"a": 1}']
        plan, journal = Plan("test", steps=(step(server.url + "/", method="POST"),)), MemoryJournal()
        before = await outcome(plan, services=services, journal=journal)
        again = await outcome(plan, services=services, journal=journal, epoch=2)
        assert again.document == before.document == {"a": 1}
        assert len(server.requests) == 1


class TestContract(StepContract):
    kind = kind_of("http")
    input = {"city": "a b"}
    document = {"sky": "grey"}

    @pytest.fixture(autouse=True)
    async def _serve(self, services: SiteServices, server: WebServer) -> None:
        server.answers["/weather/a%20b"] = b'{"sky": "grey"}'
        self.options = {
            "url": server.url + "/weather/{{ input.city }}",
            "method": "POST",
            "body": ["{{ input }}"],
        }
        self.shared = services

    def services(self) -> Services:
        return self.shared


async def test_without_a_site_there_is_no_client() -> None:
    ended = await outcome(Plan("test", steps=(step("http://127.0.0.1/"),)))
    assert "expected a site with guarded addresses" in ended.errors[0]["message"]
