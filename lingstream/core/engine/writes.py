"""Where steps write and what triggers see of it: the checks of a graph that read templates and patterns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce
from typing import Any, NamedTuple

from lingstream.core.document import jsonuri
from lingstream.core.document.filters import UriFilter
from lingstream.core.exceptions import JsonUriError
from lingstream.core.parsing.schema.shape import Schemas
from lingstream.core.phrases import Phrase
from lingstream.core.templates.reading import read, uri_segments

from . import reach
from .events import FIELD_EVENTS
from .nodes import Fault, Graph, Known, Level, Node, Start, stars_of
from .plan import EVENTS, JOINED, TriggerPlan

__all__ = ["match_beyond", "pattern", "root_without_match", "shared_root"]

_CHANGING = {"value", "uri", "document"}  # names that may be something else for each start
_CLOSED_BY = {"string-response": ("string",), "object-response": ("object", "array")}
_NONE: Any = object()
_MOST_ROOTS = 20  # of one step that are looked at beside a pattern; more can be anywhere


def root_without_match(graph: Graph, known: Known) -> Iterator[Fault]:
    """Steps that may start several times and always write at one root."""
    for number, start, trigger in _triggered(graph):
        asked = read(start.root)
        if start.node.quiet or asked is None or not graph.repeats(trigger):
            continue
        stars = stars_of(trigger.pattern)
        if asked.names & _CHANGING or ("match" in asked.names and _tells_apart(asked.match, stars)):
            continue
        message = Phrase(
            "%(step)s may start several times at one root (%(root)s), where its bots write over each other: "
            "expected %(wanted)s in the root",
            step=start.node.name,
            root=_said(start.root),
            wanted=_matches(stars),
        )
        yield Fault("root-without-match", message, "warning", trigger=number, field="root")


def match_beyond(graph: Graph, known: Known) -> Iterator[Fault]:
    """Templates that ask for more than the stars stand for, and so fail each time."""
    for start in graph.starts:
        trigger = None if start.trigger is None else graph.triggers[start.trigger]
        stars = stars_of(trigger.pattern) if trigger else 0
        for name, text, own in _texts(start, trigger):
            asked = read(text)
            beyond = sorted(n for n in (asked.needs if asked else ()) if not -stars <= n < stars)
            if beyond:
                message = Phrase(
                    "the %(field)s of %(step)s asks for match[%(number)s], but %(why)s",
                    field=Phrase(name),  # which the form calls so as well
                    step=start.node.name,
                    number=beyond[0],
                    why=_too_few(stars) if trigger else Phrase("it starts with the run, without a pattern"),
                )
                step, place = ("", name if own else "pattern") if trigger else (start.node.name, name)
                yield Fault("match-beyond", message, step=step, trigger=start.trigger, field=place)


def shared_root(graph: Graph, known: Known) -> Iterator[Fault]:
    """Steps that start at one moment at one root and write the same fields.

    A root alone is shared on purpose: in the demo an answer, its details and their translation are fields of
    one object. What two JSON steps write is known only as far as their schemas tell; text takes the whole
    root, and whoever is the later one there fails.
    """
    roots: dict[tuple[object, str], _Writers] = {}
    fields = {node.name: _fields(node) for node in graph.nodes}
    for start in graph.starts:
        trigger = None if start.trigger is None else graph.triggers[start.trigger]
        if start.node.quiet or (trigger and graph.depends(trigger)):
            continue  # one of them may be let through at a time
        moment = trigger and (trigger.source, trigger.event, trigger.pattern)
        writers = roots.setdefault((moment, _same_root(start.root)), _Writers())
        yield from writers.join(start, fields[start.node.name])


def pattern(graph: Graph, known: Known) -> Iterator[Fault]:
    """Triggers that never fire, because their source writes nothing there."""
    sources: dict[str, _Source] = {}
    for number, trigger in enumerate(graph.triggers):
        source = graph.by_name.get(trigger.source)
        if source is None:
            continue
        try:
            wanted = reach.glob(trigger.pattern)
        except JsonUriError:
            continue  # the field's own validator says what a pattern is
        writes = sources.get(source.name) or _Source.of(graph, source)
        sources[source.name] = writes
        if trigger.event in FIELD_EVENTS:
            said, level = _unmet(writes, wanted, _CLOSED_BY[trigger.event], known)
        else:
            said, level = _unmet_end(writes, wanted, trigger.event), "error"
        if said:
            told = {"event": trigger.event, "step": source.name, "why": said}
            message = Phrase("%(event)s of %(step)s anywhere: %(why)s", **told)
            if trigger.pattern:
                at = repr(trigger.pattern)
                message = Phrase("%(event)s of %(step)s at %(pattern)s: %(why)s", **told, pattern=at)
            yield Fault("pattern", message, level, trigger=number, field="pattern")


# -- roots ------------------------------------------------------------------------------------------------


def _triggered(graph: Graph) -> Iterator[tuple[int, Start, TriggerPlan]]:
    for start in graph.starts:
        if start.trigger is not None:
            yield start.trigger, start, graph.triggers[start.trigger]


def _tells_apart(asked: frozenset[int] | None, stars: int) -> bool:
    """Whether a root that asks ``match`` for these numbers is another one for each match."""
    return asked is None or len({n % stars for n in asked if stars}) == stars > 0


def _matches(stars: int) -> str:
    """What tells the matches of a pattern with so many stars apart."""
    asked = [f"{{{{ match[{n}] }}}}" for n in range(stars)]
    if not asked:
        return Phrase(
            "as the pattern the field that starts it, such as answer, or a pattern with stars, and match"
        )
    return reduce(lambda first, second: Phrase("%(first)s and %(second)s", first=first, second=second), asked)


def _too_few(stars: int) -> Phrase:
    one = Phrase("its pattern has 1 star")
    return one if stars == 1 else Phrase("its pattern has %(stars)s stars", stars=stars)


def _texts(start: Start, trigger: TriggerPlan | None) -> Iterator[tuple[str, str, bool]]:
    """The templates of a start: the field they stand in, the text, and whether it is the trigger's."""
    if trigger and trigger.condition.strip():
        yield "condition", "{{ (" + trigger.condition + "\n) }}", True
    yield "root", start.root, bool(trigger and trigger.root is not None)
    yield "input", start.input, bool(trigger and trigger.input)
    yield "prompt", start.node.prompt, False


