"""A person's list of conversations at a hundred thousand, on SQLite and on PostgreSQL.

Usage: python bench/conversations.py [--rows 100000] [--postgresql]

All are one person's, each with two turns, in ten workflows; one in ten is archived, and in one in ten nobody
has seen what the bot said last. A tenth as many again are somebody else's. Each page is asked for five times:
its queries with what is made of them, and the whole request through Django; fastest and slowest count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from admin import measured

AT_ONCE = 5_000
TIMES = 5
URL = "/ling/conversations/"


def main() -> None:
    measured(measure, rows=100_000, about=__doc__)


def measure(rows: int) -> None:
    """Fill the database, and print what each page of the list costs."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import AsyncClient
    from django.test.utils import CaptureQueriesContext, setup_test_environment

    from lingstream.access.identity import Identity
    from lingstream.conversations.listing import Wanted, listed
    from lingstream.models import Conversation

    setup_test_environment()
    began = time.monotonic()
    ann, bob = (User.objects.create(username=name) for name in ("ann", "bob"))
    fill(rows, ann)
    fill(rows // 10, bob)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(f"{connection.vendor}: {rows} conversations stored in {time.monotonic() - began:.0f} s")
    identity = Identity.of(ann, None)
    client = AsyncClient()
    client.force_login(ann)
    first = listed(identity, Wanted())
    middle = Conversation.objects.filter(owner=ann).order_by("-updated_at")[rows // 2]
    print(f"{'page':34}{'queries':>8}{'their work':>16}{'the request':>16}")
    with asyncio.Runner() as runner:
        for name, query in [
            ("the first", {}),
            ("the second", {"after": first["next"]}),
            ("one in the middle", {"after": f"{middle.updated_at.isoformat()}~{middle.pk.hex}"}),
            ("a hundred at once", {"limit": "100"}),
            ("a workflow's", {"workflow": "w3"}),
            ("archived ones", {"archived": "1"}),
            ("with a word in its title", {"q": "cloud"}),
            ("with a word that no title has", {"q": "nowhere"}),
        ]:
            work = partial(listed, identity, Wanted.from_query(query))
            with CaptureQueriesContext(connection) as asked:
                work()
            request = partial(_run, runner, client, query)
            print(f"{name:34}{len(asked):8}{spread(work):>16}{spread(request):>16}", flush=True)


def _run(runner: asyncio.Runner, client: Any, query: dict[str, str]) -> None:
    response = runner.run(client.get(URL, query))
    assert response.status_code == 200, response


def spread(act: Callable[[], Any]) -> str:
    """Return the fewest and the most milliseconds that something takes, once it has been done."""
    act()
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return f"{min(times):.1f} to {max(times):.1f}"


def fill(rows: int, owner: Any) -> None:
    """Store a person's conversations, the last one the newest, with their turns."""
    from django.utils import timezone

    from lingstream.models import Conversation, Run, owner_key

    key, now = owner_key(owner.pk, ""), timezone.now()

    def conversations(first: int, last: int) -> Iterator[Conversation]:
        for number in range(first, last):
            yield Conversation(
                workflow=f"w{number % 10}",
                title=f"Of {'clouds' if number % 100 == 7 else 'other things'}, {number}",
                owner=owner,
                owner_key=key,
                count=2,
                read_number=1 if number % 10 == 3 else 2,
                archived_at=now if number % 10 == 9 else None,
            )

    def turn(talk: Conversation, number: int) -> Run:
        said = {"message": {"parts": [{"type": "text", "text": "x" * 100}]}, "input": {"question": "x" * 100}}
        return Run(
            workflow=talk.workflow,
            status="finished",
            owner=owner,
            owner_key=key,
            conversation=talk,
            number=number,
            cause="user" if number == 1 else "silence",
            document={"answer": "y" * 500},
            finished_at=now,
            **(said if number == 1 else {}),
        )

    for first in range(0, rows, AT_ONCE):
        made = Conversation.objects.bulk_create(conversations(first, min(first + AT_ONCE, rows)))
        begun = Run.objects.bulk_create(turn(talk, 1) for talk in made)
        answers = [turn(talk, 2) for talk in made]
        for run, before in zip(answers, begun, strict=True):
            run.parent = before
        Run.objects.bulk_create(answers)


if __name__ == "__main__":
    main()
