"""The openai provider against a real server on a local socket; nothing of the SDK is mocked."""

import asyncio
import contextlib
import logging
import shutil
import ssl
import subprocess

import pytest

from lingstream.access.bodies import Body
from lingstream.access.client import http_client, ssl_context
from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.core.provider import ChatOptions, Chunk, Usage
from lingstream.providers import build_provider, preload
from lingstream.providers.openai import provider as module
from lingstream.testing import OpenAIServer, Reply, collect, collect_chunks
from tests.chaos.patience import scaled

KEY = "sk-proj-Zq81mVtX0pLw7RkE3nYb"
TEXT = '{"answer": "云 is 😀", "n": [1, 2]}'
ASK = [{"role": "user", "content": "?"}]
SOON = {"retry-after-ms": "1"}


@contextlib.asynccontextmanager
async def talking(answers="", *, key=KEY, server=None, **options):
    """A provider, and the server it talks to."""
    async with OpenAIServer(answers, **(server or {})) as served:
        plan = ProviderPlan(kind="openai", base_url=served.base_url, model="m", options=options)
        provider = build_provider(plan, key)
        try:
            yield provider, served
        finally:
            await provider.aclose()


async def failure(provider) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await collect(provider)
    assert KEY not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="plain"),
        pytest.param({"cut": 1}, id="byte for byte"),
        pytest.param({"cut": 7}, id="7 bytes a packet"),
        pytest.param({"merge": 3}, id="3 events a packet"),
        pytest.param({"merge": 1000}, id="all in one packet"),
        pytest.param({"comments": True, "newline": "\r\n", "cut": 5}, id="comments and CRLF"),
        pytest.param({"done": False}, id="without [DONE]"),
        pytest.param({"space": False}, id="without the space"),
    ],
)
async def test_the_answer_arrives_as_it_was_sent(how):
    async with talking(TEXT, server=how) as (provider, _):
        assert await collect(provider) == Chunk(TEXT, "", Usage(7, 11), "stop")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_comes_before_the_text(field):
    reply = Reply(TEXT, reasoning=["let me", " think"], reasoning_field=field)
    async with talking(reply) as (provider, _):
        chunks = await collect_chunks(provider)
    assert "".join(chunk.reasoning for chunk in chunks) == "let me think"
    first_text = next(n for n, chunk in enumerate(chunks) if chunk.text)
    assert not any(chunk.reasoning for chunk in chunks[first_text + 1 :])


async def test_a_server_that_does_not_stream_is_accepted():
    body = {"choices": [{"message": {"content": TEXT}, "finish_reason": "length"}]}
    async with talking(Reply(body=body)) as (provider, _):
        assert await collect_chunks(provider) == [Chunk(TEXT, "", None, "length")]


async def test_the_request_holds_what_was_asked():
    async with talking(TEXT, params={"temperature": 0, "seed": 3}, headers={"X-Title": "t"}) as (
        provider,
        server,
    ):
        options = ChatOptions("m2", {"type": "json_object"}, {"temperature": 1, "top_k": 5})
        await collect(provider.stream(ASK, options))
    request = server.requests[0]
    assert request.json == {
        "model": "m2",
        "messages": ASK,
        "stream": True,
        "stream_options": {"include_usage": True},
        "response_format": {"type": "json_object"},
        "temperature": 1,
        "seed": 3,
        "top_k": 5,
    }
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["x-title"] == "t"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "provider-bad-request", False),
        (401, "provider-auth", False),
        (402, "provider-quota", False),
        (403, "provider-permission", False),
        (404, "provider-not-found", False),
        (418, "provider-error", False),
        (422, "provider-bad-request", False),
        (429, "provider-rate-limit", True),
        (500, "provider-unavailable", True),
        (503, "provider-unavailable", True),
        (529, "provider-unavailable", True),
    ],
)
async def test_a_status_becomes_an_error_with_a_code(status, code, retryable):
    async with talking(Reply(status=status), max_retries=0) as (provider, _):
        error = await failure(provider)
    assert (error.code, error.retryable, error.status) == (code, retryable, status)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}),
        (429, {"message": "m", "type": "exceeded_current_quota_error"}),
        (402, {"message": "Insufficient Balance", "code": "invalid_request_error"}),
        (400, {"message": "Your credit balance is too low to access the API"}),
    ],
)
async def test_an_empty_account_is_not_worth_a_retry(status, error):
    async with talking(Reply(status=status, body={"error": error}), max_retries=0) as (provider, _):
        failed = await failure(provider)
    assert (failed.code, failed.retryable) == ("provider-quota", False)
    assert failed.message == f"the model server answered {status}: {error['message']}"