def _same_root(root: str) -> str:
    """Roots that are equal as text, or as uris where they are literal, are one for one match."""
    keys = uri_segments(root) or (None,)
    literal = [key for key in keys if key is not None]
    return jsonuri.join(*literal) if len(literal) == len(keys) else root


def _fields(node: Node) -> frozenset[str]:
    """The fields right below its root that a step is known to write where viewers see it."""
    if node.format == "html":
        return frozenset({"children"})
    if node.format != "json" or not node.schema:
        return frozenset()
    shown = UriFilter("", node.only, node.exclude)
    names = Schemas(node.schema).shape(node.schema).names
    return frozenset(name for name in names if shown.shows(jsonuri.escape(name), container=True))


class _Writers:
    """Who starts at one root at one moment, in the order of their starts."""

    def __init__(self) -> None:
        self._first: Start | None = None
        self._text: Start | None = None
        self._by_step: dict[str, Start] = {}
        self._by_field: dict[str, Start] = {}

    def join(self, start: Start, fields: Collection[str]) -> Iterator[Fault]:
        """Take in one more, and say if it writes what another one does."""
        node, is_text = start.node, start.node.format == "text"
        shared = next((name for name in sorted(fields) if name in self._by_field), None)
        if other := self._first if is_text else self._text:
            why = Phrase("text takes the whole root, so the later one fails")
            yield self._fault(other, start, why, "error")
        elif other := self._by_step.get(node.name):
            yield self._fault(other, start, Phrase("they write the same fields"), "warning")
        elif shared is not None:
            why = Phrase("both write the field %(name)s", name=repr(shared))
            yield self._fault(self._by_field[shared], start, why, "warning")
        self._first = self._first or start
        self._text = self._text or (start if is_text else None)
        self._by_step.setdefault(node.name, start)
        for name in fields:
            self._by_field.setdefault(name, start)

    def _fault(self, other: Start, start: Start, why: Phrase, level: Level) -> Fault:
        message = Phrase(
            "%(first)s and %(second)s start together and write at one root (%(root)s): %(why)s; expected "
            "another root for one of them",
            first=other.node.name,
            second=start.node.name,
            root=_said(start.root),
            why=why,
        )
        step = start.node.name if start.trigger is None else ""
        return Fault("shared-root", message, level, step=step, trigger=start.trigger, field="root")


