"""The words of passages: written with them, in the same transaction, and found by those of a question.

What is indexed are words of our own (:mod:`..text.words`), on every database the same, so that none has to
know a language. Title and headings count as words of a passage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, NamedTuple, TypeAlias

from django.db import connections, router

from lingstream.core.exceptions import ConfigurationError
from lingstream.core.phrases import Phrase

from ..models import Chunk
from ..text.words import spaced_words
from .bounds import Bounds, marks_of
from .port import Passage

__all__ = ["SUPPORTED", "find", "write"]

_LONGEST = 200  # characters of a word; PostgreSQL refuses 2,047 bytes


_Find: TypeAlias = Callable[
    [Sequence[Sequence[int]], Sequence[str], Sequence[str], int], tuple[str, list[Any]]
]


class _Statements(NamedTuple):
    """What a database does with words.

    :param marks: marks as it wants them written.
    :param find: returns a statement with its values, for marks in groups, a question's words, what counts
        beside them, and a number. It gives ids, scores, and whether all words were asked for.
    :param find_all: asks for all of them, where the first may have asked for too few.
    """

    write: str
    marks: Callable[[Sequence[int]], Any]
    find: _Find
    find_all: _Find | None = None


def _fts5(
    groups: Sequence[Sequence[int]], asked: Sequence[str], beside: Sequence[str], k: int
) -> tuple[str, list[Any]]:
    """Rank those that have a telling word: to rank all that have a common one takes ten times as long."""
    marks = " AND ".join(f"marks : ({_either(group)})" for group in groups)
    counted = " UNION ALL ".join([_COUNTED] * len(asked))
    most = _MOST_RANKED + 1
    values = [value for word in asked for value in (word, f'{marks} AND words : "{word}"', most)]
    ranked = [bool(beside), _either([*asked, *beside])]
    return _RANKED.format(counted=counted), [*values, _MOST_RANKED, marks, *ranked, k]


def _either(words: Sequence[int] | Sequence[str]) -> str:
    return " OR ".join(f'"{each}"' for each in words)


def _tsquery(
    groups: Sequence[Sequence[int]], asked: Sequence[str], beside: Sequence[str], k: int
) -> tuple[str, list[Any]]:
    """As :func:`_fts5`, by statistics: PostgreSQL cannot stop counting where it is enough."""
    return _RANKED_BY_POSTGRESQL, [[*asked], _MOST_RANKED, [*beside], _within(groups), k]


def _tsquery_of_all(
    groups: Sequence[Sequence[int]], asked: Sequence[str], beside: Sequence[str], k: int
) -> tuple[str, list[Any]]:
    return _RANKED_BY_POSTGRESQL, [[*asked], inf, [*beside], _within(groups), k]


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
    SELECT rowid, -bm25(lingstream_knowledge_words, 0.0, 1.0) AS score, TRUE
    FROM lingstream_knowledge_words
    WHERE lingstream_knowledge_words MATCH coalesce((SELECT ranked FROM asked), 'marks : none')
    AND +rowid IN (
        SELECT rowid FROM lingstream_knowledge_words
        WHERE lingstream_knowledge_words MATCH coalesce((SELECT found FROM asked), 'marks : none')
    )
    ORDER BY score DESC, rowid LIMIT %s
"""
# What the statistics do not name is rare. They are of all tenants: where one has too few of the telling
# words, all words are asked for. To rank 24,000 of 50,000 passages takes 100 ms.
_RANKED_BY_POSTGRESQL = """
    WITH asked AS (
        SELECT to_tsquery('lingstream_words', '''' || word || '''') AS query FROM unnest(%s::text[]) word
    ),
    known AS (
        SELECT relname, nspname AS schema, greatest(reltuples, 0) AS total
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = 'lingstream_knowledge_words'::regclass
    ),
    common AS (
        SELECT unnest(most_common_elems::text::text[]) AS word,
            unnest(most_common_elem_freqs) * total AS number
        FROM known JOIN pg_stats ON schemaname = schema AND tablename = relname AND attname = 'words'
    ),
    counted AS (
        SELECT query, coalesce(number, 0) AS number
        FROM asked LEFT JOIN common ON word = trim(BOTH '''' FROM query::text) WHERE numnode(query) > 0
    ),
    summed AS (
        SELECT '(' || query::text || ')' AS query,
            row_number() OVER rarest = 1 OR sum(number) OVER rarest <= %s AS tells
        FROM counted WINDOW rarest AS (ORDER BY number, query::text)
    ),
    told AS (
        SELECT string_agg(query, ' | ')::tsquery AS whole,
            (string_agg(query, ' | ') FILTER (WHERE tells))::tsquery AS telling, bool_and(tells) AS all_tell
        FROM summed
    ),
    beside AS (
        SELECT
            string_agg(to_tsquery('lingstream_words', '''' || phrase || '''')::text, ' | ')::tsquery AS said
        FROM unnest(%s::text[]) phrase
    )
    SELECT chunk_id, ts_rank(words, whole, 1) + coalesce((words @@ said)::int, 0), all_tell
    FROM told, beside, lingstream_knowledge_words
    WHERE words @@ (%s::tsquery && telling) ORDER BY 2 DESC, 1 LIMIT %s
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
    find_all=_tsquery_of_all,
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
    known, cursor = _open(router.db_for_read(Chunk))
    with cursor:
        cursor.execute(*known.find(bounds.marks, asked, beside, k))
        found = cursor.fetchall()
        if known.find_all and len(found) < k and not (found and found[0][2]):
            cursor.execute(*known.find_all(bounds.marks, asked, beside, k))
            found = cursor.fetchall()
        return [(pk, float(score)) for pk, score, _ in found]


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
