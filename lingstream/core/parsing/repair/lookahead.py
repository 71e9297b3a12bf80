"""What follows: a comment, a key, an item, a value? Questions that decide a doubt, and use no text up.

Every answer depends on the text alone and never on how it was cut into chunks: where more characters are
needed, the coroutine waits for them. Positions count from the source's current one.
"""

from __future__ import annotations

import html
import re

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.tokenizer import (
    CLOSERS,
    COLONS,
    COMMAS,
    LOOKAHEAD,
    QUOTES,
    SPACE,
    Reading,
    Source,
    closing_quotes,
)

__all__ = ["Lookahead"]

_WORD = re.compile(r"[\w$.@/-]")
_LITERALS = ("true", "false", "null", "none", "nan", "undefined", "infinity")
_KEY_LOST_QUOTE = re.compile(  # what stands between such a key's only quote and the next quote
    r"\s*[\w$ -]{1,64}[”“″]?[:：](?:\s.*,\s*|[\s\[{]*"
    r"|\s*(?:[-+.\d]+|true|false|null|none)[\s,}\]]*(?:[\[{][\s\[{]*)?)",
    re.DOTALL | re.IGNORECASE,
)
_SIGN_KEY = re.compile(r"[\"']([^\"„“”‘:]{1,64})[”“″’]\s*:")
_HASH_KEY = re.compile(r"(?:#|//)[\w$-]+\s*:")
_HASH_VALUE = re.compile(r"(?:#|//)\w")
_HASH_ITEM = re.compile(r"(?:#[\w-]+|//[^\s,\"'\]]+)[ \t]*[,\]]")
# A value that looks like a comment.
_HASH_WORD = r"(?:#[\w-]+|//[^\s,\"'\]}]+)"
_QUOTED = r"\"[^\"]*\"|'[^']*'"
#: Another key on its line, in quotes or also without.
_HASH_GOES_ON_QUOTED = re.compile(rf"{_HASH_WORD}[ \t]*[,;][ \t]*(?:{_QUOTED})[ \t]*:")
_HASH_GOES_ON = re.compile(rf"{_HASH_WORD}[ \t]*[,;][ \t]*(?:{_QUOTED}|[\w$-]+)[ \t]*:")
_HASH_CLOSED = re.compile(rf"{_HASH_WORD}\s*[\]}}]+\s*,?\s*\Z")
_HASH_LAST = re.compile(r"#[\w-]+\s*|//[^\s/,\"'\]]+[./][^\s,\"'\]]+\s*")
_PREFIXES = tuple("uUbBrRfF")
_LONGEST_BARE_KEY = 64
_LONGEST_COMMENT = 500
_LONGEST_ENTITY = 8
_LONGEST_RUN = 16  # of quotes
_KEPT = 1_000  # comments, before those that have been passed are forgotten
_ESCAPED = (*QUOTES, "\u00a0", "{", "[")  # what a document that was escaped as HTML can begin with


