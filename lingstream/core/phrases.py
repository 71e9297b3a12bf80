"""Messages for people, in English, that can be said in another language by whoever shows them.

The core knows no reader and no catalog. A message of it is a :class:`Phrase`: to who logs it, sends it or
compares it an English ``str``, to who shows it the template that catalogs have, and what fills it in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["Phrase", "from_parts", "parts_of", "phrased"]

_LONGEST = 500  # characters of a foreign text that is looked at
_TEMPLATE = re.compile(r"(?:[^%]|%%|%\(\w+\)[sdr])*")  # a width would make it any length


class Phrase(str):
    """A text in English that knows what it was made of.

    Strings that are made of it are plain ones again: to put a phrase into another one, give it as a value.

    :param template: has ``%(name)s`` for each value; without values it is the text as it stands.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> Phrase:
        phrase = super().__new__(cls, template % values if values else template)
        phrase.template, phrase.values = str(template), values
        return phrase

    def said(self, say: Callable[[str], str]) -> str:
        """Return the text as ``say`` has its template, and those of the phrases inside it."""
        template = say(self.template)
        if not self.values:
            return template
        return template % {
            name: value.said(say) if isinstance(value, Phrase) else value
            for name, value in self.values.items()
        }

    def mapped(self, change: Callable[[str], str]) -> Phrase:
        """Return the phrase with what ``change`` makes of each text that fills it in."""
        changed = {
            name: value.mapped(change)
            if isinstance(value, Phrase)
            else change(value)
            if isinstance(value, str)
            else value
            for name, value in self.values.items()
        }
        return Phrase(self.template, **changed)


def parts_of(text: str) -> dict[str, Any] | None:
    """Return what a phrase was made of, as JSON data to store beside it; ``None`` of a plain text."""
    if not isinstance(text, Phrase):
        return None
    values = {name: _part(value) for name, value in text.values.items()}
    return {"template": text.template, "values": values} if values else {"template": text.template}


def from_parts(text: str, parts: Any) -> str:
    """Return ``text`` as the phrase of these parts; as it is, if that is not what they make."""
    try:
        made = _made_of(parts)
    except (TypeError, ValueError, KeyError, AttributeError):
        return text
    return made if made == text else text


def _part(value: object) -> Any:
    if isinstance(value, Phrase):
        return parts_of(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _made_of(parts: Mapping[str, Any]) -> Phrase:
    values = parts.get("values", {})
    found = {name: _made_of(each) if isinstance(each, dict) else each for name, each in values.items()}
    if found and not _TEMPLATE.fullmatch(parts["template"]):
        raise ValueError("expected a template of names alone")
    return Phrase(parts["template"], **found)


def phrased(text: str, known: Collection[Phrase]) -> str:
    """Return what another library says as a phrase, if it is made as one of those that are ``known``.

    :param known: templates, without values; the first that fits is taken, and values may be others of them.
    """
    if len(text) <= _LONGEST:
        for each in known:
            if found := _pattern(each.template).fullmatch(text):
                values = {name: phrased(value, known) for name, value in found.groupdict().items()}
                return Phrase(each.template, **values)
    return text


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.*?)", re.escape(template)), re.DOTALL)
