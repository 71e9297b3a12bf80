"""The texts of a step, rendered when it starts: its root, its input, and what its kind takes beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from lingstream.core import templates
from lingstream.core.document import jsonuri
from lingstream.core.document.ops import copy_json
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message

from .bot import Deferred
from .kinds import kind_of
from .plan import JOINED, BotPlan, MessagePlan, StepPlan, TriggerPlan

__all__ = [
    "Candidate",
    "Rendered",
    "Stamp",
    "frozen",
    "prepared",
    "render_prompt",
    "rendered",
    "text_problems",
]

_MOST_LEVELS = 20  # of lists and objects in options


class Candidate(NamedTuple):
    """A step that starts if the condition of its trigger holds.

    :param trigger: ``None`` where it starts with the run.
    :param match: what the stars of the trigger's pattern stand for.
    """

    step: StepPlan
    trigger: TriggerPlan | None = None
    match: tuple[str, ...] = ()

    @property
    def otherwise(self) -> bool:
        """Whether it starts only if none of the others does."""
        return self.trigger is not None and self.trigger.otherwise

    @property
    def after_all(self) -> bool:
        """Whether it starts when all is over that its source has led to."""
        return self.trigger is not None and self.trigger.event == JOINED


class Stamp(NamedTuple):
    """What expressions may use that is not data of the run, and the same whenever it is executed.

    :param run: names the run, and the place in it.
    :param now: when it was started, ISO 8601.
    """

    run: str = ""
    now: str = ""


class Rendered(NamedTuple):
    """What a step's templates came to, or the fault of one of them.

    :param input: to a bot text, to other kinds JSON data.
    :param told: the messages of a bot's prompt.
    """

    root: str = ""
    input: Any = ""
    options: Mapping[str, Any] = {}
    told: Sequence[Message] = ()
    fault: UsageError | None = None


def rendered(
    candidates: Sequence[Candidate], context: Mapping[str, Any], stamp: Stamp, *, brief: bool
) -> list[Rendered | None]:
    """Return the texts of those candidates that start, and ``None`` for the others.

    A condition that fails is its step's failure, and counts as one that holds: so that it is seen.

    :raises TooLong: they were to be brief.
    """
    found = [
        None if each.otherwise else _rendered(each, {**context, "match": each.match}, stamp, brief=brief)
        for each in candidates
    ]
    if any(found):
        return found
    return [
        _rendered(each, {**context, "match": each.match}, stamp, brief=brief) if each.otherwise else None
        for each in candidates
    ]


def render_prompt(
    system: str, messages: Sequence[MessagePlan], context: Mapping[str, Any], *, brief: bool = False
) -> list[Message]:
    """Return the messages that a prompt comes to; those without text are left out.

    :raises TooLong: they were to be brief.
    """
    parts = [("system", system), *((each.role, each.text) for each in messages)]
    texts = [(role, templates.render(text, context, brief=brief)) for role, text in parts]
    return [{"role": role, "content": text} for role, text in texts if text]


def prepared(
    system: str, messages: Sequence[MessagePlan], context: Mapping[str, Any]
) -> list[Message] | Deferred:
    """The messages, or where they take longer what makes them, in a thread, once the bot is asked."""
    try:
        return render_prompt(system, messages, context, brief=True)
    except templates.TooLong:
        return partial(render_prompt, system, messages, frozen(context))


def frozen(context: Mapping[str, Any]) -> dict[str, Any]:
    """A copy: a thread must not see the document grow."""
    return {name: copy_json(value) for name, value in context.items()}


def text_problems(step: StepPlan) -> Iterator[tuple[str, templates.Problem]]:
    """Yield what is wrong with the templates in a step's options, each with its uri in them."""
    for where, text, how in _texts(step.options, _schemas(step)):
        check = templates.CHECKED_AS.get(how)
        if check and text:
            for problem in check(text):
                yield where, problem


def _rendered(start: Candidate, context: Mapping[str, Any], stamp: Stamp, *, brief: bool) -> Rendered | None:
    step, trigger = start.step, start.trigger
    root, told = "", list[Message]()
    try:
        if trigger and not templates.holds(trigger.condition, context, brief=brief):
            return None
        names = {**step.variables, **context} if isinstance(step, BotPlan) else context
        root_template = step.root if trigger is None or trigger.root is None else trigger.root
        root = jsonuri.normalize(templates.render_uri(root_template, names, brief=brief))
        template = trigger.input if trigger and trigger.input else step.input
        if isinstance(step, BotPlan):
            told = render_prompt(step.prompt, step.messages, names, brief=brief)
            return Rendered(root, templates.render(template, names, brief=brief), {}, told)
        input = templates.evaluate(template, names, brief=brief)
        return Rendered(root, input, _options(step, names, stamp, brief=brief))
    except UsageError as error:
        return Rendered(root, told=told, fault=error)


def _options(step: StepPlan, names: Mapping[str, Any], stamp: Stamp, *, brief: bool) -> dict[str, Any]:
    schemas = _schemas(step)
    seed = [f"{stamp.run}\n{step.name}\n{names['uri']}", 0]  # and how many names have been made of it
    names = {**names, "now": stamp.now, templates.SEED: seed}
    return {
        name: _option(value, _how(schemas.get(name)), names, brief, _MOST_LEVELS)
        for name, value in step.options.items()
    }


def _option(value: Any, how: str, names: Mapping[str, Any], brief: bool, levels: int) -> Any:
    """Render the texts in an option; what is inside it is read as the option is."""
    if not levels:
        raise UsageError(Phrase("expected options of at most %(most)s levels, got more", most=_MOST_LEVELS))
    if isinstance(value, dict):
        return {name: _option(each, how, names, brief, levels - 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_option(each, how, names, brief, levels - 1) for each in value]
    return templates.READ_AS[how](value, names, brief=brief) if isinstance(value, str) else value


def _schemas(step: StepPlan) -> Mapping[str, Any]:
    found: Mapping[str, Any] = kind_of(step.kind).options_schema.get("properties", {})
    return found


def _how(schema: Any) -> str:
    """How the texts of an option are read; see :class:`StepKind`."""
    how = schema.get("x-template", "text") if isinstance(schema, Mapping) else "text"
    return how if isinstance(how, str) and how in templates.READ_AS else "text"


def _texts(options: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, value in options.items():
        pending = [(jsonuri.join(name), value)]
        while pending:
            where, each = pending.pop()
            if isinstance(each, str):
                yield where, each, _how(schemas.get(name))
            elif isinstance(each, (dict, list)):
                items = each.items() if isinstance(each, dict) else enumerate(each)
                pending += [(jsonuri.concat(where, jsonuri.escape(key)), inner) for key, inner in items]