class Lookahead:
    """Looks at the text after the current position and uses none of it up."""

    def __init__(self, emitter: Emitter, source: Source) -> None:
        self.emitter = emitter
        self.source = source
        self.bare_keys = False  # whether there was a key without quotes
        self.calls = 0  # open wrappers like ObjectId("…"), whose bracket means nothing
        self.written = False  # whether white space was written as in a string, and belongs between tokens
        self.forget()

    def forget(self) -> None:
        """The text that follows has changed."""
        #: Offsets of comments, and of what follows the last one of each run. Each sign in a run may ask.
        self._commented: dict[int, int] = {}
        self._most_commented = _KEPT
        #: By quote: offsets of the one that was looked at last, and of what ends it.
        self._quoted: dict[str, tuple[int, int]] = {}
        #: By dot: offsets of the run of them that was looked at last, from where on and to its end.
        self._dotted: dict[str, tuple[int, int]] = {}

    # -- white space and comments -----------------------------------------------

    def skip(self, at: int, *, written: bool = False) -> Reading[int]:
        """Return the position of the first character from ``at`` that is no white space or comment.

        :param written: that it is :meth:`written_space` says nothing either.
        """
        peek, offset = self.source.peek, self.source.offset
        passed: list[int] = []
        while True:
            char = yield from peek(at)
            if char and char in SPACE:
                at += 1
                continue
            if not char or char not in "/#\\":
                break
            if char == "\\":
                if not (written or self.written) or not (yield from self.written_space(at)):
                    break
                at += 2
                continue
            known = self._commented.get(offset + at)
            end = (yield from self.comment(at)) if known is None else known - offset
            if end == at:
                break
            passed.append(offset + at)
            at = end
        if passed:
            self._commented.update(dict.fromkeys(passed, offset + at))
            if len(self._commented) > self._most_commented:
                self._commented = {begun: end for begun, end in self._commented.items() if begun >= offset}
                self._most_commented = 2 * len(self._commented) + _KEPT
        return at

    def written_space(self, at: int) -> Reading[bool]:
        """Whether the backslash at ``at`` and a letter are white space, as a string has it."""
        return (yield from self.source.peek(at + 1)) in tuple("nrt")

    def comment(self, at: int) -> Reading[int]:
        """Return the position after the comment at ``at``, or ``at`` if there is none."""
        opening = yield from self.source.peek(at)
        if opening == "/":
            opening += yield from self.source.peek(at + 1)
            if opening == "/":
                return at + (not (yield from self.source.peek(at + 1)))  # cut
        if opening not in ("#", "//", "/*"):
            return at
        closing = "*/" if opening == "/*" else "\n"
        start = at + len(opening)
        longest = at + _LONGEST_COMMENT
        while (found := self.source.find(closing, start, longest)) < 0:
            if self.source.left >= longest:
                return at
            if not (yield from self.source.more()) and self.source.done:
                return self.source.left
        return found + (2 if closing == "*/" else 0)

    def comment_is_key(self, end: int) -> Reading[bool]:
        """Whether the comment up to ``end`` is a key: ``#id: 7``, and no line that was commented out."""
        line = self.source.part(0, end)
        is_line = (yield from self.source.peek(end)) == "\n"
        return bool(_HASH_KEY.match(line)) and (not is_line or (yield from self._closes(line, end)))

    def _closes(self, line: str, end: int) -> Reading[bool]:
        """Whether it is no comment, as it closes what is open, by itself or in front of the end."""
        if line.count("}") + line.count("]") <= line.count("{") + line.count("["):
            return False
        if _HASH_CLOSED.match(line):
            return True
        at = yield from self.skip(end)
        following = yield from self.source.peek(at)
        is_over = not following or following in CLOSERS or following in COMMAS
        return is_over or (yield from self.source.starts("```", at))

    def comment_is_value(self, end: int) -> Reading[bool]:
        """Whether the comment up to ``end`` is a value: ``#fff`` or ``//host/path``, by what follows it."""
        line = self.source.part(0, end)
        if not _HASH_VALUE.match(line):
            return False
        if (yield from self.source.peek(end)) != "\n" or (yield from self._closes(line, end)):
            return True
        goes_on = _HASH_GOES_ON if self.bare_keys else _HASH_GOES_ON_QUOTED
        if goes_on.match(line):
            return True
        at = yield from self.skip(end)
        container = self.emitter.container
        if not isinstance(container, dict):
            is_last = bool(container) and isinstance(container[-1], str) and bool(_HASH_LAST.fullmatch(line))
            return bool(_HASH_ITEM.match(line)) or (is_last and (yield from self.source.peek(at)) == "]")
        if not (yield from self.value_starts(at)) or (yield from self.source.starts("```", at)):
            return True
        if (yield from self.source.peek(at)) not in tuple(QUOTES):
            return False
        return (yield from self.source.peek((yield from self.behind(at)))) in tuple(COLONS)

    # -- brackets, ellipses and escapes ---------------------------------------------------

    def closers(self, at: int, most: int = LOOKAHEAD) -> Reading[tuple[str, int, int]]:
        """Return the run of closing brackets at ``at``, where it ends, and what follows it begins."""
        run: list[str] = []
        end = at
        while len(run) < most and (char := (yield from self.source.peek(at))) and char in CLOSERS:
            run.append(char)
            end = at + 1
            at = yield from self.skip(end)
        return "".join(run), end, at

    def behind(self, at: int) -> Reading[int]:
        """Return the position of what follows the quoted text at ``at``."""
        return (yield from self.skip((yield from self.quoted(at))))

    def ellipsis(self, at: int) -> Reading[int]:
        """Return the position after an ellipsis at ``at``, or ``at`` if there is none."""
        char = yield from self.source.peek(at)
        if char not in ("…", "."):
            return at
        offset = self.source.offset
        begun, ended = self._dotted.get(char, (0, 0))
        if not begun <= offset + at < ended:
            begun = ended = offset + at
        end = ended - offset
        while (after := (yield from self.source.peek(end))) == char:
            end += 1
        self._dotted[char] = begun, offset + end
        return end if char == "…" or end - at > 2 or not after else at  # Chinese has two of "…"

    def escape_kind(self, at: int) -> Reading[str]:
        """Return ``\\`` or ``&`` if an escape of what JSON is made of stands at ``at``."""
        char = yield from self.source.peek(at)
        if char == "\\":
            return char if (yield from self.source.peek(at + 1)) in ('"', "'") else ""
        name = ""
        while char and char != ";" and len(name) < _LONGEST_ENTITY:
            name += char
            char = yield from self.source.peek(at + len(name))
        return "&" if html.unescape(name + char) in _ESCAPED else ""

    # -- keys and values ----------------------------------------------------------

    def key_follows(self, at: int, *, inside: bool, comma: bool, bare: bool = False) -> Reading[bool]:
        """Whether a key with its colon stands at ``at``, or something else that ends the value before."""
        char = yield from self.source.peek(at)
        if char and char in QUOTES:
            return (yield from self._quoted_key_follows(at, inside=inside, comma=comma))
        if char and char in "{[":
            return comma and isinstance(self.emitter.parent, list)
        return not inside and (yield from self._bare_key_follows(at, comma=comma, bare=bare))

    def quoted_key(self, at: int) -> Reading[str | None]:
        """Return the quoted key with its colon at ``at``, also one that a typographic quote closes."""
        if (yield from self.source.peek(at)) not in tuple(QUOTES):
            return None
        end = yield from self.quoted(at)
        text = self.source.part(at, end)
        if (yield from self.source.peek((yield from self.skip(end)))) in tuple(COLONS):
            return text[1:-1]
        found = _SIGN_KEY.match(text)
        return found[1] if found else None

    def _quoted_key_follows(self, at: int, *, inside: bool, comma: bool) -> Reading[bool]:
        end = yield from self.quoted(at)
        after = yield from self.skip(end)
        char = yield from self.source.peek(after)
        if not char:
            return (yield from self._half_key_follows(at, comma=comma))
        if char in COLONS or (comma and _SIGN_KEY.match(self.source.part(at, end))):
            return True
        if inside or not comma:
            return False
        if char in ",}":
            return True  # a key without a value
        if _KEY_LOST_QUOTE.fullmatch(self.source.part(at + 1, end - 1)):
            return True
        stands_apart = after > end or char in "{["  # a value without a colon before it must, at least
        if not stands_apart:
            return False
        return (yield from self.value_starts(after)) or (yield from self.words_follow(after))

    def _half_key_follows(self, at: int, *, comma: bool) -> Reading[bool]:
        """Whether the quote at ``at``, behind which the text ends, could open a key."""
        if not comma and (yield from self.source.peek(at)) in ("'", "’"):
            return False
        if comma and self.emitter.cut:
            return True  # a text that was cut off is no less likely to be valid there
        first = yield from self.source.peek(at + 1)
        return not first or first not in CLOSERS + ",;"

    def _bare_key_follows(self, at: int, *, comma: bool, bare: bool) -> Reading[bool]:
        start = at
        while True:
            char = yield from self.source.peek(at)
            if not char:
                return comma
            if not (_WORD.match(char) or (char == " " and at > start)) or at - start > _LONGEST_BARE_KEY:
                break
            at += 1
        if at == start:
            return False
        if char in QUOTES:
            at = yield from self.skip(at + 1)
            return (yield from self.source.peek(at)) == ":"
        if char not in COLONS:
            return comma and char == "}"  # a key without a value
        at = yield from self.skip(at + 1)
        if bare or self.bare_keys or not (yield from self.source.peek(at)):
            return True
        if (yield from self.value_starts(at)):
            return True
        return comma and (yield from self._bare_value_follows(at))

    def _bare_value_follows(self, at: int) -> Reading[bool]:
        """Whether words without any quote stand between ``at`` and the end of a value."""
        for index in range(at, at + _LONGEST_BARE_KEY):
            char = yield from self.source.peek(index)
            if not char or char in ",}]\n":
                return True
            if char in QUOTES:
                return False
        return False

    def words_follow(self, at: int) -> Reading[bool]:
        """Whether words stand at ``at`` that are the value of a key, whose colon is missing as well.

        Up to the end of the object, or a comma and another key.
        """
        for index in range(at, at + _LONGEST_BARE_KEY):
            char = yield from self.source.peek(index)
            if not char or char in QUOTES or char in ":[]{":
                return False
            if char in ",}\n":
                at = yield from self.skip(index + (char == ","))
                is_over = char != "," and (yield from self.source.peek(at)) == "}"
                return is_over or (yield from self.quoted_key(at)) is not None
        return False

    def quoted(self, at: int) -> Reading[int]:
        """Return the position after the quoted text at ``at``, doubled quotes included."""
        quote = yield from self.source.peek(at)
        closers = closing_quotes(quote)
        start, at = at, at + 1
        while (char := (yield from self.source.peek(at))) and char in closers and at - start < 3:
            at += 1
        if at - start > 1 and not (yield from self.source.peek(at)).strip(SPACE + COLONS + COMMAS + CLOSERS):
            return at  # nothing between the quotes
        offset = self.source.offset
        begun, ended = self._quoted.get(quote, (0, 0))
        if begun <= offset + start < ended:  # the same, or passed by it: escaped, or a „ that it holds
            at = max(at, ended - offset)
        while (char := (yield from self.source.peek(at))) and char not in closers:
            at += 2 if char == "\\" else 1
        self._quoted[quote] = offset + start, offset + at
        last = at + _LONGEST_RUN
        while (char := (yield from self.source.peek(at))) and char in closers and at < last:
            at += 1
        return min(at, LOOKAHEAD + 1)

    def value_starts(self, at: int) -> Reading[bool]:
        """Whether a well-formed value could begin at ``at``."""
        char = yield from self.source.peek(at)
        if not char:
            return False
        if char in QUOTES or char in "{[-0123456789":
            return True
        if char == "." or char == "+":
            return (yield from self.source.peek(at + 1)).isdigit()
        word = ""
        while len(word) < 10 and (char := (yield from self.source.peek(at + len(word)))).isalpha():
            word += char
        return word.lower() in _LITERALS

    def item_follows(self, at: int) -> Reading[bool]:
        """Whether a whole quoted item stands at ``at``."""
        at = yield from self.behind(at)
        char = yield from self.source.peek(at)
        if not char or char == "]":
            return True
        return char == "," and (yield from self.value_starts((yield from self.skip(at + 1))))

    def closes(self, char: str) -> bool:
        """Whether the bracket ``char`` could close a container that is open."""
        return (char == ")" and self.calls > 0) or char in self.emitter.levels

    def string_prefix(self, at: int) -> Reading[bool]:
        """Whether the letter of Python's ``u'…'`` or ``b"…"`` stands at ``at``."""
        char = yield from self.source.peek(at)
        if char not in _PREFIXES or (yield from self.source.peek(at + 1)) not in ("'", '"'):
            return False
        after = yield from self.source.peek((yield from self.behind(at + 1)))
        return bool(after) and after in COLONS + COMMAS + CLOSERS

    def apostrophe(self, at: int) -> Reading[bool]:
        """Whether the quote at ``at`` is one between two letters: ``it's``."""
        if (yield from self.source.peek(at)) not in ("'", "’") or not self.source.part(at - 1, at).isalnum():
            return False
        return (yield from self.source.peek(at + 1)).isalnum()
