"""When a bot speaks first: what ``@workflow("slug", occasions=[…])`` says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import time
from typing import Any, ClassVar

from lingstream.core.document import jsonuri
from lingstream.core.exceptions import UsageError
from lingstream.core.validation import SchemaFault, compile_schema

from .chat import with_text
from .inputs import misfit

__all__ = [
    "AUDIENCES",
    "INSTRUCTIONS",
    "Connected",
    "Disconnected",
    "Greeting",
    "Occasion",
    "Schedule",
    "Signal",
    "Silence",
    "Webhook",
    "check_occasions",
    "input_of",
    "refusal",
    "seconds_in",
]

AUDIENCES = ("present", "absent", "any")

#: What a workflow is told on an occasion without an ``input``, in the place of a person's message.
INSTRUCTIONS = {
    "greeting": "(The conversation begins. Greet the user in one or two sentences.)",
    "silence": "(The user has been silent for a while. Say something short that fits what was said last.)",
    "schedule": "(It is time to write to the user. Say something short that fits what was said last.)",
    "signal": "(This has just happened, tell the user: {{ data }})",
    "webhook": "(This has just happened, tell the user: {{ data }})",
    "connected": "(The user is back. Say something short that fits what was said last.)",
    "disconnected": "(The user has left. Leave a short message for later.)",
}

#: Those that bring data of their own.
_WITH_DATA = ("signal", "webhook")

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_NAME = re.compile(r"[-\w]{1,100}", re.ASCII)


def seconds_in(duration: str | float) -> float:
    """Return the seconds in ``60``, ``"60s"``, ``"5m"``, ``"2h"`` or ``"1d"``.

    :raises UsageError: it is none of them.
    """
    if isinstance(duration, str) and (found := _DURATION.fullmatch(duration.strip())):
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(duration, (int, float)) and not isinstance(duration, bool) and 0 <= duration < 1e9:
        return float(duration)
    raise UsageError(f"expected seconds, or a text like '60s', '5m', '2h' or '1d', got {duration!r:.40}")


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """What all occasions have.

    :param name: of the occasion, which a workflow has once; its kind unless given.
    :param input: template of what stands in the place of a person's message; it may use ``occasion``,
        ``conversation``, ``data`` and ``now``. Without one there is an instruction in English.
    :param condition: expression with the same names; where it does not hold, nothing is said.
    :param audience: ``present``: only to who has the conversation open; ``absent``: only to who has not.
    :param daily: how often a day the bot may begin in one conversation, on whatever occasion.
    :param min_gap: seconds, or ``"1h"``, for which a bot that has begun does not begin again.
    :param quiet: two times of the person's day between which nothing is said: ``("22:00", "08:00")``.
    """

    kind: ClassVar[str]

    name: str = ""
    input: str = ""
    condition: str = ""
    audience: str = "any"
    daily: int | None = None
    min_gap: str | float = 0
    quiet: tuple[str, str] | None = None

    def columns(self) -> dict[str, Any]:
        """Return it as the columns of a row.

        :raises UsageError: a value that none of them can have.
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        begin, end = own.pop("quiet") or (None, None)
        own |= {"quiet_from": begin and _time(begin), "quiet_to": end and _time(end)}
        own["name"] = own["name"] or self.kind
        if not _NAME.fullmatch(own["name"]):
            raise UsageError(f"expected a name of letters, digits, - and _, got {own['name']!r:.80}")
        for name in own.keys() & {"after", "min_gap"}:
            own[name] = round(seconds_in(own[name]))
        return {"kind": self.kind, **own}


@dataclass(frozen=True)
class Greeting(Occasion):
    """Somebody opens a conversation in which nothing has been said."""

    kind = "greeting"


@dataclass(frozen=True)
class Silence(Occasion):
    """Nobody has said anything for a while; a workflow has at most one.

    :param after: seconds, or ``"60s"``, from the end of the last turn.
    :param factor: each further pause is so many times as long.
    :param at_most: so many times, until the person says something.
    """

    kind = "silence"

    after: str | float = "60s"
    factor: float = 2.0
    at_most: int = 3


@dataclass(frozen=True)
class Schedule(Occasion):
    """A time has come, in the site's ``TIME_ZONE``.

    :param schedule: five fields as in a crontab: ``"0 9 * * MON-FRI"``.
    :param at_most: conversations at one time, the latest first.
    :param within_days: only those in which something was said within so many days.
    """

    kind = "schedule"

    schedule: str
    audience: str = field(default="present", kw_only=True)
    at_most: int = 100
    within_days: int = 30


@dataclass(frozen=True)
class Signal(Occasion):
    """The site's code says so: ``Occasion.fire``."""

    kind = "signal"

    name: str = "signal"


@dataclass(frozen=True)
class Webhook(Occasion):
    """Another system says so, by a signed request."""

    kind = "webhook"

    name: str = "webhook"


@dataclass(frozen=True)
class Connected(Occasion):
    """Somebody who was away opens the conversation."""

    kind = "connected"


@dataclass(frozen=True)
class Disconnected(Occasion):
    """The last who had the conversation open has gone."""

    kind = "disconnected"


def check_occasions(workflow: str, occasions: tuple[Occasion, ...]) -> None:
    """Refuse occasions that a workflow cannot have together.

    :raises UsageError: two of one name, more than one silence, or values that cannot be.
    """
    for each in occasions:
        if not isinstance(each, Occasion):
            raise UsageError(f"expected occasions like Silence('60s') for {workflow!r}, got {each!r:.80}")
    names = [each.columns()["name"] for each in occasions]
    if len(set(names)) < len(names):
        raise UsageError(f"expected occasions with names of their own for {workflow!r}, got {names}")
    if sum(each.kind == Silence.kind for each in occasions) > 1:
        raise UsageError(f"expected at most one silence for {workflow!r}")


def input_of(told: Mapping[str, Any], uri: str, text: str, data: Any = None) -> Any:
    """Return what a workflow is started with on an occasion.

    :param told: of the occasion: ``kind``, ``name``, ``number``; with ``data`` at ``occasion``.
    :param uri: where the text of a message goes.
    :param text: what stands in the place of one.
    :raises UsageError: something stands above that place that holds nothing.
    """
    return with_text({"occasion": {**told, "data": data}}, uri, text)


def refusal(schema: dict[str, Any], kind: str, name: str, uri: str, text: str) -> str:
    """Return what a workflow's schema has against all that an occasion may start it with; ``""``: nothing.

    What is known only when it fires is passed over: a text that is still to be filled in, data from outside.

    :param text: the template.
    """
    try:
        sample = input_of({"kind": kind, "name": name, "number": 1}, uri, text)
        found = compile_schema(schema).failures(sample) if schema else []
    except SchemaFault:
        return ""  # which whoever saves the schema is told
    except UsageError as error:
        return error.message
    later = [["occasion", "data"]] if kind in _WITH_DATA else []
    if "{" in text:
        later.append(jsonuri.split(uri))
    for failure in found:
        path = [str(key) for key in failure.path]
        if not any(path[: len(place)] == place for place in later):
            return misfit(failure)
    return ""


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except (TypeError, ValueError):
        raise UsageError(f"expected a time of day like '22:00', got {text!r:.40}") from None
