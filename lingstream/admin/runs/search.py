"""How runs are searched: by id, conversation, workflow, owner, error, and the words of input and error.

Each way has an index that serves it, and gives the newest of what it finds: their union is a list of keys, by
which pages are read, however many runs there are. One condition with ``OR`` over all ways would make the
database read the whole table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from heapq import nlargest
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import F, QuerySet

from ...models import Run, RunText, owner_key
from ...models.run_texts import scope_mark, words_of

__all__ = ["MOST_FOUND", "found"]

#: Runs that a search finds at most, the newest: one page, read by its keys whatever a planner thinks.
MOST_FOUND = 100
_MOST_TEXTS = 500  # the newest with the words, among which the list's filters choose
_MOST_OWNERS = 20
_ID = re.compile("[0-9a-f]{4,32}")
_LONGEST = 200


def found(
    rows: QuerySet[Run], text: str, *, scope: str | None = None, withheld: Collection[str] = ()
) -> QuerySet[Run]:
    """Return those of ``rows`` that are found by ``text``, newest first.

    :param scope: the tenant whose runs they are; ``None``: every one.
    :param withheld: workflows whose runs are not found by what they were asked.
    """
    asked = text.strip()[:_LONGEST]
    known = {each for way in _ways(rows, asked) for each in way.order_by("-created_at")[:MOST_FOUND]}
    words = f"{scope_mark(scope or '')} {asked}"
    texts = RunText.objects.filter(words__match=words) if words_of(asked) else RunText.objects.none()
    # Not by the key itself: PostgreSQL would walk all texts, newest first, for a word that hardly one has.
    newest = (F("pk") * -1).asc()
    said = list(texts.order_by(newest).values_list("run", flat=True)[:_MOST_TEXTS])
    known.update(_places(rows.filter(pk__in=said).exclude(workflow__in=withheld)))
    return rows.filter(pk__in=[key for _created_at, key in nlargest(MOST_FOUND, known)])


def _places(rows: QuerySet[Run]) -> QuerySet[Run, Any]:
    return rows.order_by().values_list("created_at", "pk")


def _ways(rows: QuerySet[Run], asked: str) -> Iterator[QuerySet[Run, Any]]:
    rows = _places(rows)
    digits = asked.replace("-", "").lower()
    if _ID.fullmatch(digits):
        yield rows.filter(pk__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
        if len(digits) == 32:
            yield rows.filter(conversation=UUID(digits))
    yield rows.filter(workflow=asked)
    yield rows.exclude(error_code="").filter(error_code=asked)
    if owners := _owners(asked):
        yield rows.filter(owner_key__in=owners)


def _owners(asked: str) -> list[str]:
    """The owner keys of the users whose name begins like this."""
    model: Any = get_user_model()
    named = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__startswith": asked})
    return [owner_key(pk, "") for pk in named.order_by("pk").values_list("pk", flat=True)[:_MOST_OWNERS]]
