"""Queries as step kinds: who they are told asks, what they may return, and how much of it is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lingstream import query
from lingstream.core.engine import kinds
from lingstream.core.engine.kinds import Identity, check_options, kind_of
from lingstream.core.engine.plan import Plan, StepPlan
from lingstream.core.exceptions import UsageError
from lingstream.execution.services import SiteServices
from lingstream.models import Conversation
from lingstream.steps.query import QueryKind
from lingstream.testing import StepContract
from tests.core.support import MemoryJournal, Outcome, outcome


@pytest.fixture(autouse=True)
def _own_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))


async def executed(options: dict[str, Any] | None = None, **more: Any) -> Outcome:
    step = StepPlan("f", "orders", options=options or {}, root="rows")
    check_options(step)
    return await outcome(Plan("test", steps=(step,)), **more)


def numbers(count: int) -> Iterator[dict[str, int]]:
    return ({"n": number} for number in range(count))


class TestARead:
    async def test_is_told_who_asks_and_its_options_and_never_the_input(self) -> None:
        @query("orders", most=2)
        def orders(identity: Identity, state: str, limit: int = 5) -> list[dict[str, Any]]:
            return [{"user": identity.user, "state": state, "limit": limit}]

        async def who() -> Identity:
            return Identity("7", (), "acme")

        options = {"state": "{{ input.state }}"}
        ended = await executed(options, input={"state": "open", "user": "8"}, identity=who)
        assert ended.document == {"rows": [{"user": "7", "state": "open", "limit": 5}]}
        assert orders(Identity("9"), "x")[0]["user"] == "9", "it stays a function"

    async def test_may_yield(self) -> None:
        @query("orders")
        def orders(identity: Identity) -> Iterator[dict[str, int]]:
            yield from numbers(2)

        assert (await executed()).document == {"rows": [{"n": 0}, {"n": 1}]}

    async def test_becomes_json(self) -> None:
        at = datetime(2026, 11, 26, 12, tzinfo=UTC)
        row = {"at": at, "day": date(2026, 1, 2), "sum": Decimal("1.50"), "id": UUID(int=5), "云": None}
        query("orders")(lambda identity: [{**row, "for": timedelta(minutes=1)}])
        assert (await executed()).document["rows"] == [
            {
                "at": "2026-11-26T12:00:00+00:00",
                "day": "2026-01-02",
                "sum": "1.50",
                "id": "00000000-0000-0000-0000-000000000005",
                "云": None,
                "for": 60.0,
            }
        ]

    @pytest.mark.parametrize(
        ("found", "count", "finish"),
        [
            (lambda: [], 0, ""),
            (lambda: list(numbers(3)), 3, ""),
            (lambda: list(numbers(4)), 3, "length"),
            (lambda: numbers(10**9), 3, "length"),
            (lambda: ({"text": "x" * 100_000} for _ in range(3)), 2, "length"),
        ],
    )
    async def test_takes_the_first_rows(self, found: Any, count: int, finish: str) -> None:
        query("orders", most=3)(lambda identity: found())
        journal = MemoryJournal()
        ended = await executed(journal=journal)
        (result,) = journal.results.values()
        assert (len(ended.document["rows"]), result.finish) == (count, finish)

    @pytest.mark.parametrize(
        ("found", "code", "message"),
        [
            ({"secret": 1}, "usage", "to return several dicts, got dict"),
            ("secret", "usage", "to return several dicts, got str"),
            (None, "usage", "to return several dicts, got NoneType"),
            (["secret"], "usage", "to return dicts, got str"),
            ([{"a": {1}}], "usage", "JSON data in the rows of the query 'orders': set is none"),
            ([{"a": float("nan")}], "usage", "JSON data in the rows"),
            ([{"a": "x" * 300_000}], "limit", "of up to 262144 bytes"),
        ],
    )
    async def test_that_returns_something_else_fails(self, found: Any, code: str, message: str) -> None:
        query("orders")(lambda identity: found)
        (error,) = (await executed()).errors
        assert error["code"] == code and message in error["message"] and "secret" not in error["message"]


@pytest.mark.django_db(transaction=True)
class TestOnASite:
    @pytest.fixture
    async def services(self) -> AsyncIterator[SiteServices]:
        made = SiteServices()
        yield made
        await made.aclose()

    async def test_of_a_queryset_no_more_is_read_than_is_taken(self, services: SiteServices) -> None:
        for title in "abcd":
            await Conversation.objects.acreate(title=title)

        @query("orders", most=2)
        def orders(identity: Identity) -> Any:
            return Conversation.objects.order_by("title").values("id", "title")

        ended = await executed(services=services)
        assert [row["title"] for row in ended.document["rows"]] == ["a", "b"]

    def test_which_the_database_is_asked_for(self, db: None) -> None:
        kind = QueryKind("orders", lambda identity: Conversation.objects.values("title"), None, 2)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert kind._read(Identity()) == ([], False)
        assert queries[0]["sql"].endswith("LIMIT 3")


async def _later(identity: Identity) -> list[Any]:
    return []


class TestRegistering:
    @pytest.mark.parametrize(
        ("function", "given", "message"),
        [
            (lambda input: [], {}, "“identity” as the first parameter"),
            (_later, {}, "got async def"),
            (lambda identity: [], {"most": 0}, "from 1 to 10000 rows"),
            (lambda identity: [], {"most": 10_001}, "from 1 to 10000 rows"),
            (lambda identity, n: [], {"schema": {"properties": {"n": {}}}}, "to require n"),
            (lambda identity, **n: [], {"schema": {"properties": {"identity": {}}}}, "takes, got identity"),
        ],
    )
    def test_refuses_what_could_not_be_called(self, function: Any, given: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            query("orders", **given)(function)
        assert "orders" not in kinds.step_kinds()

    def test_what_it_says_of_itself(self) -> None:
        schema = {"properties": {"n": {"type": "integer", "title": "How many"}}}
        query("orders", schema=schema, title="Orders")(lambda identity, n=1: [])
        kind = kind_of("orders")
        assert (kind.title, kind.options_schema["properties"]) == ("Orders", schema["properties"])
        with pytest.raises(UsageError, match="the option 'n'"):
            check_options(StepPlan("f", "orders", options={"n": "many"}))


def _orders(identity: Identity, times: int) -> list[dict[str, Any]]:
    return [{"n": number, "who": identity.user} for number in range(times)]


class TestContract(StepContract):
    kind = QueryKind("orders", _orders, None, 100)
    options = {"times": "{{ 1 + 1 }}"}
    document = [{"n": 0, "who": ""}, {"n": 1, "who": ""}]
