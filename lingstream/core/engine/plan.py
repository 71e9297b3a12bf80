"""A plan: what a run will do, resolved and frozen when it starts.

Later edits of prompts, workflows or providers do not reach a run, because the run keeps its plan: every
prompt's text and version, every provider's settings (never a key), every trigger.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lingstream.core.exceptions import UsageError
from lingstream.core.parsing import REASONING, TextOptions
from lingstream.core.parsing.output import BotOutput
from lingstream.core.phrases import Phrase

__all__ = [
    "EVENTS",
    "JOINED",
    "VERSION",
    "BotPlan",
    "Limits",
    "MessagePlan",
    "Plan",
    "ProviderPlan",
    "StepPlan",
    "TriggerPlan",
]

_TRAILING = ("trailing_characters", "trailing_seconds")

#: Of plans as they are stored. A process takes no run whose plan has a later one: whoever made it knows more.
#: Plans without a version are of the first; their steps have no kind, and all of them are bots. Before the
#: third, no bot had messages beside its prompt, and no plan could say that its steps must not act.
VERSION = 3

#: What every kind of step emits, by itself; a kind may have further ones.
EVENTS = ("string-response", "object-response", "inference-done", "response", "error")
#: A step run has ended, and so has all that it led to.
JOINED = "joined"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run; model output can start bots, so every one of them is enforced.

    :param bots: bot runs started in all.
    :param depth: how many triggers may follow from one another.
    :param seconds: wall time of the run.
    :param characters: model output of all bots together.
    """

    bots: int = 64
    depth: int = 8
    seconds: float = 600.0
    characters: int = 2_000_000


