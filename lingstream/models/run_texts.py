"""What runs are found by in the admin: an excerpt of their input, and the words of that and of their errors.

Words are indexed by the database: GIN over ``to_tsvector`` on PostgreSQL, FTS5 on SQLite (migration 0023).
Elsewhere the excerpts are read one by one. What counts as a word is decided here, so that it is the same
everywhere: letters and digits in lower case; of Chinese, Japanese and Korean each character by itself. One
more word stands for the tenant, so that the index itself keeps out what others asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Self
from unicodedata import normalize
from uuid import UUID

from django.db import models
from django.db.models.functions import Concat
from django.utils.translation import gettext_lazy as _

from .runs import Run

__all__ = ["RunText", "WordsField", "add_errors", "excerpt_of", "scope_mark", "words_of"]

_LONGEST = 500  # characters of an excerpt
_LONGEST_WORD = 64
_IN_FTS5 = """"{table}"."id" IN (
    SELECT rowid FROM lingstream_runtext_words WHERE lingstream_runtext_words MATCH %s
    ORDER BY rowid DESC LIMIT 10000
)"""
_MOST_LEAVES = 200  # of an input that are looked at
_MOST_ASKED = 16  # words of a question
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\s]+")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_PHRASE = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")


def excerpt_of(value: Any) -> str:
    """Return the beginning of the texts and numbers in JSON data, as one line without what is no text."""
    parts, length = [], 0
    for leaf in _leaves(value):
        part = _UNREADABLE.sub(" ", leaf[:_LONGEST]).strip()
        parts.append(part)
        length += len(part) + 1
        if length > _LONGEST or len(parts) == _MOST_LEAVES:
            break
    return " ".join(filter(None, parts))[:_LONGEST]


def words_of(text: str) -> str:
    """Return the words of a text, with a space between them."""
    return " ".join(word[:_LONGEST_WORD] for word in _WORD.findall(_plain(text)))


def scope_mark(scope: str) -> str:
    """Return the word that only the texts of this tenant have; without a tenant there is none."""
    return f"scope{sha256(scope.encode()).hexdigest()[:20]}" if scope else ""


def _plain(text: str) -> str:
    return normalize("NFKC", text[:_LONGEST]).casefold()


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers of JSON data, in their order; its depth is bounded where it comes from."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


class WordsField(models.TextField):  # type: ignore[type-arg]  # not subscriptable at run time
    """Words with a space between them; ``words__match="clou"`` finds texts, by whole words but the last."""


class RunText(models.Model):
    """Beside a run and not in it, so that what holds the words knows it by a number that never changes."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="text", verbose_name=_("run"))
    input = models.CharField(_("input"), max_length=_LONGEST, blank=True)
    words = WordsField(_("words"), blank=True)

    class Meta:
        verbose_name = _("text of a run")
        verbose_name_plural = _("texts of runs")
        default_permissions = ()

    def __str__(self) -> str:
        return self.input

    @classmethod
    def of(cls, run: Run) -> Self:
        """Store what a new run is found by."""
        excerpt = excerpt_of(run.input)
        words = f"{scope_mark(run.scope)} {words_of(excerpt)}".strip()
        return cls.objects.create(run=run, input=excerpt, words=words)


def add_errors(errors: Mapping[UUID, Sequence[Mapping[str, Any]]]) -> None:
    """Make runs that have ended found by their errors, too.

    :param errors: those of each run, the one that decided first.
    """
    for run, found in errors.items():
        if found:
            text = excerpt_of([each.get("message", "") for each in found])
            words = Concat("words", models.Value(f" {words_of(text)}"))
            RunText.objects.filter(run=run).update(words=words)


@WordsField.register_lookup
class Match(models.Lookup):
    """Whether a text has all words of a question, the last of which may be the beginning of one."""

    lookup_name = "match"
    prepare_rhs = False

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """By the index's own expression, or it would not serve."""
        column, values = self.process_lhs(compiler, connection)
        asked = " & ".join("(" + " <-> ".join(f"'{word}'" for word in phrase) + ")" for phrase in self._asked)
        begun = f"{asked[:-1]}:*)" if asked else ""
        sql = f"to_tsvector('simple'::regconfig, {column}) @@ to_tsquery('simple'::regconfig, %s)"
        return sql, [*values, begun]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """By the numbers of the newest, which FTS5 gives in their order without sorting."""
        asked = " AND ".join(f'"{" ".join(phrase)}"' for phrase in self._asked)
        sql = _IN_FTS5.format(table=self.lhs.alias)
        return sql, [f"{asked}*" if asked else '""']

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """On a database whose index of words we do not know."""
        column, values = self.process_lhs(compiler, connection)
        return f"{column} LIKE %s", (*values, f"%{words_of(self.rhs)}%")

    @property
    def _asked(self) -> list[list[str]]:
        """The words that are asked for; characters that have to follow one another stand together."""
        found = _PHRASE.findall(_plain(self.rhs))[:_MOST_ASKED]
        return [[word[:_LONGEST_WORD] for word in _WORD.findall(phrase)] for phrase in found]