# -- patterns ---------------------------------------------------------------------------------------------


class _Source(NamedTuple):
    """What a step writes, and below which roots."""

    node: Node
    roots: Collection[reach.Root]
    place: reach.Place

    @classmethod
    def of(cls, graph: Graph, node: Node) -> _Source:
        """Look at all ways in which the step starts, unless they are too many."""
        found = {uri_segments(start.root) for start in graph.starts_of(node.name)}
        roots = found if len(found) <= _MOST_ROOTS else {None}
        return cls(node, roots, reach.written(node.format, node.schema))

    def meets(
        self, wanted: reach.Glob, types: Collection[str], budget: reach.Budget, *, told: bool = False
    ) -> bool:
        """Whether the pattern can match a value of one of these types."""
        return any(reach.meets(wanted, root, self.place, types, budget, told=told) for root in self.roots)


def _unmet(source: _Source, wanted: reach.Glob, types: Collection[str], known: Known) -> tuple[str, Level]:
    """Why a field cannot close there, or seems not to."""
    node = source.node
    if not source.meets(wanted, types, known.states):
        return Phrase("never comes, as %(why)s", why=_writes(node, _listed(source.roots))), "error"
    if node.format == "json" and node.schema:
        told = source.meets(wanted, types, known.states, told=True)
        return "" if told else Phrase("its schema tells of nothing like it"), "warning"
    document = known.documents.get(node.name, _NONE)
    if node.format != "json" or document is _NONE or node.quiet or node.only or node.exclude:
        return "", "warning"  # of what is hidden no document tells
    there = reach.meets(wanted, (), reach.Stored(document), types, known.places)
    return "" if there else Phrase("the last document has nothing like it"), "warning"


def _writes(node: Node, roots: str) -> Phrase:
    """What a step writes in place of what is waited for."""
    if node.format == "text":
        return Phrase("it writes text below %(roots)s", roots=roots)
    if node.format == "html":
        return Phrase("it writes a tree of nodes below %(roots)s", roots=roots)
    if node.schema:
        return Phrase("its schema allows nothing like it below %(roots)s", roots=roots)
    return Phrase("it writes nothing there below %(roots)s", roots=roots)


def _unmet_end(source: _Source, wanted: reach.Glob, event: str) -> str:
    """Why an event that comes at the root of a step cannot come there."""
    roots = {*source.roots, ()} if event == "error" else source.roots  # "" where none could be rendered
    if event not in (*EVENTS, JOINED) or any(reach.meets_root(wanted, root) for root in roots):
        return ""  # where events come that we do not know, we do not know either
    return Phrase("never comes, as it comes at the root of the step, %(roots)s", roots=_listed(roots))


def _listed(roots: Collection[reach.Root]) -> str:
    """The first of the roots, for a message, with a star for what a run decides."""
    uris = ("/".join("*" if key is None else jsonuri.escape(key) for key in root or ()) for root in roots)
    first, *others = sorted(map(_said, uris))
    return Phrase("%(first)s and %(more)s more", first=first, more=len(others)) if others else first


def _said(root: str) -> str:
    return repr(root) if root else Phrase("the top of the document")