@dataclass(frozen=True, slots=True)
class ProviderPlan:
    """Where a bot's model lives.

    :param key_name: names the key; the key itself is looked up at call time.
    :param model: the default for bots that name none.
    :param max_concurrency: calls at the same time from one process; more wait for their turn.
    """

    name: str = "default"
    kind: str = "scripted"
    base_url: str = ""
    key_name: str = ""
    model: str = ""
    max_concurrency: int | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of a workflow, of any kind.

    :param name: unique in the workflow; instances are called ``name#1``, ``name#2``, …
    :param kind: what it does, by the name under which :mod:`.kinds` knows it.
    :param input: template of what it works on; one that is a single ``{{ expression }}`` gives the value
        itself, and to a bot its text.
    :param root: template of the uri below which the step writes.
    :param only: globs below the root; where given, nothing else is sent.
    :param exclude: globs below the root that are not sent (the setting is called ``except``).
    :param quiet: parsed and triggering, but nothing is sent.
    :param optional: its failure does not fail the run.
    :param options: the kind's own, as its schema has them; texts are templates unless that says otherwise.
    :param timeout: seconds that one try may take; ``None`` for no bound but the run's.
    :param retries: how often a try that failed before it said anything is made again, 0 to 5.
    :param format: how text is read: ``json`` is parsed, ``text`` appended at the root, ``html`` makes a node
        tree.
    :param schema: JSON schema of the text, for repair and a model's ``response_format``.
    :param show_reasoning: viewers get what a model thinks; it is stored in any case.
    """

    name: str
    kind: str
    input: str = "{{ value }}"
    root: str = ""
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    quiet: bool = False
    optional: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    retries: int = 0
    format: Literal["json", "text", "html"] = "json"
    schema: dict[str, Any] | None = None
    show_reasoning: bool = False

    @property
    def images(self) -> str:
        """The origins whose images its HTML may show."""
        return ""

    @property
    def text_options(self) -> TextOptions:
        """How the text that it says is read."""
        return TextOptions()

    def output(self, root: str) -> BotOutput:
        """Return what reads the text that it says, wherever that is done: what it makes of it is the same.

        :param root: uri below which it writes.
        """
        return BotOutput(self.format, self.schema, root, self.images, self.text_options.reasoning)


@dataclass(frozen=True, slots=True)
class MessagePlan:
    """A message that a bot is told of as if it had been said.

    :param role: ``user`` or ``assistant``.
    :param text: a template.
    """

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class BotPlan(StepPlan):
    """A step that asks a model.

    :param prompt: template of the system message; ``""`` sends none.
    :param messages: what follows it: examples of questions and answers, before the conversation's own.
    :param variables: values for the names that the prompt declares.
    :param prompt_version: which version of which prompt the text is, for people (``"details v3"``).
    :param history: send the conversation's history before the input.
    """

    kind: str = "bot"
    prompt: str = ""
    messages: tuple[MessagePlan, ...] = ()
    variables: dict[str, Any] = field(default_factory=dict)
    prompt_version: str = ""
    provider: ProviderPlan = field(default_factory=ProviderPlan)
    model: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    history: bool = False

    @property
    def images(self) -> str:
        """The option ``images``."""
        return str(self.options.get("images", ""))

    @property
    def text_options(self) -> TextOptions:
        """The options ``reasoning``, ``trailing_characters`` and ``trailing_seconds``."""
        marks = str(self.options.get("reasoning", "")).split()
        given = {name: self.options[name] for name in _TRAILING if name in self.options}
        return TextOptions(() if marks == ["none"] else tuple(marks) or REASONING, **given)


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """When ``source`` emits ``event`` at a uri that matches ``pattern``, start ``target``.

    :param event: one of :data:`EVENTS`, of the source's kind's own, or :data:`JOINED`.
    :param pattern: glob of absolute uris; empty matches all (``inference-done``, ``response`` and ``joined``
        have the source's root as their uri).
    :param condition: a template expression that must hold, or ``""``.
    :param input: overrides the target's input template unless empty.
    :param root: overrides the target's root template unless ``None``.
    :param partial: start at a field, too, that was cut off with the model's answer.
    :param otherwise: only where no other trigger of the same event and uri starts anything.
    """

    source: str
    target: str
    event: str = "string-response"
    pattern: str = ""
    condition: str = ""
    input: str = ""
    root: str | None = None
    partial: bool = False
    otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run needs to be executed, and to be executed again after a crash.

    Steps that no trigger targets start with the run. A workflow in Python has ``python=True``; its function
    is found by ``workflow``, and its steps, if it has any, are there for the function to take settings from.

    :param published: the number of the workflow's version that it is; 0: of none, but of rows as they were.
    :param on_disconnect: what becomes of the run when its last viewer has left.
    :param show_reasoning: as in :class:`StepPlan`, for the bots of a workflow in Python.
    :param input_schema: what its input must fit where another workflow executes it; runs are checked when
        they are started.
    :param workflows: the plans of the workflows that its steps run, and of those that these run, by slug.
    :param acts: steps act on the world; without it, what has effects only says what it would do.
    :param version: see :data:`VERSION`.
    """

    workflow: str
    python: bool = False
    published: int = 0
    steps: tuple[StepPlan, ...] = ()
    triggers: tuple[TriggerPlan, ...] = ()
    providers: tuple[ProviderPlan, ...] = ()
    limits: Limits = field(default_factory=Limits)
    on_disconnect: Literal["continue", "cancel"] = "continue"
    show_reasoning: bool = False
    input_schema: dict[str, Any] = field(default_factory=dict)
    workflows: dict[str, Plan] = field(default_factory=dict)
    acts: bool = True
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Return the plan that :meth:`to_json` wrote.

        :raises UsageError: data of another shape, or of a later version.
        """
        try:
            if data.get("version", 1) > VERSION:
                got = f"{data['version']!r:.20}"
                message = Phrase(
                    "expected a plan of version %(version)s at most, got %(got)s", version=VERSION, got=got
                )
                raise UsageError(message)
            return cls(
                workflow=data["workflow"],
                python=data["python"],
                published=data.get("published", 0),
                steps=tuple(_step(step) for step in data["steps"]),
                triggers=tuple(TriggerPlan(**trigger) for trigger in data["triggers"]),
                providers=tuple(ProviderPlan(**provider) for provider in data["providers"]),
                limits=Limits(**data["limits"]),
                on_disconnect=data.get("on_disconnect", "continue"),
                show_reasoning=data.get("show_reasoning", False),
                input_schema=data.get("input_schema", {}),
                workflows={slug: cls.from_json(plan) for slug, plan in data.get("workflows", {}).items()},
                acts=data.get("acts", True),
            )
        except (AttributeError, KeyError, TypeError) as error:
            message = Phrase("expected a stored plan, got something else: %(why)s", why=repr(error))
            raise UsageError(message) from error

    def step(self, name: str) -> StepPlan:
        """Return the step called ``name``.

        :raises UsageError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(step.name for step in self.steps)
        raise UsageError(Phrase("expected one of the steps %(known)s, got %(got)r", known=known, got=name))

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its steps and of those of the workflows that they run."""
        own = frozenset(step.kind for step in self.steps)
        return own.union(*(plan.kinds for plan in self.workflows.values()))

    @property
    def entry_steps(self) -> tuple[StepPlan, ...]:
        """The steps that start with the run: those that no trigger targets."""
        targets = {trigger.target for trigger in self.triggers}
        return tuple(step for step in self.steps if step.name not in targets)


def _step(data: dict[str, Any]) -> StepPlan:
    fields = dict(data)
    fields["only"], fields["exclude"] = tuple(fields["only"]), tuple(fields["exclude"])
    if fields.get("kind", "bot") != "bot":
        return StepPlan(**fields)
    fields["provider"] = ProviderPlan(**fields["provider"])
    fields["messages"] = tuple(MessagePlan(**message) for message in fields.get("messages", ()))
    return BotPlan(**fields)
