"""What a request for many runs asks for: each entry that cannot be read is refused by itself."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

from lingstream.access.csrf import CsrfError
from lingstream.core.exceptions import UsageError

from .attached import MOST_ATTACHED, Attach, not_attached, seq_in
from .messages import MOST_RUNS, refusal

__all__ = ["Asked", "Feed"]

_LONGEST_WAIT = 60  # seconds; proxies give up on a silent server after about as many
_LONGEST_TEXT = 500  # characters of an id or a token


class Asked(NamedTuple):
    """One run that is asked for.

    :param after: id of the last frame that the viewer has.
    :param token: or the share.
    """

    run: str
    after: str | None = None
    token: str | None = None

    @classmethod
    def from_json(cls, data: Any) -> Asked:
        """Return what a client asks for.

        :raises UsageError: an object of another shape.
        """
        if not isinstance(data, dict) or not isinstance(data.get("run"), str):
            raise UsageError(f'expected runs to have objects like {{"run": "<id>"}}, got {data!r:.80}')
        values: dict[str, Any] = {name: data.get(name) for name in cls._fields}
        for name, value in values.items():
            if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST_TEXT):
                raise UsageError(f"expected {name} to be up to {_LONGEST_TEXT} characters, got {value!r:.80}")
        return cls(**values)


class Feed(NamedTuple):
    """The body of a request for many runs, and for word of conversations.

    :param attach: conversations to hear of.
    :param all: whether to hear of all that are the asker's.
    :param seq: which the asker has of all, from a poll before.
    :param wait: seconds that a poll may take; ``None`` asks for a stream.
    :param refused: messages that answer what is not followed.
    """

    runs: tuple[Asked, ...]
    attach: tuple[Attach, ...] = ()
    all: bool = False
    seq: int | None = None
    wait: float | None = None
    refused: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_json(cls, data: Any) -> Feed:
        """Return what a client asks for; what cannot be read of it is refused by itself.

        :raises UsageError: a body of another shape.
        """
        given = data if isinstance(data, dict) else {}
        runs, attach, owned = given.get("runs", []), given.get("attach", []), given.get("all", False)
        readable = isinstance(runs, list) and isinstance(attach, list) and isinstance(owned, bool)
        if not readable or not (runs or attach or owned):
            raise UsageError(
                'expected "runs": […] or "attach": […] with at least one entry, or "all": true, '
                f"got {data!r:.80}"
            )
        asked, refused = _runs(runs)
        attached, others = _attaches(attach)
        seq, wait = seq_in(given), _wait(given.get("wait"))
        return cls(asked, attached, owned, seq, wait, (*refused, *others))

    @property
    def hears(self) -> bool:
        """Whether notices are asked for."""
        return self.all or bool(self.attach)

    def with_tokens(self, fault: CsrfError) -> Feed:
        """Return what is left where the cookie proves nothing.

        :param fault: what the others are told.
        :raises CsrfError: nothing is.
        """
        left = tuple(each for each in self.runs if each.token)
        if not left:
            raise fault
        refused = [refusal(each.run, fault) for each in self.runs if not each.token]
        refused += [not_attached(each.conversation, fault) for each in self.attach]
        refused += [not_attached(None, fault)] if self.all else []
        return self._replace(runs=left, attach=(), all=False, refused=(*self.refused, *refused))


def _runs(data: list[Any]) -> tuple[tuple[Asked, ...], list[dict[str, Any]]]:
    """Return what is asked for, and the messages for what is not followed: one for all that is too many."""
    asked: dict[str, Asked] = {}
    refused = []
    for each in data[:MOST_RUNS]:
        try:
            entry = Asked.from_json(each)
            if entry.run in asked:
                raise UsageError(f"expected each run once, got {entry.run!r} again")
            asked[entry.run] = entry
        except UsageError as fault:
            refused.append(refusal(_name_in(each, "run", asked), fault))
    if more := len(data[MOST_RUNS:]):
        message = f"expected up to {MOST_RUNS} runs, got {more} more, which are not followed"
        refused.append(refusal(None, UsageError(message, code="too-many")))
    return tuple(asked.values()), refused


def _attaches(data: list[Any]) -> tuple[tuple[Attach, ...], list[dict[str, Any]]]:
    """The same of conversations; of one that comes twice the last counts."""
    asked: dict[str, Attach] = {}
    refused = []
    for each in data[:MOST_ATTACHED]:
        try:
            entry = Attach.from_json(each)
            asked[entry.conversation] = entry
        except UsageError as fault:
            refused.append(not_attached(_name_in(each, "conversation", asked), fault))
    if more := len(data[MOST_ATTACHED:]):
        message = f"expected up to {MOST_ATTACHED} conversations, got {more} more, which are not attached to"
        refused.append(not_attached(None, UsageError(message, code="too-many")))
    return tuple(asked.values()), refused


def _name_in(entry: Any, key: str, taken: Container[str]) -> str | None:
    """Return what a refusal of ``entry`` is about: nothing, if that would end another entry's."""
    name = entry.get(key) if isinstance(entry, dict) else None
    return name if isinstance(name, str) and len(name) <= _LONGEST_TEXT and name not in taken else None


def _wait(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_WAIT:
        raise UsageError(f"expected wait to be from 0 to {_LONGEST_WAIT} seconds, got {value!r:.80}")
    return float(value)