async def test_who_speaks_of_a_quota_may_mean_the_rate():
    said = "You exceeded your current quota, please check your plan and billing details."
    body = [{"error": {"code": 429, "message": said, "status": "RESOURCE_EXHAUSTED"}}]  # Gemini
    async with talking(Reply(status=429, body=body), max_retries=0) as (provider, _):
        error = await failure(provider)
    assert (error.code, error.retryable) == ("provider-rate-limit", True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}]},
            "body.messages.0: Field required",
        ),
        ({"detail": "no such field"}, "no such field"),
        (
            [{"error": {"code": 422, "message": "not like this", "status": "INVALID_ARGUMENT"}}],
            "not like this",
        ),
        ({"error": "not like this"}, "not like this"),
        (b"not like\n this", "not like this"),
        (b'event: error\ndata: {"message": "not like this"}\n\n', "not like this"),
    ],
)
async def test_what_the_server_says_can_be_read(body, said):
    async with talking(Reply(status=422, body=body)) as (provider, _):
        error = await failure(provider)
    assert (error.code, error.message) == ("provider-bad-request", f"the model server answered 422: {said}")


@pytest.mark.parametrize("status", [429, 500])
async def test_the_sdk_retries_before_the_first_byte(status):
    bad = Reply(status=status, headers=SOON)
    async with talking([bad, bad, TEXT], max_retries=2) as (provider, server):
        assert (await collect(provider)).text == TEXT
        assert len(server.requests) == 3


async def test_retries_end():
    async with talking(Reply(status=500, headers=SOON), max_retries=1) as (provider, server):
        assert (await failure(provider)).code == "provider-unavailable"
        assert len(server.requests) == 2


async def test_an_error_in_mid_stream_comes_after_the_text_before_it():
    error = {"error": {"message": f"overloaded, {KEY} must wait", "code": 503}}
    async with talking([["so ", "far", error]], server={"merge": 10}) as (provider, _):
        got = []
        with pytest.raises(ProviderError) as caught:
            async for chunk in provider.stream(ASK, ChatOptions()):
                got.append(chunk.text)
    assert "".join(got) == "so far"
    assert (caught.value.code, caught.value.retryable) == ("provider-unavailable", True)
    assert caught.value.message == "the model server answered 503: overloaded, [key] must wait"


async def test_a_dropped_connection_is_told_apart_from_an_end():
    async with talking(Reply("half an ans", drop=True)) as (provider, _):
        error = await failure(provider)
    assert (error.code, error.retryable) == ("provider-disconnected", True)


async def test_a_connection_dropped_after_the_finish_reason_is_an_end():
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    async with talking(Reply(["all", last], drop=True)) as (provider, _):
        assert await collect(provider) == Chunk("all", "", None, "stop")


@pytest.mark.parametrize("finish", ["stop", None], ids=["behind its end", "before it"])
async def test_what_is_withheld_comes_also_where_the_connection_drops(finish):
    """What begins like all that came may be a repetition of it; then nothing follows it any more."""
    last = {"choices": [{"delta": {"content": "10"}, "finish_reason": finish}]}
    got = ""
    async with talking(Reply(["1", last], drop=True)) as (provider, _):
        breaks = pytest.raises(ProviderError, match="closed the connection")
        with contextlib.nullcontext() if finish else breaks:
            async for chunk in provider.stream(ASK, ChatOptions()):
                got += chunk.text
    assert got == "110"


async def test_nobody_at_the_address():
    async with OpenAIServer() as server:
        url = server.base_url
    provider = build_provider(ProviderPlan(kind="openai", base_url=url, options={"max_retries": 0}))
    error = await failure(provider)
    await provider.aclose()
    assert (error.code, error.retryable) == ("provider-unavailable", True)
    assert error.message == "the model server cannot be reached: Connection refused"


