"""Recorded answers: what the demo's model says where none is configured.

It reads its prompt, as a model does, so that editing one in the admin shows. It writes the JSON fields that
the prompt asks for (the names in double quotes), in the voice of the line ``Tone: …`` (``friendly``,
``pirate``, ``formal``, ``shouting``; any other is announced) and ends with ``Sign as: …`` if there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lingstream.core.provider import ChatOptions, Message
from lingstream.providers.scripted import text_of

from .extracted import condensed, extracted

__all__ = ["answers"]

_TITLE = 6  # words
_FIELDS = ("outline", "clouds", "answer", "cards", "details", "related_question", "details_cn")


def answers(messages: Sequence[Message], options: ChatOptions) -> str:
    """Return the recorded answer to the last message, as the system message asks for it."""
    system = "\n".join(text_of(message) for message in messages if message["role"] == "system")
    asked = next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")
    question = _line("Question", asked) or asked.strip()
    if '"citations"' in system:
        return extracted(system, question)
    if "conversation below a title" in system:
        return _titled(_line("User", asked) or question)
    if "understood without" in system:
        return condensed(messages)
    wanted = [name for name in _FIELDS if f'"{name}"' in system]
    if not wanted and "Markdown" in system:
        return _voiced(str(_guide(question)["guide"]), system)
    if not wanted:
        return _voiced(_topic_text(question, _line("Topic", asked)), system)
    return json.dumps({name: _field(name, question, system) for name in wanted}, ensure_ascii=False, indent=2)


def _titled(text: str) -> str:
    """The first words of what somebody has said."""
    words = text.rstrip("?!., ").split()
    return " ".join(words[:_TITLE]).rstrip(",") + "…" * (len(words) > _TITLE)


def _field(name: str, question: str, system: str) -> Any:
    if name == "outline":
        return [{"topic": entry["topic"]} for entry in _outline(question)]
    if name == "clouds":
        return _guide(question)["clouds"]
    value = _fact(question)[name]
    if name in ("related_question", "cards"):
        return value
    return _signed(value, system) if name == "details_cn" else _voiced(value, system)


def _topic_text(question: str, topic: str) -> str:
    recorded = [entry for outline in _recorded()["outlines"] for entry in outline["topics"]]
    for entry in [*recorded, *_outline(question)]:
        if entry["topic"] == topic:
            return str(entry["details"])
    return str(_fact(question)["details"])


def _fact(question: str) -> dict[str, Any]:
    found = _find(question, "companion") or _find(question, "facts")
    return found or _filled(_recorded()["any_fact"], question)


def _outline(question: str) -> list[dict[str, str]]:
    found = _find(question, "outlines")
    return found["topics"] if found else [_filled(entry, question) for entry in _recorded()["any_outline"]]


def _guide(question: str) -> dict[str, Any]:
    return _find(question, "guides") or _filled(_recorded()["any_guide"], question)


def _filled(entry: dict[str, Any], question: str) -> dict[str, Any]:
    subject = question.rstrip("?!. ") or "this"
    return {
        name: text.replace("{question}", question).replace("{subject}", subject)
        if isinstance(text, str)
        else text
        for name, text in entry.items()
    }


def _find(question: str, kind: str) -> dict[str, Any] | None:
    wanted = _words(question)
    return next((entry for entry in _recorded()[kind] if _words(entry["question"]) == wanted), None)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@lru_cache(maxsize=1)
def _recorded() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))
    return data


def _line(name: str, text: str) -> str:
    """The rest of the last line that begins with ``name:``."""
    found = re.findall(rf"(?mi)^\s*{name}:[ \t]*(.*?)\s*$", text)
    return found[-1] if found else ""


# -- voices -----------------------------------------------------------------------------------------------


def _voiced(text: str, system: str) -> str:
    tone = _line("Tone", system).rstrip(".").lower()
    voice = _VOICES.get(tone)
    spoken = voice(text) if voice else f"In a {tone} tone: {text}"
    return _signed(spoken, system)


def _signed(text: str, system: str) -> str:
    name = _line("Sign as", system)
    return f"{text} — {name}" if name else text


def _pirate(text: str) -> str:
    words = {"you": "ye", "your": "yer", "is": "be", "are": "be", "my": "me", "no": "nay", "yes": "aye"}

    def speak(found: re.Match[str]) -> str:
        word = words[found[0].lower()]
        return word.capitalize() if found[0][0].isupper() else word

    return "Arr! " + re.sub(rf"(?i)\b({'|'.join(words)})\b", speak, text) + " Savvy?"


_VOICES: dict[str, Callable[[str], str]] = {
    "": str,
    "friendly": str,
    "pirate": _pirate,
    "formal": lambda text: f"We beg to inform you as follows. {text} We remain at your disposal.",
    "shouting": lambda text: text.upper().rstrip(".") + "!",
}
