"""Webhooks: who has the secret lets a bot begin, and nobody else learns anything."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from lingstream.access.signatures import signature
from lingstream.models import Conversation, Occasion, Run
from tests import site as sites
from tests.site import Site

Post = Callable[..., Awaitable[httpx.Response]]


def tenant_of(request: Any) -> str:
    """A site's ``SCOPE``: the tenant is in a header, as the host would be."""
    return str(request.headers.get("x-tenant", ""))


@pytest.fixture
async def hook(site: Site, settings: Any) -> Occasion:
    sites.answers = '{"answer": "yes"}'
    workflow = await site.workflow("talk", answer="A")
    return await Occasion.objects.acreate(
        workflow=workflow, kind="webhook", name="shop", input="Tell: {{ data.what }}"
    )


@pytest.fixture
async def talk(hook: Occasion) -> Conversation:
    return await Conversation.objects.acreate(workflow="talk", external_id="cart-7")


@pytest.fixture
def post(site: Site, hook: Occasion) -> Post:
    async def send(
        data: Any,
        *,
        to: Any = None,
        secret: str | None = None,
        at: float = 0,
        sign: Any = None,
        **headers: str,
    ) -> httpx.Response:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        signed = signature(hook.secret() if secret is None else secret, int(time.time() + at), body)
        headers = {"Ling-Signature": signed if sign is None else sign(signed), **headers}
        url = f"/ling/hooks/{hook.pk if to is None else to}/"
        return await site.http.post(url, content=body, headers=headers)

    return send


async def begun() -> list[Run]:
    return [run async for run in Run.objects.filter(cause="webhook")]


@pytest.mark.parametrize("by", ["conversation", "external_id"])
async def test_who_has_the_secret_lets_the_bot_begin(talk: Conversation, post: Post, by: str) -> None:
    named = {"conversation": str(talk.pk), "external_id": "cart-7"}
    answer = await post({by: named[by], "data": {"what": "paid"}})
    (run,) = await begun()
    assert answer.status_code == 202
    assert answer.json() == {"run": str(run.pk), "conversation": str(talk.pk)}
    assert (run.input["question"], run.conversation_id) == ("Tell: paid", talk.pk)


async def test_a_request_is_not_sent_again_under_another_key(talk: Conversation, post: Post) -> None:
    data = {"external_id": "cart-7", "data": {"what": "paid"}}
    signed: list[str] = []

    def once(signature: str) -> str:
        signed.append(signature)
        return signed[0]

    statuses = [
        (await post(data, sign=once, **{"Idempotency-Key": key})).status_code for key in ("7", "8", "7")
    ]
    assert statuses == [202, 403, 200] and len(await begun()) == 1


async def test_once_for_a_key_and_for_a_signature(talk: Conversation, post: Post) -> None:
    data = {"external_id": "cart-7", "data": {"what": "paid"}}
    statuses = [(await post(data, at=at, **{"Idempotency-Key": "7"})).status_code for at in (0, 5)]
    assert statuses == [202, 200] and len(await begun()) == 1
    seen: list[str] = []
    for _ in range(2):
        again = await post(data, at=9, sign=lambda signed: (seen or seen.append(signed) or seen)[0])
    assert again.status_code == 200 and len(await begun()) == 2


STRANGE = [
    {"secret": "guess"},
    {"secret": ""},
    {"sign": lambda signed: ""},
    {"sign": lambda signed: signed.replace("v1=", "v0=")},
    {"sign": lambda signed: signed + ",v1=x"},
    {"sign": lambda signed: signed[:-1] + ("0" if signed[-1] != "0" else "1")},
    {"sign": lambda signed: "t=1" + signed[signed.index(",") :]},
    {"sign": lambda signed: "t=" + "9" * 5_000 + signed[signed.index(",") :]},
    {"at": -400},
    {"at": 400},
    {"to": 999_999},
    {"to": "9" * 40},
    {"to": "shop"},
    {"to": "\u0667"},
]