@pytest.mark.parametrize("where", ["before the head", "in mid-stream"])
async def test_a_stalled_server_is_a_timeout(where):
    never = asyncio.Event()
    reply = Reply(before=never) if where == "before the head" else Reply(["a", never])
    async with talking(reply, timeout=0.05, max_retries=0) as (provider, server):
        error = await failure(provider)
        assert (error.code, error.retryable) == ("provider-timeout", True)
        assert error.message == "the model server sent nothing for 0.05 s"
        await asyncio.wait_for(server.requests[0].ended.wait(), scaled(5))
        assert server.requests[0].closed_early


async def test_a_slow_server_is_no_timeout():
    text = "slow" * 10
    async with talking(Reply(text, chunk=1, rate=40), timeout=0.7) as (provider, _):
        assert (await collect(provider)).text == text


@pytest.mark.parametrize("how", ["aclose", "cancel", "break"])
async def test_closing_the_stream_hangs_up_on_the_model(how):
    never = asyncio.Event()
    async with talking([["a", never, "b"]]) as (provider, server):
        stream = provider.stream(ASK, ChatOptions())
        assert (await anext(stream)).text == "a"
        if how == "cancel":
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif how == "aclose":
            await stream.aclose()
        else:
            del stream
        await asyncio.wait_for(server.requests[0].ended.wait(), scaled(5))
        assert server.requests[0].closed_early


async def test_cancelling_hangs_up_before_the_first_byte_too():
    async with talking(Reply(before=asyncio.Event())) as (provider, server):
        task = asyncio.ensure_future(collect(provider))
        request = await asyncio.wait_for(server.received(), scaled(5))
        task.cancel()
        await asyncio.wait_for(request.ended.wait(), scaled(5))
        assert request.closed_early
        assert task.cancelled()


async def test_a_connection_is_used_again_and_calls_run_side_by_side():
    async with talking(TEXT) as (provider, server):
        for _ in range(3):
            await collect(provider)
        assert server.connections == 1
        answers = await asyncio.gather(*(collect(provider) for _ in range(50)))
        assert {answer.text for answer in answers} == {TEXT}


async def test_who_has_the_whole_answer_does_not_wait_for_the_end_of_its_connection():
    gone = asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = (
            b'data: {"choices": [{"index": 0, "delta": {"content": "42"}, "finish_reason": "stop"}]}\n\n'
            b"data: [DONE]\n\n"
        )
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))  # and no last chunk
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        gone.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        provider = module.OpenAIProvider(f"http://127.0.0.1:{port}/v1", "sk", model="m")
        assert (await collect(provider)).text == "42"
        assert not gone.is_set()
        await provider.aclose()
        await asyncio.wait_for(gone.wait(), scaled(5))


@pytest.mark.parametrize("name", ["stream_options", "response_format"])
@pytest.mark.parametrize("status", [400, 422])
async def test_what_a_server_refuses_is_left_out_and_remembered(name, status):
    def answer(request):
        if name in request:
            return Reply(status=status, body={"error": {"message": f"Unrecognized argument: {name}"}})
        return TEXT

    async with talking(answer) as (provider, server):
        options = ChatOptions(response_format={"type": "json_object"})
        for _ in range(2):
            assert (await collect(provider.stream(ASK, options))).text == TEXT
        assert [name in request.json for request in server.requests] == [True, False, False]


async def test_a_schema_that_is_refused_costs_no_other_step_its_own():
    def answer(request):
        asked = request.get("response_format", {}).get("json_schema", {})
        if asked.get("name") == "odd":
            error = {"message": "Invalid schema for response_format 'odd'", "param": "response_format"}
            return Reply(status=400, body={"error": error})
        return TEXT

    def asking(name):
        return ChatOptions(response_format={"type": "json_schema", "json_schema": {"name": name}})

    async with talking(answer) as (provider, server):
        for name in ("odd", "fine", "odd"):
            assert (await collect(provider.stream(ASK, asking(name)))).text == TEXT
        formats = [request.json.get("response_format") for request in server.requests]
    assert [each and each["json_schema"]["name"] for each in formats] == ["odd", None, "fine", None]


