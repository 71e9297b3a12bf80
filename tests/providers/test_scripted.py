"""The scripted provider: what it plays, when, and what it remembers."""

import asyncio
import json

import pytest

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import ProviderError, UsageError
from lingstream.core.provider import ChatOptions, Chunk, Usage
from lingstream.providers import build_provider
from lingstream.providers.scripts import add_scripts, script, script_names
from lingstream.testing import ScriptedProvider, collect, collect_chunks

OPTIONS = ChatOptions("m")
TEXT = "The quick brown fox jumps over the lazy dog."


def said(content):
    return [{"role": "system", "content": "be brief"}, {"role": "user", "content": content}]


def quick(answers=None, **options):
    return ScriptedProvider(answers, rate=None, **options)


async def texts(provider, content="hi"):
    return [chunk.text for chunk in await collect_chunks(provider, said(content)) if chunk.text]


def recorded(messages, options):
    return f"{options.model}: {messages[-1]['content']}"


async def test_a_text_comes_in_small_chunks_the_same_way_every_time():
    once, twice = await texts(quick(TEXT)), await texts(quick(TEXT))
    assert "".join(once) == TEXT
    assert once == twice
    assert {len(text) for text in once[:-1]} <= {1, 2, 3, 4, 5, 6}
    assert once != await texts(quick(TEXT, seed=1))


async def test_a_list_is_played_in_order_and_ends():
    provider = quick(["one", "two"])
    assert [(await collect(provider)).text for _ in range(2)] == ["one", "two"]
    with pytest.raises(ProviderError) as caught:
        await collect(provider)
    assert caught.value.code == "provider-script"


async def test_a_mapping_is_searched_for_what_the_messages_hold():
    provider = quick({"cloud": "wet", "brief": "short"})
    assert await collect_text(provider, "a cloud?") == "wet"
    assert await collect_text(provider, "a stone?") == "short"
    with pytest.raises(ProviderError) as caught:
        await collect(quick({"cloud": "wet"}), said("secret"))
    assert "secret" not in caught.value.message
    assert await collect_text(quick({"cloud": "wet", "": "else"}), "?") == "else"


async def collect_text(provider, content):
    return (await collect(provider, said(content))).text


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(lambda messages, options: "ab", id="text"),
        pytest.param(lambda messages, options: ["a", "b"], id="pieces"),
        pytest.param(lambda messages, options: iter("ab"), id="iterator"),
        pytest.param([["a", Chunk("b")]], id="list of one list"),
    ],
)
async def test_answers_may_be_callables_and_pieces(answers):
    assert (await collect(quick(answers))).text == "ab"


async def test_an_async_iterable_is_an_answer():
    async def answer(messages, options):
        yield "a"
        yield "b"

    assert await texts(quick(answer)) == ["a", "b"]


async def test_pieces_are_played_as_they_are():
    reasoning, last = Chunk(reasoning="hm"), Chunk("!", usage=Usage(1, 2), finish="length")
    provider = quick([["long piece", reasoning, last]])
    assert await collect_chunks(provider) == [Chunk("long piece"), reasoning, last]


async def test_usage_is_estimated_given_or_left_out():
    asked = said("x" * 32)
    assert (await collect(quick("a" * 9), asked)).usage == Usage(10, 3, estimated=True)
    assert (await collect(quick("a", usage=Usage(5, 6)), asked)).usage == Usage(5, 6)
    assert await collect(quick("a", usage=False), asked) == Chunk("a", "", None, "stop")


async def test_an_error_is_raised_in_mid_stream():
    provider = quick([["a", ProviderError("gone", code="provider-disconnected", retryable=True), "b"]])
    got = []
    with pytest.raises(ProviderError):
        async for chunk in provider.stream(said(""), OPTIONS):
            got.append(chunk.text)
    assert got == ["a"]
    assert not provider.calls[0].finished
    assert provider.calls[0].ended.is_set()


async def test_a_gate_holds_the_answer_back():
    gate = asyncio.Event()
    provider = quick([["a", gate, "b"]])
    stream = provider.stream(said(""), OPTIONS)
    assert (await anext(stream)).text == "a"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert (await waiting).text == "b"
    await stream.aclose()


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_a_call_remembers_that_it_was_closed_early(how):
    provider = quick([["a", asyncio.Event()]])
    stream = provider.stream(said("x"), OPTIONS)
    await anext(stream)
    if how == "aclose":
        await stream.aclose()
    else:
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    call = provider.calls[0]
    assert (call.messages, call.options) == (said("x"), OPTIONS)
    assert (call.closed_early, call.finished, call.ended.is_set()) == (True, False, True)


async def test_the_pace_is_about_the_rate():
    loop = asyncio.get_running_loop()
    provider = ScriptedProvider("x" * 40, rate=200, chunk=(1, 1))
    began = loop.time()
    await collect(provider)
    assert 0.1 < loop.time() - began < 2


async def test_options_as_the_admin_stores_them():
    script("recorded-test")(recorded)
    options = {"script": "recorded-test", "rate": 0, "chunk": [2, 3], "seed": 5}
    provider = build_provider(ProviderPlan(kind="scripted", options=options))
    chunks = await collect_chunks(provider.stream(said("hi"), OPTIONS))
    assert "".join(chunk.text for chunk in chunks) == "m: hi"


async def test_without_answers_it_echoes():
    provider = build_provider(ProviderPlan(options={"rate": 0}))
    assert json.loads(await collect_text(provider, "云")) == {"answer": "云"}


async def test_parts_are_text_too():
    content = [{"type": "text", "text": "cloud"}, {"type": "image_url", "image_url": {"url": "x"}}]
    assert await collect_text(quick({"cloud": "wet"}), content) == "wet"


def test_a_script_is_a_name_and_never_a_path():
    with pytest.raises(UsageError, match="expected a script among") as caught:
        build_provider(ProviderPlan(options={"script": f"{__name__}.recorded"}))
    assert caught.value.code == "option"
    add_scripts({"by-path": f"{__name__}.recorded"})  # as the setting has it
    assert build_provider(ProviderPlan(options={"script": "by-path"}))
    script("taken")(recorded)
    with pytest.raises(UsageError, match=r"recorded already"):
        script("taken")(quick)
    assert {"by-path", "taken"} <= set(script_names())


@pytest.mark.parametrize(
    "options",
    [
        {"nope": 1},
        {"chunk": [0, 1]},
        {"chunk": 5},
        {"script": "no.such"},
        {"answers": 5},
        {"script": "nodots"},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(UsageError):
        build_provider(ProviderPlan(options=options))