async def test_a_stranger_is_told_the_same_whatever_there_is(talk: Conversation, post: Post) -> None:
    answers = [await post({"conversation": str(talk.pk)}, **given) for given in STRANGE]
    await Occasion.objects.aupdate(enabled=False)
    answers.append(await post({"conversation": str(talk.pk)}))
    await Occasion.objects.aupdate(enabled=True, kind="signal")
    answers.append(await post({"conversation": str(talk.pk)}))
    await Occasion.objects.aupdate(kind="webhook", secret_version=2)
    answers.append(await post({"conversation": str(talk.pk)}))
    answers.append(await post(b"no json", secret="guess"))
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert "Ling-Signature" in answers[0].text and not await begun()


async def test_one_of_several_signatures_is_enough(talk: Conversation, post: Post) -> None:
    """So that a secret can be renewed while requests are under way."""
    answer = await post(
        {"conversation": str(talk.pk), "data": {"what": "x"}}, sign=lambda s: s + ",v1=" + "0" * 64
    )
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"{", 400, "JSON"),
        ([], 400, "expected an object with some of conversation, data, external_id"),
        ({"conversation": "x", "more": 1}, 400, "expected an object with some of"),
        ({}, 400, "either"),
        ({"conversation": "x", "external_id": "y"}, 400, "either"),
        ({"conversation": 7}, 400, "either"),
        ({"conversation": "x"}, 404, "no conversation 'x' of 'talk'"),
        ({"external_id": "cart-8"}, 404, "no conversation of 'talk'"),
        ({"external_id": "of-another-workflow"}, 404, "no conversation of 'talk'"),
        ({"external_id": "of-two"}, 404, "several conversations of 'talk'"),
        ({"external_id": "cart-7"}, 400, "what"),
        (b"x" * 300_000, 413, "bytes"),
    ],
)
async def test_who_has_it_is_told_what_is_wrong(
    talk: Conversation, post: Post, data: Any, status: int, message: str
) -> None:
    await Conversation.objects.acreate(workflow="other", external_id="of-another-workflow")
    for session in ("a", "b"):
        await Conversation.objects.acreate(workflow="talk", external_id="of-two", session_key=session)
    answer = await post(data)
    assert (answer.status_code, message in answer.text) == (status, True), answer.text
    assert not await begun()


async def test_where_the_occasion_is_against_it_nothing_begins(talk: Conversation, post: Post) -> None:
    await Occasion.objects.aupdate(condition="data.total > 20")
    answer = await post({"external_id": "cart-7", "data": {"total": 10, "what": "x"}})
    assert (answer.status_code, answer.json()) == (200, {"run": None})
    assert (await post({"external_id": "cart-7", "data": {"total": 30, "what": "x"}})).status_code == 202


async def test_of_a_tenant_with_that_tenants_secret_only(
    talk: Conversation, post: Post, hook: Occasion, settings: Any
) -> None:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.conversations.test_hooks.tenant_of"}
    other = await Conversation.objects.acreate(workflow="talk", scope="b", external_id="cart-7")
    data = {"external_id": "cart-7", "data": {"what": "paid"}}
    assert (await post(data, **{"X-Tenant": "b"})).status_code == 403
    answer = await post(data, secret=hook.secret("b"), **{"X-Tenant": "b"})
    assert answer.json()["conversation"] == str(other.pk)
    strange = {"conversation": str(talk.pk), "data": {"what": "paid"}}
    assert (await post(strange, secret=hook.secret("b"), **{"X-Tenant": "b"})).status_code == 404


async def test_it_is_counted_before_anything_else(talk: Conversation, post: Post, settings: Any) -> None:
    throttle = "lingstream.access.throttle.CacheThrottle"
    settings.LINGSTREAM = {**settings.LINGSTREAM, "THROTTLE": throttle, "STARTS_PER_ADDRESS": "3/h"}
    statuses = [(await post({}, secret="guess")).status_code for _ in range(4)]
    assert statuses == [403, 403, 403, 429]


async def test_only_by_post(site: Site, hook: Occasion) -> None:
    assert (await site.http.get(f"/ling/hooks/{hook.pk}/")).status_code == 405
