"""From what was fetched to passages, in memory: extract, normalise, language, the collection's steps, split.

No Django here: the same content under the same rules gives the same passages, in any process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from lingstream.core.engine.data import json_data
from lingstream.core.engine.kinds import NOBODY, Put, Services, StepCall, Text, check_options, kind_of
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import LingError, UsageError
from lingstream.core.phrases import Phrase

from .sources.port import Content, Failed
from .text.extract import Extracted, ExtractionError
from .text.language import language_of
from .text.normalise import normalise
from .text.split import MOST_PIECES, Piece, split

__all__ = [
    "HALF",
    "Prepared",
    "RecordStep",
    "Rules",
    "check_pipeline",
    "cut_anew",
    "digest",
    "is_same_text",
    "prepare",
]

#: Characters of a document's fingerprint that say how its text is made; the rest say how that is cut.
HALF = 32


_VERSION = 2  # of what this module and the folder `text` make of the same bytes
_MOST_TEXT = 2_000_000  # characters of one document
_MOST_STEPS = 20
_TITLE = 500  # characters, as the column
_EMPTY = frozenset({"no-text-layer"})
_KEYS = frozenset({"kind", "options"})


class Reader(Protocol):
    """What turns bytes into text; see :class:`~.text.extract.pool.Extractor`."""

    async def extract(self, body: bytes, mime: str, url: str = "") -> Extracted:
        """Return the text of a document."""
        ...


class RecordStep(NamedTuple):
    """One step of a pipeline."""

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a collection cuts its documents.

    :param size: of a passage, in characters, and so ``overlap``.
    :param embedder: the fingerprint of what makes its vectors, and of where they lie.
    """

    steps: tuple[RecordStep, ...] = ()
    size: int = 1_200
    overlap: int = 0
    embedder: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest of the rules: under the same one, the same content needs no second look.

        :raises UsageError: ``unknown-kind``.
        """
        return digest(json.dumps([self.reading, self.size, self.overlap, self.embedder]))

    @property
    def reading(self) -> str:
        """A digest of what makes the text that is cut: under the same one, that need not be read again.

        :raises UsageError: ``unknown-kind``.
        """
        steps = [[each.kind, kind_of(each.kind).version, dict(each.options)] for each in self.steps]
        return digest(json.dumps([_VERSION, steps], sort_keys=True))


class Prepared(NamedTuple):
    """What became of a document's content.

    :param status: ``indexed``, ``empty`` or ``skipped``.
    :param code: why it has no passages, and so ``problem``.
    """

    text: str = ""
    title: str = ""
    language: str = ""
    metadata: Mapping[str, Any] = MappingProxyType({})
    pieces: Sequence[Piece] = ()
    status: str = "indexed"
    code: str = ""
    problem: str = ""

    @property
    def text_hash(self) -> str:
        """Of what people read of it."""
        return digest(f"{self.title}\0{self.text}") if self.text else ""


def digest(text: str) -> str:
    """Return a hash of text, which may hold what no encoding has."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_same_text(one: str, other: str) -> bool:
    """Whether documents with these fingerprints have the same text, if they were read from the same bytes."""
    return len(one) > HALF and one[:HALF] == other[:HALF]


def check_pipeline(data: Any) -> tuple[RecordStep, ...]:
    """Return the steps of a collection's ``pipeline``.

    :raises UsageError: they are no list of record kinds with options that fit.
    """
    if not isinstance(data, list) or len(data) > _MOST_STEPS:
        raise UsageError(
            Phrase(
                "expected up to %(most)s steps like %(example)s, got %(got)s",
                most=_MOST_STEPS,
                example='[{"kind": "…"}]',
                got=f"{data!r:.80}",
            )
        )
    return tuple(_step(each) for each in data)


async def prepare(
    key: str,
    content: Content,
    rules: Rules,
    reader: Reader,
    services: Services,
    aside: Callable[..., Awaitable[Any]] = asyncio.to_thread,
) -> Prepared | Failed:
    """Return the passages of a document, or why there are none.

    :param key: its name within its source.
    :param aside: calls functions in a thread.
    """
    try:
        text = await _read(content, reader)
        if text.noindex:
            return Prepared(
                status="skipped", code="noindex", problem=Phrase("the document asks not to be indexed")
            )
        if not rules.steps:
            return await aside(_normalised_and_cut, content, text, rules)  # type: ignore[no-any-return]
        found = await aside(_normalised, content, text)
        for number, step in enumerate(rules.steps):
            record = await _record(key, content, found, step, number, services)
            if record is None:
                return Prepared(
                    status="skipped", code="left-out", problem=Phrase("by the step %(kind)s", kind=step.kind)
                )
            found = record
        return await aside(_cut, found, rules)  # type: ignore[no-any-return]
    except ExtractionError as error:
        if error.code in _EMPTY:
            return Prepared(status="empty", code=error.code, problem=error.message)
        return Failed(error.code, error.message)
    except LingError as error:
        return Failed(error.code, error.message, error.retryable, getattr(error, "retry_after", None))


