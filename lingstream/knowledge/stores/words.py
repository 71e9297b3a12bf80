"""The words of passages: written with them, in the same transaction, and found by those of a question.

What is indexed are words of our own (:mod:`..text.words`), on every database the same, so that none has to
know a language. Title and headings count as words of a passage.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

from django.db import connections, router

from lingstream.core.exceptions import ConfigurationError
from lingstream.core.phrases import Phrase

from ..models import Chunk
from ..text.words import spaced_words
from .bounds import Bounds, marks_of
from .port import Passage

__all__ = ["SUPPORTED", "find", "forget_numbers", "write"]

_LONGEST = 200  # characters of a word; PostgreSQL refuses 2,047 bytes
_MOST_KEPT = 16_384  # words and phrases of questions
_KNOWN_FOR = 60.0  # seconds for which it stays as it was found how common words are


_Asked: TypeAlias = tuple[str, list[Any]]  # SQL with its values


class _Statements(NamedTuple):
    """What a database does with words.

    :param marks: marks as it wants them written.
    :param find: yields what finds ids with their scores, for the database's alias, marks in groups, a
        question's words, what counts beside them, and a number: the next one where the last found fewer.
    """

    write: str
    marks: Callable[[Sequence[int]], Any]
    find: Callable[[str, Sequence[Sequence[int]], Sequence[str], Sequence[str], int], Iterator[_Asked]]


def _fts5(
    alias: str, groups: Sequence[Sequence[int]], asked: Sequence[str], beside: Sequence[str], k: int
) -> Iterator[_Asked]:
    """Rank those that have a telling word: to rank all that have a common one takes ten times as long."""
    marks = " AND ".join(f"marks : ({_either(group)})" for group in groups)
    counted = " UNION ALL ".join([_COUNTED] * len(asked))
    most = _MOST_RANKED + 1
    values = [value for word in asked for value in (word, f'{marks} AND words : "{word}"', most)]
    ranked = [bool(beside), _either([*asked, *beside])]
    yield _RANKED.format(counted=counted), [*values, _MOST_RANKED, marks, *ranked, k]


def _either(words: Sequence[int] | Sequence[str]) -> str:
    return " OR ".join(f'"{each}"' for each in words)


def _tsquery(
    alias: str, groups: Sequence[Sequence[int]], asked: Sequence[str], beside: Sequence[str], k: int
) -> Iterator[_Asked]:
    """As :func:`_fts5`, by statistics: PostgreSQL cannot stop counting where it is enough.

    They are of all tenants: where one has too few of the telling words, all are asked for.
    """
    queries, numbers = _queries(alias, [*asked, *beside]), _numbers(alias, int(time.monotonic() / _KNOWN_FOR))
    # What the statistics do not name is rare.
    counted = sorted((numbers.get(queries[word], 0.0), queries[word]) for word in asked if queries[word])
    if not counted:
        return
    rarest = [query for _, query in counted]
    sums = list(accumulate(number for number, _ in counted))
    said = _any_of([queries[phrase] for phrase in beside if queries[phrase]]) or None
    for tell in dict.fromkeys((max(1, bisect_right(sums, _MOST_RANKED)), len(rarest))):
        found = f"({_within(groups)}) & ({_any_of(rarest[:tell])})"
        yield _RANKED_BY_POSTGRESQL, [_any_of(rarest), said, found, k]


def _any_of(queries: Sequence[str]) -> str:
    return " | ".join(f"({each})" for each in queries)


_kept: dict[str, dict[str, str]] = {}  # by the database's alias; replaced where it is full, never emptied


def _queries(alias: str, phrases: Sequence[str]) -> Mapping[str, str]:
    """What PostgreSQL makes of words and phrases, as text; ``""``: nothing that could be found."""
    kept = _kept.get(alias)
    if kept is None or len(kept) > _MOST_KEPT:
        kept = _kept[alias] = {}
    if new := [f"'{phrase}'" for phrase in phrases if phrase not in kept]:
        with connections[alias].cursor() as cursor:
            cursor.execute(_MADE, [new])
            kept.update({phrase[1:-1]: query for phrase, query in cursor.fetchall()})
    return kept


@lru_cache(8)
def _numbers(alias: str, minute: int) -> Mapping[str, float]:
    """How many passages have each word that is common, as a query; asked again in the next ``minute``."""
    with connections[alias].cursor() as cursor:
        cursor.execute(_COMMON)
        return {f"'{word}'": number for word, number in cursor.fetchall()}


def forget_numbers() -> None:
    """Forget how common words are: the database is another one."""
    _numbers.cache_clear()


def _within(groups: Sequence[Sequence[int]]) -> str:
    marks = [" | ".join(f"'#{mark}'" for mark in group) for group in groups]
    return " & ".join(f"({group})" for group in marks)


# Words are taken from the rarest on, until they have enough passages together; the others count where one of
# them is there. bm25 looks up each passage that matches. What has more than that is counted no further: of
# such words the rarer are those whose first thousand passages reach further.
_MOST_RANKED = 1_000
_COUNTED = """
    SELECT %s, count(*), max(rowid) FROM (
        SELECT rowid FROM lingstream_knowledge_words WHERE lingstream_knowledge_words MATCH %s LIMIT %s
    )
