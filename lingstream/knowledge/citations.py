"""Citations: passages as data for a prompt, and the check of what an answer cites, while it is written.

1. A passage is cited by its number, which is its place in the list that ``retrieve`` has written, from 1.
2. What a check finds depends on the citation and on that list, and the journal has both: a run that is
   executed again after a crash comes to the same.
3. Of what a model says nothing becomes an address: that is the passage's own, or there is none.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent

from lingstream.access.network import is_on_the_web
from lingstream.core.document import jsonuri
from lingstream.core.engine.events import Field, StepEvents
from lingstream.core.engine.kinds import Put, Said, StepCall, StepKind
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .models import Citation
from .quotes import LONGEST_QUOTE, Place, find_quote, plain

if TYPE_CHECKING:
    from lingstream.core.engine.run import Run

__all__ = ["CITATIONS", "MOST_CITATIONS", "Cite", "check_citations", "checked", "fenced"]

logger = logging.getLogger("lingstream")

#: JSON schema of what a model writes, for a bot's ``schema``.
CITATIONS: Mapping[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"source": {"type": "integer"}, "quote": {"type": "string"}},
        "required": ["source", "quote"],
        "additionalProperties": False,
    },
}
MOST_CITATIONS = 20  # of one answer; a model must not spend a run's steps on them
_LONGEST_LABEL = 200
_LAST_VERSION = 2**31 - 1  # that a column takes; passages may be anybody's data
_SHORT = 80  # characters of a quote that its address repeats as a whole
_FENCE = re.compile("`{3,}")


def fenced(passages: Sequence[Mapping[str, Any]]) -> str:
    """Return passages for a prompt: numbered, and each in a fence that nothing in it can close.

    :param passages: as ``retrieve`` writes them: ``title``, ``heading`` (a text or a list) and ``text``.
    """
    return "\n\n".join(_fenced(number, passage) for number, passage in enumerate(passages, 1))


def checked(citation: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is known of a citation; it may take a tenth of a second.

    :param citation: ``{"source": n, "quote": text}``, as a model says it.
    :returns: ``verified``; if there is such a passage ``title``, and ``url`` where it has one; if it says
        that ``start`` and ``end`` of the quote, in code points of the passage's text.
    """
    passage = _passage(citation.get("source"), passages)
    if passage is None:
        return {"verified": False}
    quote, text = citation.get("quote"), str(passage.get("text", ""))
    place = find_quote(quote, text) if isinstance(quote, str) else None
    found = {"title": _title(passage), "verified": place is not None}
    if url := _address(str(passage.get("url", "")), text, place):
        found["url"] = url
    return {**found, **place._asdict()} if place else found


class Cite(StepKind):
    """Checks the citation that it is given and puts beside it what :func:`checked` finds.

    It is started at each item of the answer's citations as that closes, with the item's uri as its root.
    """

    kind = "cite"
    title = "Check a citation"
    pure = True
    asks_who = False
    options_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["sources"],
        "properties": {
            "sources": {
                "title": "Sources",
                "description": "The passages as retrieve has written them: {{ document.sources }}.",
                "default": "{{ document.sources }}",
            }
        },
    }

    def check(self, plan: StepPlan) -> None:
        """See :meth:`StepKind.check`."""
        if not isinstance(plan.options.get("sources"), (str, list)):
            message = Phrase("expected the option 'sources' to be a template or a list")
            raise UsageError(message, code="option")

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`."""
        sources = call.options["sources"]
        if not isinstance(call.input, dict) or not isinstance(sources, list):
            message = Phrase(
                "expected a citation and a list of sources, got %(got)s and %(sources)s",
                got=type(call.input).__name__,
                sources=type(sources).__name__,
            )
            raise UsageError(message)
        found = await asyncio.to_thread(checked, call.input, sources)
        yield Put("", found)
        if call.run:
            await _keep(call, _passage(call.input.get("source"), sources), verified=found["verified"])


def check_citations(
    run: Run, bot: StepEvents, passages: Sequence[Mapping[str, Any]], *, at: str = "citations"
) -> None:
    """Have the citations of a bot checked as they close, in a workflow in Python.

    Tell the bot to send nothing but ``source`` and ``quote`` of them (``only=``), or it could say itself that
    they are verified.

    :param passages: what it was given, in that order.
    :param at: the uri of the list that it cites in.
    """
    pattern = jsonuri.concat(at, "*")

    def check(field: Field) -> None:
        place = jsonuri.match(pattern, field.uri)
        number = jsonuri.index(place[0]) if place else None
        if number is not None and number < MOST_CITATIONS and isinstance(field.value, dict):
            run.step("cite", field.value, root=field.uri, optional=True, sources=list(passages))

    bot.on("object-response", check)


async def _keep(call: StepCall, passage: Mapping[str, Any] | None, *, verified: bool) -> None:
    """Store the citation's row; what cannot be stored is logged, as the answer is on the page already."""
    chunk, version = (str(passage.get("id", "")), passage.get("version")) if passage else ("", 0)
    known = version if type(version) is int and 0 < version <= _LAST_VERSION else 0
    try:
        await call.services.database(Citation.objects.keep, call.run, call.root, chunk, verified, known)
    except Exception:
        logger.exception("a citation of run %s is not stored", call.run)


def _passage(number: Any, passages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The passage with that number, which models write as ``1``, ``"1"`` or ``"[1]"``."""
    text = str(number).strip(" []【】")
    if isinstance(number, bool) or not re.fullmatch("[0-9]{1,4}", text):
        return None
    place = int(text) - 1
    return passages[place] if 0 <= place < len(passages) else None


def _title(passage: Mapping[str, Any]) -> str:
    """What a person knows it by: a document without a title has headings, or an address."""
    heading = passage.get("heading") or ""
    named = passage.get("title") or (heading if isinstance(heading, str) else heading[0])
    return str(named or passage.get("url") or "–")


def _fenced(number: int, passage: Mapping[str, Any]) -> str:
    text, heading = str(passage.get("text", "")), passage.get("heading") or ""
    names = [passage.get("title"), heading if isinstance(heading, str) else " › ".join(map(str, heading))]
    label = " — ".join(" ".join(str(name).split())[:_LONGEST_LABEL] for name in names if name)
    fence = "`" * max([3, *(len(run) + 1 for run in _FENCE.findall(text))])
    return f"[{number}] {label}\n{fence}\n{text}\n{fence}"


def _address(url: str, text: str, place: Place | None) -> str:
    """Where a person reads it, which words to show included; ``""`` if that is no address of the web."""
    if not url or not is_on_the_web(url):
        return ""
    words = plain(text[place.start : place.end])[:LONGEST_QUOTE] if place else ""
    if not words:
        return url
    ends = [words] if len(words) <= _SHORT else [_cut(words[:_SHORT], 0), _cut(words[-_SHORT:], -1)]
    fragment = ",".join(percent(end, safe="").replace("-", "%2D") for end in ends)
    return f"{url}{'' if '#' in url else '#'}:~:text={fragment}"


def _cut(words: str, side: int) -> str:
    """Half of the words, whole ones where there are spaces: from the begin (0) or from the end (-1)."""
    half = len(words) // 2
    if side == 0:
        return words[:half].rpartition(" ")[0] or words[:half]
    return words[-half:].partition(" ")[2] or words[-half:]
