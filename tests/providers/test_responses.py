"""The openai provider where it speaks the Responses API, against a real server on a local socket."""

import pytest

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.core.provider import ChatOptions, Chunk, Usage
from lingstream.providers import build_provider, kind_of
from lingstream.testing import OpenAIServer, Reply, collect, collect_chunks

from .test_openai import ASK, KEY, TEXT, failure
from .test_openai import talking as talking_to

SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}}


def talking(answers="", **options):
    return talking_to(answers, api="responses", **options)


@pytest.mark.parametrize(
    "how", [{}, {"cut": 1}, {"merge": 3}, {"merge": 1000}, {"newline": "\r"}, {"bom": True}]
)
async def test_the_same_chunks_come_out(how):
    reply = Reply(TEXT, reasoning=["let me", " think"], **how)
    async with talking(reply) as (provider, server):
        chunks = await collect_chunks(provider)
        assert await collect(provider) == Chunk(TEXT, "let me think", Usage(7, 11), "stop")
        assert server.connections == 1
    first_text = next(n for n, chunk in enumerate(chunks) if chunk.text)
    assert not any(chunk.reasoning for chunk in chunks[first_text + 1 :])


async def test_the_request_is_in_the_words_of_the_api():
    messages = [
        {"role": "system", "content": "Be brief.", "name": "site"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                },
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "A cloud."}]},
    ]
    params = {
        "max_tokens": 9,
        "reasoning_effort": "low",
        "verbosity": "low",
        "top_logprobs": 2,
        "logprobs": True,
    }
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}, {"type": "web_search"}]
    async with talking(TEXT, params={"reasoning": {"summary": "auto"}, "temperature": 0}) as (
        provider,
        server,
    ):
        await collect(provider.stream(messages, ChatOptions("m2", SCHEMA, {**params, "tools": tools})))
    assert server.requests[0].path == "/v1/responses"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].json == {
        "model": "m2",
        "stream": True,
        "store": False,
        "input": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                    {
                        "type": "input_file",
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,AA==",
                    },
                ],
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "A cloud."}]},
        ],
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True},
        },
        "reasoning": {"summary": "auto", "effort": "low"},
        "max_output_tokens": 9,
        "temperature": 0,
        "top_logprobs": 2,
        "include": ["message.output_text.logprobs"],
        "tools": [{"type": "function", "name": "look", "parameters": {}}, {"type": "web_search"}],
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("store", {"message": "Unknown parameter: 'store'", "param": "store"}),
        ("text", {"message": "Invalid schema for response_format 'a'", "param": "text.format.schema"}),
    ],
)
async def test_what_a_server_refuses_is_left_out_and_remembered(name, error):
    def answer(request):
        return Reply(status=400, body={"error": error}) if name in request else TEXT

    async with talking(answer) as (provider, server):
        for _ in range(2):
            assert (await collect(provider.stream(ASK, ChatOptions(response_format=SCHEMA)))).text == TEXT
        assert [name in request.json for request in server.requests] == [True, False, False]
        assert all({"store", "text"} - {name} <= request.json.keys() for request in server.requests)


@pytest.mark.parametrize(("finish", "got"), [("length", "length"), ("content_filter", "content_filter")])
async def test_a_response_that_is_incomplete_says_why(finish, got):
    async with talking(Reply("half", finish=finish)) as (provider, _):
        assert await collect(provider) == Chunk("half", "", Usage(7, 11), got)


async def test_a_server_that_does_not_stream_is_accepted():
    body = {"object": "response", "status": "completed", "output": []}
    body["output"] = [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}]
    async with talking(Reply(body=body)) as (provider, _):
        assert await collect_chunks(provider) == [Chunk(TEXT, "", None, "stop")]


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        (Reply("half an ans", drop=True), "provider-disconnected", "half an ans"),
        (Reply("all of it", finish=None), "provider-disconnected", "all of it"),
        (
            Reply(["half", {"type": "error", "code": "server_error", "message": KEY}]),
            "provider-unavailable",
            "half",
        ),
        (Reply(status=429), "provider-rate-limit", ""),
        (Reply(status=404), "provider-not-found", ""),
    ],
)
async def test_a_failure_is_an_error_with_a_code(reply, code, text):
    async with talking(reply, max_retries=0) as (provider, _):
        got = []
        with pytest.raises(ProviderError) as caught:
            async for chunk in provider.stream(ASK, ChatOptions()):
                got.append(chunk.text)
    assert (caught.value.code, "".join(got)) == (code, text)
    assert KEY not in caught.value.message


async def test_azure_names_the_deployment_in_the_body():
    async with OpenAIServer(TEXT, key=KEY) as server:
        options = {"api": "responses", "api_version": "2025-04-01-preview", "deployment": "ours"}
        url = server.base_url.removesuffix("/v1")
        provider = build_provider(
            ProviderPlan(kind="openai", base_url=url, model="gpt-x", options=options), KEY
        )
        assert (await collect(provider)).text == TEXT
        await provider.aclose()
    assert server.requests[0].path == "/openai/responses?api-version=2025-04-01-preview"
    assert server.requests[0].json["model"] == "ours"


@pytest.mark.parametrize(
    "options",
    [
        {"api": "assistants"},
        {"api": "responses", "azure": True},
        {"api": "responses", "api_version": "2024-10-21"},
        {"api": "responses", "params": {"input": "x"}},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    plan = ProviderPlan(kind="openai", base_url="https://models.example/v1", options=options)
    with pytest.raises(UsageError):
        kind_of("openai").check_options(plan)


async def test_an_unknown_key_is_no_response():
    async with talking(TEXT, server={"key": "sk-right-one"}) as (provider, _):
        assert (await failure(provider)).code == "provider-auth"
