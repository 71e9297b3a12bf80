"""The fast path: valid JSON, and nothing else.

:func:`read_json` is one coroutine with its state in local variables, because that is what makes it fast: a
chunk inside a string costs two ``in`` tests, one ``isprintable`` and one op. It knows no repair. At the first
thing that it does not understand it goes back to the last point of which it was sure, leaves text and state
there and has the :class:`~.repair.Repairer` take one step.

Whether a string has ended is in doubt until the next key's colon (in an array the next item, in both the
closing bracket) has been read: ``mark`` stays at its closing quote until then. A sign that may have closed it
instead (``”`` or ``\\"``) is left unread until the next character says whether it did.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Closed, Set, make

from .emitter import Emitter
from .repair import LONGEST_FIRST_KEY, Repairer, State, may_be_end, sign_at_end
from .tokenizer import LOOKAHEAD, NUMBER, EndOfText, Reading, Source, to_number

__all__ = ["read_json"]

# At most so many runs and escapes in one match: without the bound a large chunk full of escapes takes fifty
# times its size, for the states to go back to. A possessive quantifier would do, but Python 3.11.0 to 3.11.4
# (Debian 12 has 3.11.2) match some of them wrongly.
_CONTENT = re.compile(
    r'(?:[^"\\\x00-\x1f\ud800-\udfff]+|\\["\\/bfnrt]|\\u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    r"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})){1,100}"
).match
_LONGEST_ESCAPE = 12
_OWN_ENDS = ('”"', '""')  # a sign that the quote follows closed no string
_WORD: Callable[[str, int], re.Match[str]] = re.compile(r"[-+.0-9A-Za-z_]*").match  # type: ignore[assignment]
_NUMBER = NUMBER.fullmatch
# A smaller piece between two values is not asked whether it passes the bound of the text before that is near.
_LARGE_PIECE = 1_048_576
_SPACE = " \n\r\t"
_LITERALS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FIRST, _NEXT, _COLON, _VALUE, _COMMA = State.FIRST, State.NEXT, State.COLON, State.VALUE, State.COMMA


def read_json(emitter: Emitter, source: Source, repairer: Repairer) -> Reading[None]:
    """Read a document: what is valid JSON here, and by a step of ``repairer`` whatever is not."""
    yield from repairer.start()
    while not repairer.finished:
        state = repairer.state
        if not is_plain(emitter, source, state):
            yield from repairer.step()
            continue
        strict, limits, parts, guide = emitter.strict, emitter.limits, emitter.parts, emitter.guide
        max_chars, max_key, max_number = limits.chars, limits.key, limits.number
        near = max_chars - _LARGE_PIECE
        container, closer, prefix, out = emitter.container, emitter.closer, emitter.prefix, emitter.out
        key, uri = emitter.key, emitter.child()  # of the value that comes next, in an object
        text, pos, mark = source.text, source.pos, source.pos  # from mark on it may have to be read again
        base = source.base  # characters of the stream before text
        doubt = False  # whether the open string has ended at mark, but for the proof
        over = False  # whether there is more text than there may be
        sure: State = state  # the state at mark
        try:
            while True:
                if pos == len(text):
                    chunk = yield guide.push(out, base + len(text)) if guide and out else out
                    emitter.out = out = []
                    text = chunk if mark == pos else text[mark:] + chunk
                    base += mark
                    pos -= mark
                    mark = 0
                    if (base > near and base + len(text) > max_chars) or pos > LOOKAHEAD:
                        break
                    continue
                char = text[pos]

                if char in _SPACE:
                    if mark == pos:
                        mark += 1
                    pos += 1

                elif char == closer and (state is _COMMA or state is _FIRST):
                    if len(emitter.stack) < 2:
                        break
                    if doubt:
                        emitter.settle()
                        doubt = False
                    emitter.close_container()
                    container, closer, prefix = emitter.container, emitter.closer, emitter.prefix
                    pos += 1
                    mark, sure = pos, (state := _COMMA)

                elif state is _COMMA:
                    if char != ",":
                        break
                    pos += 1
                    state = _NEXT
                    if not doubt:
                        mark, sure = pos, state

                elif state is _COLON:
                    if char != ":" or key in container or (doubt and key == emitter.key):
                        break
                    if doubt:
                        emitter.settle()
                        doubt = False
                    emitter.key = key
                    uri = prefix + (key if key.isidentifier() else jsonuri.escape(key))
                    pos += 1
                    mark, sure = pos, (state := _VALUE)

                elif state is not _VALUE and closer == "}":
                    if char != '"':
                        break
                    end = text.find('"', pos + 1)
                    while end < 0:
                        chunk = yield guide.push(out, base + len(text)) if guide and out else out
                        emitter.out = out = []
                        text += chunk
                        if base + len(text) > max_chars:
                            break
                        if '"' in chunk:
                            end = text.index('"', len(text) - len(chunk))
                        elif len(text) - mark > LOOKAHEAD:
                            break
                    key = text[pos + 1 : end]
                    if end < 0 or "\\" in key or not key.isprintable() or len(key) > max_key:
                        break
                    pos = end + 1
                    state = _COLON

                elif char == '"':
                    if doubt:
                        emitter.settle()
                        doubt = False
                    if closer != "}":
                        uri = f"{prefix}{len(container)}"
                        if container and type(container[-1]) is dict:  # perhaps a key, whose brace is missing
                            limit = pos + LONGEST_FIRST_KEY
                            end = text.find('"', pos + 1, limit)
                            while end == len(text) - 1 or (end < 0 and len(text) < limit):
                                chunk = yield guide.push(out, base + len(text)) if guide and out else out
                                emitter.out = out = []
                                text += chunk
                                if over := base + len(text) > max_chars:
                                    break
                                end = text.find('"', pos + 1, limit)
                            if over or (end > 0 and text[end + 1] not in ",]"):
                                break
                    emitter.begin_string(uri)
                    pos += 1
                    while True:
                        if pos == len(text):
                            base += pos
                            text, pos, mark = "", 0, 0
                            if guide and out:
                                out = guide.push(out, base)
                            guided = guide is not None and guide.straight != uri
                            while True:
                                chunk = yield out
                                base += len(chunk)
                                if (
                                    '"' in chunk
                                    or "\\" in chunk
                                    or "”" in chunk
                                    or not chunk.isprintable()
                                    or not chunk
                                    or base > max_chars
                                ):
                                    base -= len(chunk)
                                    break
                                parts.append(chunk)
                                out = [make(Append, (uri, chunk))]
                                if guided:
                                    out = guide.push(out, base)  # type: ignore[union-attr]
                                    guided = guide.straight != uri  # type: ignore[union-attr]
                            emitter.out = out = []
                            text = chunk
                            if over := base + len(text) > max_chars:
                                break
                        end = text.find('"', pos)
                        run = text[pos:end] if end >= 0 else text[pos:]
                        signed = False  # whether a sign is left that may have closed the string
                        if "\\" in run or "”" in run or not run.isprintable():
                            end = pos
                            while content := _CONTENT(text, end):
                                end = content.end()
                            run = text[pos:end]
                            if (
                                ('\\"' in run or "”" in run)
                                and not strict
                                and text[end : end + 1] != "\\"
                                and text[end - 1 : end + 1] not in _OWN_ENDS
                            ):
                                run = run[: sign_at_end(run, quoted=text[end : end + 1] == '"')]
                                signed = pos + len(run) < end
                            pos += len(run)
                            if "\\" in run:
                                run = scanstring(run + '"', 0)[0]
                        else:
                            pos += len(run)
                        if run:
                            parts.append(run)
                            out.append(make(Append, (uri, run)))
                        if pos < len(text):
                            waits = text[pos] == "\\" and len(text) - pos < _LONGEST_ESCAPE
                            if not (may_be_end(text[pos:]) if signed else waits):
                                break
                            base += pos
                            text, pos, mark = text[pos:], 0, 0
                            chunk = yield guide.push(out, base + len(text)) if guide and out else out
                            emitter.out = out = []
                            text += chunk
                            if over := base + len(text) > max_chars:
                                break
                    mark, sure = pos, (state := _COMMA)
                    if over or text[pos] != '"':
                        break
                    pos += 1
                    if strict:
                        emitter.settle()
                        mark = pos
                    else:
                        doubt = True

                elif char in "-0123456789tfn":
                    if doubt and char not in "tfn":  # a word may be text
                        emitter.settle()
                        doubt = False
                        mark, sure = pos, state
                    end = _WORD(text, pos).end()
                    while end == len(text):
                        chunk = yield guide.push(out, base + len(text)) if guide and out else out
                        emitter.out = out = []
                        text += chunk
                        if chunk.isdigit():
                            end = len(text)
                        elif chunk[:1] not in ",}] ":
                            end = _WORD(text, end).end()
                        over = base + len(text) > max_chars
                        if over or end - mark > LOOKAHEAD:
                            end = len(text)
                            break
                    if end == len(text):
                        break
                    word = text[pos:end]
                    if word in _LITERALS:
                        value = _LITERALS[word]
                    elif len(word) > max_number:
                        break
                    elif word.isdigit() and word.isascii() and (char != "0" or word == "0"):
                        value = int(word)
                    elif number := _NUMBER(word):
                        value = to_number(number)
                        if value is None:
                            break
                    else:
                        break
                    after = end
                    while text[after] in _SPACE and after - mark < LOOKAHEAD:
                        after += 1
                        while after == len(text):
                            chunk = yield guide.push(out, base + len(text)) if guide and out else out
                            emitter.out = out = []
                            text += chunk
                            over = base + len(text) > max_chars
                    if text[after] != ",":
                        if text[after] != closer:
                            break
                    elif closer == "}" and char < ":" and after == end:  # and no literal
                        after += 1
                        while after == len(text):
                            chunk = yield guide.push(out, base + len(text)) if guide and out else out
                            emitter.out = out = []
                            text += chunk
                            over = base + len(text) > max_chars
                        if text[after] in "0123456789":  # 12,500
                            break
                    if over:
                        break
                    if doubt:
                        emitter.settle()
                        doubt = False
                    if closer == "}":
                        container[key] = value
                    else:
                        uri = f"{prefix}{len(container)}"
                        container.append(value)
                    out.append(make(Set, (uri, value, False)))
                    out.append(make(Closed, (uri, value, False)))
                    mark = pos = end
                    sure = state = _COMMA

                elif char == "{" or char == "[":
                    if doubt:
                        emitter.settle()
                        doubt = False
                    if closer != "}":
                        uri = f"{prefix}{len(container)}"
                    if char == "{":
                        emitter.open_container(uri, {}, "}", base + pos)
                    else:
                        emitter.open_container(uri, [], "]", base + pos)
                    container, closer, prefix = emitter.container, emitter.closer, emitter.prefix
                    pos += 1
                    mark, sure = pos, (state := _FIRST)

                else:
                    break
        except EndOfText:
            source.done = True
            emitter.out = []
        source.text, source.pos, source.base = text, mark, base
        source.keep_bound()
        repairer.state = sure
        yield from repairer.step()
    source.finish()


def is_plain(emitter: Emitter, source: Source, state: State) -> bool:
    """Whether valid JSON may be read here: not inside a string, nor where a key comes a second time."""
    if source.done or state is State.END or emitter.is_open:
        return False
    return state is not State.VALUE or emitter.key not in emitter.container
