"""What the scripted provider plays: the forms of an answer, and the scripts that rows name."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, cast

from lingstream.core.exceptions import UsageError
from lingstream.core.names import check_free
from lingstream.core.phrases import Phrase
from lingstream.core.provider import ChatOptions, Chunk, Message

from .dotted import import_dotted

__all__ = ["Answer", "Gate", "Piece", "Script", "add_scripts", "registered", "script", "script_names"]


class Gate(Protocol):
    """Anything to wait for between two pieces, such as an :class:`asyncio.Event`."""

    async def wait(self) -> object: ...


Piece: TypeAlias = str | Chunk | Exception | Gate
Answer: TypeAlias = str | Iterable[Piece] | AsyncIterable[Piece]
Script: TypeAlias = Callable[[Sequence[Message], ChatOptions], Answer]


_scripts: dict[str, Script | str] = {}  # by name; a dotted path comes from the settings


def script(name: str) -> Callable[[Script], Script]:
    """Register a callable ``(messages, options) -> answer`` as the script ``name``.

    Rows of the database name it by that; it is found in each app's ``scripts.py``.

    :raises UsageError: another callable has that name.
    """

    def register(function: Script) -> Script:
        check_free(f"the script {name!r}", _scripts.get(name), function)
        _scripts[name] = function
        return function

    return register


def add_scripts(paths: Mapping[str, str]) -> None:
    """Register scripts by dotted paths, which only settings may hold; each is imported when it is used."""
    _scripts.update(paths)


def script_names() -> list[str]:
    """The names that are registered."""
    return sorted(_scripts)


def registered(name: str) -> Script:
    """Return a script.

    :raises UsageError: no script has this name, or it cannot be imported.
    """
    found = _scripts.get(name)
    if found is None:
        message = Phrase(
            "expected a script among %(known)s, got %(got)r", known=str(script_names()), got=name
        )
        raise UsageError(message, code="option")
    return cast(Script, import_dotted(found)) if isinstance(found, str) else found
