"""A conversation as one text, for its owner to keep: Markdown to be read, JSON with all there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from django.utils.text import slugify
from django.utils.translation import gettext as _

from lingstream.core.document import jsonuri
from lingstream.core.wire.json import dumps
from lingstream.models import Conversation

from .chats import chat_of
from .listing import shown
from .messages import told
from .reading import shown_path, told_turns
from .speech import owner_of
from .turns import tree_of

__all__ = ["FORMATS", "exported", "filename"]

#: What it can be exported as, and the type of that.
FORMATS: Final = {"md": "text/markdown; charset=utf-8", "json": "application/json"}

_AT_ONCE = 20  # turns that are read together, as a document may be large
_LOADS = re.compile(r"<[A-Za-z/!?]|!\[")  # HTML, or an image
_MARKED = re.compile(r"[\\`*_\[\]<>&|~$]")  # what means something anywhere in a line
_BEGINS = re.compile(r"[#+=-]|\d+(?=[.)])")  # what means something where a line begins


def exported(conversation: Conversation, form: str) -> Iterator[bytes]:
    """Yield a conversation, piece by piece; each piece asks the database for some turns.

    :param form: of :data:`FORMATS`. ``json`` has the turns of all paths, ``md`` those that are shown.
    """
    if form == "json":
        return _json(conversation)
    return (piece.encode("utf-8", "backslashreplace") for piece in _markdown(conversation))


def filename(conversation: Conversation, form: str) -> str:
    """Return what an export is called."""
    return f"{slugify(conversation.title, allow_unicode=True) or 'conversation'}.{form}"


def _json(conversation: Conversation) -> Iterator[bytes]:
    yield b'{"conversation": ' + dumps(shown(conversation)) + b', "turns": ['
    before = b"\n"
    for turn in _turns(conversation, whole=True):
        yield before + dumps(turn)
        before = b",\n"
    yield b"\n]}\n"


def _markdown(conversation: Conversation) -> Iterator[str]:
    yield f"# {_as_text(conversation.title or _('Conversation'))}\n"
    places: dict[str, str] = {}
    for turn in _turns(conversation, whole=False):
        slug = turn["workflow"]
        if slug not in places:
            places[slug] = chat_of(slug).answer_uri
        yield from _exchange(turn, places[slug])


def _turns(conversation: Conversation, *, whole: bool) -> Iterator[dict[str, Any]]:
    tree = tree_of(conversation.pk)
    path = tree.all_shown if whole else shown_path(conversation.leaf_id, tree)
    for start in range(0, len(path), _AT_ONCE):
        yield from told_turns(tree, path[start : start + _AT_ONCE], owner_of(conversation))


def _exchange(turn: dict[str, Any], answer_uri: str) -> Iterator[str]:
    """What was asked and answered; above each stands who and when."""
    if turn["message"]:
        yield _heading(_("User"), turn["created"]) + _as_text(told(turn["message"])) + "\n"
    document = turn["document"]
    if document in (None, {}, [], ""):
        return
    answer = jsonuri.get(document, answer_uri)
    text = _answer(answer) if isinstance(answer, str) else _code(_indented(document), "json")
    yield _heading(_("Assistant"), turn["finished"] or turn["created"]) + text + "\n"


def _heading(who: str, at: str) -> str:
    zone = " UTC" if at.endswith("+00:00") else ""
    return f"\n## {who} · {at[:10]} {at[11:16]}{zone}\n\n"


def _answer(text: str) -> str:
    """As the Markdown that models write, quoted, so that no heading in it is one of ours.

    With HTML or an image in it, it is code: whatever reads the file would load or run it, and where Markdown
    takes neither is not to be told without all of its grammar.
    """
    if _LOADS.search(text):
        return _code(text)
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _code(text: str, language: str = "") -> str:
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _as_text(text: str) -> str:
    """Return Markdown that reads as the text does, line by line."""
    return "\\\n".join(_line(line) for line in text.splitlines())


def _line(line: str) -> str:
    bare = line.lstrip()
    marked = _MARKED.sub(r"\\\g<0>", bare)
    if found := _BEGINS.match(marked):
        place = found.end() if marked[0].isdigit() else 0
        marked = f"{marked[:place]}\\{marked[place:]}"
    return "&nbsp;" * (len(line) - len(bare)) + marked


def _indented(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)