@pytest.mark.parametrize(
    "told",
    [
        'JSON schema conversion failed:\nUnrecognized schema: {"not":{}}',  # llama.cpp
        "The specified schema produces a constraint that has too many states for serving.",  # Gemini
        "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.",
        "response_schema is not supported",
        "Invalid JSON object requested",
    ],
)
async def test_a_schema_is_left_out_in_whatever_words_it_is_refused(told):
    def answer(request):
        refused = Reply(status=400, body={"error": {"message": told}})
        return refused if "response_format" in request else TEXT

    async with talking(answer) as (provider, server):
        options = ChatOptions(response_format={"type": "json_schema", "json_schema": {"name": "a"}})
        assert (await collect(provider.stream(ASK, options))).text == TEXT
        assert ["response_format" in request.json for request in server.requests] == [True, False]


async def test_what_was_left_out_in_vain_is_not_remembered():
    first = Reply(status=400, body={"error": {"message": "response_format: the grammar is busy"}})
    second = Reply(status=400, body={"error": {"message": "too many messages"}})
    async with talking([first, second, TEXT]) as (provider, server):
        options = ChatOptions(response_format={"type": "json_object"})
        for failing in (True, False):
            with pytest.raises(ProviderError) if failing else contextlib.nullcontext():
                await collect(provider.stream(ASK, options))
    assert ["response_format" in request.json for request in server.requests] == [True, False, True]


async def test_any_other_bad_request_is_not_repeated():
    async with talking(Reply(status=400, body={"error": {"message": "bad messages"}})) as (provider, server):
        assert (await failure(provider)).message == "the model server answered 400: bad messages"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (KEY, KEY),
        (KEY, "sk-proj-********************3nYb"),
        (KEY, f"Bearer {KEY}"),
        (KEY, KEY[:12] + "…"),
        ("0123456789abcdef", "0123456789abcdef"),
        ("0123456789abcdef", "012345678…"),
        ("0123456789abcdef", "0123****cdef"),
    ],
)
async def test_the_key_is_in_no_message(key, said, caplog):
    caplog.set_level(logging.INFO)
    body = {"error": {"message": f"Incorrect API key provided: {said}. Get another."}}
    async with talking(Reply(status=401, body=body), key=key) as (provider, _):
        error = await failure(provider)
    assert error.message.startswith("the model server answered 401: Incorrect API key provided: [key]")
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert key not in caplog.text
    assert key not in repr(provider)


async def test_a_server_that_wants_a_key_and_repeats_the_wrong_one():
    async with talking(TEXT, server={"key": "sk-right-one"}) as (provider, _):
        error = await failure(provider)
    assert error.code == "provider-auth"


async def test_the_environment_is_not_sent(monkeypatch):
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "from-env")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/from-env")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer from-env\nX-Env: from-env")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from-env")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "from-env")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:1/from-env")
    monkeypatch.setenv("OPENAI_API_VERSION", "from-env")
    for options in ({}, {"azure": True}):
        async with talking(TEXT, key="", **options) as (provider, server):
            await collect(provider)
        assert "from-env" not in repr(server.requests[0])
        assert "openai-organization" not in server.requests[0].headers
    assert module.OpenAIProvider()._make_client().base_url.host == "api.openai.com"


async def test_azure():
    async with OpenAIServer(TEXT, key=KEY) as server:
        url = server.base_url.removesuffix("/v1")
        plan = ProviderPlan(kind="openai", base_url=url, model="gpt-x", options={"api_version": "2025-01-01"})
        provider = build_provider(plan, KEY)
        assert (await collect(provider)).text == TEXT
        await provider.aclose()
    assert server.requests[0].path == "/openai/deployments/gpt-x/chat/completions?api-version=2025-01-01"
    assert server.requests[0].headers["api-key"] == KEY


async def test_redirects_are_not_followed():
    async with OpenAIServer("somewhere else") as other:
        moved = Reply(status=307, headers={"Location": f"{other.base_url}/chat/completions"}, body={})
        async with talking(moved) as (provider, _):
            assert (await failure(provider)).status == 307
    assert not other.requests