"""
_RANKED = """
    WITH counted (word, number, reach) AS ({counted}),
    summed AS (
        SELECT '"' || word || '"' AS word,
            row_number() OVER rarest = 1 OR sum(number) OVER rarest <= %s AS tells
        FROM counted WHERE number > 0 WINDOW rarest AS (ORDER BY number, reach DESC, word)
    ),
    telling AS (
        SELECT 'words : (' || group_concat(word, ' OR ') FILTER (WHERE tells) || ')' AS words,
            min(tells) AS all_tell
        FROM summed
    ),
    asked AS (
        SELECT %s || ' AND ' || words AS found,
            words || iif(all_tell AND NOT %s, '', ' AND words : (' || %s || ')') AS ranked
        FROM telling
    )
    SELECT rowid, -bm25(lingstream_knowledge_words, 0.0, 1.0) AS score
    FROM lingstream_knowledge_words
    WHERE lingstream_knowledge_words MATCH coalesce((SELECT ranked FROM asked), 'marks : none')
    AND +rowid IN (
        SELECT rowid FROM lingstream_knowledge_words
        WHERE lingstream_knowledge_words MATCH coalesce((SELECT found FROM asked), 'marks : none')
    )
    ORDER BY score DESC, rowid LIMIT %s
"""
_MADE = "SELECT phrase, to_tsquery('lingstream_words', phrase)::text FROM unnest(%s::text[]) phrase"
_COMMON = """
    SELECT word, number FROM (
        SELECT unnest(most_common_elems::text::text[]) AS word,
            unnest(most_common_elem_freqs) * greatest(reltuples, 0) AS number
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        JOIN pg_stats ON schemaname = nspname AND tablename = relname
        WHERE pg_class.oid = 'lingstream_knowledge_words'::regclass AND attname = 'words'
    ) common WHERE word IS NOT NULL
"""
# To rank 24,000 of 50,000 passages takes 100 ms.
_RANKED_BY_POSTGRESQL = """
    SELECT chunk_id, ts_rank(words, %s::tsquery, 1) + coalesce((words @@ %s::tsquery)::int, 0)
    FROM lingstream_knowledge_words WHERE words @@ %s::tsquery ORDER BY 2 DESC, 1 LIMIT %s
"""

# In FTS5 marks are words of a column of their own, in a tsvector those that begin with #, as no word does. So
# the index itself keeps out what is not to be found; of a large neighbour a small tenant's search does no
# more than step over the passages that have the same words.
_SQLITE = _Statements(
    write="INSERT OR REPLACE INTO lingstream_knowledge_words (rowid, marks, words) VALUES (%s, %s, %s)",
    marks=lambda marks: " ".join(map(str, marks)),
    find=_fts5,
)
_POSTGRESQL = _Statements(
    write="""
        INSERT INTO lingstream_knowledge_words (chunk_id, words)
        VALUES (%s, array_to_tsvector(%s) || to_tsvector('lingstream_words', %s))
        ON CONFLICT (chunk_id) DO UPDATE SET words = excluded.words
    """,
    marks=lambda marks: [f"#{mark}" for mark in marks],
    find=_tsquery,
)
_STATEMENTS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
SUPPORTED = tuple(_STATEMENTS)


def write(chunks: Sequence[Chunk | Passage]) -> None:
    """Write the words of passages, or write them anew: where their bounds differ, too.

    Their documents are loaded already. The words of a passage go with its row.

    :raises ConfigurationError: the database is none that words can be found in.
    """
    known, cursor = _open(router.db_for_write(Chunk))
    with cursor:
        cursor.executemany(
            known.write, [(chunk.pk, known.marks(_marks(chunk)), _words(chunk)) for chunk in chunks]
        )


def find(bounds: Bounds, asked: Sequence[str], k: int, beside: Sequence[str] = ()) -> list[tuple[int, float]]:
    """Return the ids of the ``k`` passages that match best, and how well: more is better, best first.

    :param asked: words as :func:`~..text.words.query_words` gives them; one is enough.
    :param beside: words in their order, as :func:`~..text.words.defining` gives them. They find nothing that
        ``asked`` does not, and which passage has them counts as of a rare word, or more.
    :raises ConfigurationError: as :func:`write`.
    """
    asked = [word for word in dict.fromkeys(each[:_LONGEST] for each in asked) if _is_word(word)]
    if not asked or not all(bounds.marks):
        return []
    known, cursor = _open(alias := router.db_for_read(Chunk))
    found: list[Any] = []
    with cursor:
        for sql, values in known.find(alias, bounds.marks, asked, beside, k):
            cursor.execute(sql, values)
            found = cursor.fetchall()
            if len(found) >= k:
                break
    return [(pk, float(score)) for pk, score in found]


def _open(alias: str) -> tuple[_Statements, Any]:
    connection = connections[alias]
    known = _STATEMENTS.get(connection.vendor)
    if known is None:
        message = Phrase(
            "expected %(known)s, in which words can be found, got %(got)s",
            known=" or ".join(SUPPORTED),
            got=connection.vendor,
        )
        raise ConfigurationError(message)
    return known, connection.cursor()


def _marks(chunk: Chunk | Passage) -> Sequence[int]:
    return marks_of(chunk.collection_id, chunk.scope, chunk.owner_key, chunk.document.metadata)


def _words(chunk: Chunk | Passage) -> str:
    return spaced_words("\n".join((chunk.document.title, *chunk.heading, chunk.text)))


def _is_word(text: str) -> bool:
    """Whether nothing in it could end the quotes around it."""
    return text != "" and not any(character in text for character in "\"'\\\0")