async def cut_anew(found: Prepared, rules: Rules) -> Prepared | Failed:
    """Return the passages of a text that was prepared before, and is kept."""
    try:
        return await asyncio.to_thread(_cut, found, rules)
    except LingError as error:
        return Failed(error.code, error.message)


def _step(data: Any) -> RecordStep:
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str) or data.keys() - _KEYS:
        example = '{"kind": "…", "options": {…}}'
        raise UsageError(
            Phrase("expected a step like %(example)s, got %(got)s", example=example, got=f"{data!r:.80}")
        )
    options = data.get("options", {})
    if not isinstance(options, dict):
        raise UsageError(
            Phrase(
                "expected the options of %(kind)s to be an object, got %(got)s",
                kind=repr(data["kind"]),
                got=f"{options!r:.80}",
            )
        )
    if not kind_of(data["kind"]).record:
        message = Phrase("expected a kind that works on records, got %(got)s", got=repr(data["kind"]))
        raise UsageError(message, code="unknown-kind")
    check_options(StepPlan(name=data["kind"], kind=data["kind"], options=options))
    return RecordStep(data["kind"], MappingProxyType(options))


async def _read(content: Content, reader: Reader) -> Extracted:
    if isinstance(content.body, str):
        return Extracted(text=content.body)
    return await reader.extract(content.body, content.mime, content.url)


def _normalised(content: Content, read: Extracted) -> Prepared:
    text = _bounded(normalise(read.text))
    title = normalise(content.title or read.title)[:_TITLE]
    language = content.language or read.language or language_of(text)
    return Prepared(text, title, language, json_data(dict(content.metadata)))


def _normalised_and_cut(content: Content, read: Extracted, rules: Rules) -> Prepared:
    return _cut(_normalised(content, read), rules)


def _bounded(text: str) -> str:
    if len(text) > _MOST_TEXT:
        most, got = f"{_MOST_TEXT:,}", f"{len(text):,}"
        message = Phrase("expected up to %(most)s characters of text, got %(got)s", most=most, got=got)
        raise UsageError(message, code="too-large")
    return text


def _cut(found: Prepared, rules: Rules) -> Prepared:
    if not found.text.strip():
        return Prepared(
            title=found.title, status="empty", code="no-text", problem=Phrase("there is no text in it")
        )
    pieces = split(found.text, rules.size, rules.overlap)
    if len(pieces) == MOST_PIECES and found.text[pieces[-1].end :].strip():
        message = Phrase("expected up to %(most)s passages, got more", most=f"{MOST_PIECES:,}")
        raise UsageError(message, code="too-large")
    return found._replace(pieces=pieces)


async def _record(
    key: str, content: Content, found: Prepared, step: RecordStep, number: int, services: Services
) -> Prepared | None:
    """What a step makes of a record: an object changes it, a list has the parts of it, an empty one none."""
    record = {
        "key": key,
        "url": content.url,
        "title": found.title,
        "language": found.language,
        "text": found.text,
        "metadata": dict(found.metadata),
    }
    call = StepCall(
        input=record,
        options=step.options,
        plan=StepPlan(name=step.kind, kind=step.kind),
        root="",
        identity=NOBODY,
        history=(),
        services=services,
        idempotency_key=digest(f"{key}\0{number}\0{found.text_hash}"),
        attempt=1,
    )
    said: Any = {}
    async with aclosing(kind_of(step.kind).run(call)) as saying:  # type: ignore[type-var]
        async for each in saying:
            if isinstance(each, Put) and each.uri == "":
                said = each.value
            elif isinstance(each, Text):
                said = {"text": said.get("text", "") + each.text}
    parts = said if isinstance(said, list) else [said]
    if not all(isinstance(part, dict) for part in parts):
        message = Phrase(
            "expected the step %(kind)s to give records, got %(got)s",
            kind=repr(step.kind),
            got=f"{said!r:.80}",
        )
        raise UsageError(message, code="record")
    return await asyncio.to_thread(_joined, found, [{**record, **part} for part in parts]) if parts else None


def _joined(found: Prepared, records: Sequence[Mapping[str, Any]]) -> Prepared:
    """The parts of one document follow each other; the first says what it is called."""
    first = records[0]
    return found._replace(
        text=_bounded(normalise("\n\n".join(str(each["text"]) for each in records))),
        title=normalise(str(first["title"]))[:_TITLE],
        language=str(first["language"]),
        metadata=json_data(first["metadata"]) if isinstance(first["metadata"], dict) else found.metadata,
    )