async def test_of_an_error_that_does_not_end_the_beginning_is_read():
    sent = 0

    async def complains(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:  # of memory, where nobody hangs up
                writer.write(b"10000\r\n" + b"no, and " * 8192 + b"\r\n")
                sent += 65_536
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(complains, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        provider = build_provider(ProviderPlan(kind="openai", base_url=url, model="m"))
        failed = await failure(provider)
        await provider.aclose()
    assert (failed.status, failed.code) == (400, "provider-bad-request")
    assert "no, and no, and" in failed.message
    assert sent < 50_000_000


async def test_behind_a_proxy(monkeypatch):
    async with OpenAIServer(TEXT) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        provider = build_provider(ProviderPlan(kind="openai", base_url="http://model.invalid/v1"))
        assert (await collect(provider)).text == TEXT
        await provider.aclose()
    assert proxy.requests[0].path == "http://model.invalid/v1/chat/completions"


async def test_reads_go_through_our_own_sockets():
    async with http_client(7) as client:
        assert type(client._transport._pool._network_backend).__name__ == "AsyncioBackend"


@pytest.mark.parametrize("api", ["completions", "responses"])
async def test_a_stream_is_read_from_the_socket(api, monkeypatch):
    """With another version of the SDK or of httpx it may be read by httpx, which would only be slower."""
    bodies = []

    class Noted(Body):
        def __init__(self, response, pace=None):
            super().__init__(response, pace)
            bodies.append(self.is_direct)

    monkeypatch.setattr(module, "Body", Noted)
    async with talking(TEXT, api=api) as (provider, server):
        for _ in range(2):
            assert (await collect(provider)).text == TEXT
        assert server.connections == 1
        await provider.call("/embeddings", {"model": "m", "input": "x"})
    assert bodies == [True, True, False]


def test_one_provider_serves_many_loops():
    with OpenAIServer(TEXT) as server:
        provider = build_provider(ProviderPlan(kind="openai", base_url=server.base_url))

        async def ask():
            text = (await collect(provider)).text
            await provider.aclose()
            return text

        assert [asyncio.run(ask()) for _ in range(3)] == [TEXT] * 3


async def test_messages_that_cannot_be_sent():
    async with talking(TEXT) as (provider, _):
        with pytest.raises(ProviderError) as caught:
            await collect(provider, [{"role": "user", "content": "\ud83d"}])
    assert caught.value.code == "provider-bad-request"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
async def test_tls(tmp_path, monkeypatch, request):
    cert, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        secret,
        "-out",
        cert,
        *name,
    ]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, secret)
    never = asyncio.Event()
    answers = [TEXT, ["a", never], TEXT]
    request.addfinalizer(ssl_context.cache_clear)
    async with talking(answers, server={"ssl": context}, max_retries=0) as (provider, server):
        assert (await failure(provider)).code == "provider-unavailable"
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        ssl_context.cache_clear()
        await provider.aclose()
        assert (await collect(provider)).text == TEXT
        stream = provider.stream(ASK, ChatOptions())
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(server.requests[-1].ended.wait(), scaled(5))
        assert server.requests[-1].closed_early
        assert (await collect(provider)).text == TEXT


@pytest.mark.parametrize(
    "options",
    [
        {"nonsense": 1},
        {"timeout": 0},
        {"timeout": "soon"},
        {"max_retries": -1},
        {"headers": {"Authorization": "x"}},
        {"headers": ["x"]},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(UsageError):
        build_provider(ProviderPlan(kind="openai", options=options), KEY)


def test_a_key_is_stripped_and_never_quoted():
    assert module.OpenAIProvider(key=f"{KEY}\n")._key == KEY
    with pytest.raises(UsageError) as caught:
        module.OpenAIProvider(key=f"{KEY}\nX: y")
    assert KEY not in str(caught.value)


def test_kinds():
    preload(["openai", "scripted"])
    with pytest.raises(UsageError, match="'nope'"):
        build_provider(ProviderPlan(kind="nope"))
    with pytest.raises(UsageError, match="dotted path"):
        build_provider(ProviderPlan(kind="x"), kinds={"x": "no.such.thing"})
    with pytest.raises(UsageError):
        build_provider(ProviderPlan(kind="os.system"))
    made = build_provider(ProviderPlan(kind="x"), kinds={"x": "lingstream.providers.scripted.build"})
    assert type(made).__name__ == "ScriptedProvider"
