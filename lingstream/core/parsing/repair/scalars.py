"""Values without quotes: numbers JSON does not know, literals of other languages, and plain text."""

from __future__ import annotations

import math
import re
from typing import Any

from lingstream.core.parsing.emitter import Emitter
from lingstream.core.parsing.preamble import Preamble
from lingstream.core.parsing.tokenizer import (
    COMMAS,
    LOOKAHEAD,
    NUMBER,
    QUOTES,
    SPACE,
    Reading,
    Source,
    join_surrogates,
    to_number,
    unescape,
)
from lingstream.core.phrases import Phrase

from .delimiters import Delimiters, Verdict
from .remarks import MARKS

__all__ = ["ScalarRepair", "classify", "is_like_number"]

_LITERALS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nil": None,
    "undefined": None,
    "nan": None,
    "infinity": None,
    "-infinity": None,
    "inf": None,
    "-inf": None,
    "+infinity": None,
    "-nan": None,
}
_VALID = {"true": True, "false": False, "null": None}
_LOOSE_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<based>0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+))"
    r"|(?P<whole>(?:[0-9]+(?:_[0-9]+)*)?)"
    r"(?:(?P<dot>\.)(?P<part>(?:[0-9]+(?:_[0-9]+)*)?))?(?P<exp>[eE][+-]?[0-9]+)?)[lLnfFdD]?"
)
_GROUPS = re.compile(r"[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}")  # also in lakh: 1,00,000
_GROUPED = re.compile(r"[+-]?[0-9]+(?:,[0-9]{2,3})*,[0-9]{3}")
_DECIMAL_COMMA = re.compile(r"([+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)),([0-9]+)")
_HALF_GROUP = re.compile(r"(?<=,[0-9]{3}),[0-9]{0,2}\Z")
_DIGITS = re.compile(r"[+-]?[0-9][0-9,，.]*")
_MORE_DIGITS = re.compile(r"[0-9,，.]*")
_CUT_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]*)?[eE][+-]?")
_WORD = re.compile(r"[-+.,\w]+")
_LONGEST_NUMBER = 4_300
_CALL = re.compile(r"(?:new\s+)?[A-Za-z_$][\w$.]*\Z")


class ScalarRepair:
    """Reads one unquoted value at a time; the position is at its first character."""

    def __init__(self, emitter: Emitter, source: Source, ahead: Delimiters, preamble: Preamble) -> None:
        self.emitter = emitter
        self.source = source
        self.ahead = ahead
        self.preamble = preamble

    def value(self) -> Reading[bool]:
        """Read the value and emit it; false if it was the name of a wrapper like ``ObjectId(``."""
        source, emitter = self.source, self.emitter
        end = yield from self._end()
        text = source.part(0, end).rstrip(SPACE)
        if (yield from source.peek(end)) == "(":
            emitter.note("call", "a value", text, source.offset)
            self.ahead.calls += 1
            source.pos += end + 1
            return False
        quoted = bool(closing := (yield from source.peek(end))) and closing in QUOTES and self._closed
        cut = not closing and source.done
        self._check_number(text)
        if emitter.cut and not quoted and (cut or self._may_go_on(text, end)):
            self._note("cut", text)
            source.pos += end
            return True
        value, kind = (unescape(text)[0], "quotes") if quoted else classify(text, cut=cut)
        if kind:
            self._note(kind, text)
        source.pos += end + (1 if quoted else 0)
        if isinstance(value, str):
            self._text(value)
        else:
            emitter.scalar(value)
        return True

    def _may_go_on(self, text: str, end: int) -> bool:
        """Whether ``text`` has no quotes and the stream was cut off in the white space behind it."""
        source = self.source
        return isinstance(classify(text)[0], str) and not source.text[source.pos + end :].strip(SPACE)

    def _text(self, value: str) -> None:
        value, lone = join_surrogates(value)
        if lone:
            self._note("surrogate", value)
        self.emitter.begin_string(self.emitter.child())
        if value:
            self.emitter.append(value)
        self.emitter.settle()

    def _note(self, kind: str, text: str) -> None:
        self.emitter.note(kind, "a JSON value", text, self.source.offset)

    def _check_number(self, text: str) -> None:
        """Refuse a number that is too long, as it is written or in decimal.

        :raises ParseLimitError: it is.
        """
        most = self.emitter.limits.number
        if 2 * len(text) < most:
            return
        is_long = len(text) > most and is_like_number(text)
        if len(text) <= most and (loose := _loose_number(text)) and loose["based"]:
            is_long = int(loose["based"], 0) >= 10**most
        if is_long:
            raise self.emitter.limit(
                Phrase("characters in a number"), most, self.emitter.child(), self.source.offset
            )

    def _end(self) -> Reading[int]:
        """Return the position after the value; brackets that it opens itself belong to it."""
        source = self.source
        at, depth = 0, 0
        self._closed = False
        self._digits = 0  # how many characters from the start on are a number with commas, as far as is known
        self._joined: set[int] = set()  # commas that are known to end nothing
        while at < LOOKAHEAD:
            char = yield from source.peek(at)
            if not char or char == "\n":
                return at
            if char == "(" and depth == 0 and _CALL.match(source.part(0, at)):
                following = yield from source.peek((yield from self.ahead.skip(at + 1)))
                if following and (following in QUOTES or following in "{[-0123456789)"):
                    return at
            if char in "[{" and at and depth == 0 and self._is_scalar(at):
                return at
            if char in "([{":
                depth += 1
            elif char in ")]}":
                if depth == 0 and (self.ahead.closes(char) or self._is_scalar(at)):
                    return at
                depth = max(depth - 1, 0)
            elif depth == 0 and (yield from self._ends_at(at, char)):
                return at
            at += 1
        return at

    def _ends_at(self, at: int, char: str) -> Reading[bool]:
        if char in COMMAS:
            if char in ",，" and (yield from self._groups_digits(at)):
                return False
            if self._is_scalar(at) or not isinstance(self.emitter.container, dict):
                return True
            return (yield from self._ends_at_comma(at))
        if char == "`" and (yield from self.source.starts("```", at)):
            return True
        if char in self.preamble.vocabulary.first and (yield from self.preamble.draft_ends(at)):
            return True
        if char in MARKS and self._is_scalar(at) and (yield from self.ahead.mark(at)):
            return True
        if char in QUOTES:
            return not (yield from self.ahead.apostrophe(at)) and (yield from self._ends_at_quote(at, char))
        if char in SPACE and at:
            return (yield from self._ends_at_space(at))
        if char in ".…":
            before = self.source.part(max(at - 2, 0), at)
            if before == ".." or before.endswith("…"):
                return False  # of a run of dots only the beginning can end a scalar, and each asks to its end
            is_ellipsis = (yield from self.ahead.ellipsis(at)) > at
            return is_ellipsis and self._is_scalar(at) and not self._is_scalar(at + 1)
        if char in "/\\" and self._is_scalar(at):
            if char == "/":
                return (yield from self.ahead.comment(at)) > at
            return (yield from self.ahead.written_space(at))
        return False

    def _ends_at_comma(self, at: int) -> Reading[bool]:
        """Whether the words before the comma end there; of a run of commas the first one's answer holds."""
        if at in self._joined:
            return False
        ends = yield from self.ahead.after_comma(at, inside=False, bare=True)
        if not ends:
            _, commas = yield from self.ahead.behind_commas(at)
            self._joined.update(commas)
        return ends

    def _groups_digits(self, at: int) -> Reading[bool]:
        """Whether the comma at ``at`` stands inside a number: in an object a digit can mean nothing else."""
        if (
            not isinstance(self.emitter.container, dict)
            or not (yield from self.source.peek(at + 1)).isdecimal()
        ):
            return False
        start, pattern = self.source.pos, _MORE_DIGITS if self._digits else _DIGITS
        number = pattern.match(self.source.text, start + self._digits, start + min(at, _LONGEST_NUMBER))
        if number is None or number.end() != start + at:
            return False
        self._digits = at
        return True

    def _ends_at_quote(self, at: int, char: str) -> Reading[bool]:
        """A quote in the value: it lacked the opening one, or what follows lacks a comma."""
        if (yield from self.ahead.verdict(at + 1, char, inside=False)) is Verdict.END:
            self._closed = True
            return True
        in_object = isinstance(self.emitter.container, dict)
        if in_object and (yield from self.ahead.key_follows(at, inside=False, comma=False)):
            return True
        return self._is_scalar(at)

    def _ends_at_space(self, at: int) -> Reading[bool]:
        """White space in the value: the next item, key or comment may follow without a comma."""
        if self.source.part(at - 1, at) in SPACE:
            return False  # what follows the first of several has been looked at
        is_tag = self.source.part(0, 1) == "#" and (yield from self.source.peek(at + 1)) == "#"
        if is_tag and (yield from self.source.peek(at + 2)).isalnum():
            return False  # #one #two
        after = yield from self.ahead.skip(at)
        char = yield from self.source.peek(after)
        if not char or "\n" in self.source.part(at, after):
            return True
        if self.source.part(at, after).strip(SPACE):
            return True  # a comment
        if self._is_scalar(at) and (yield from self.ahead.ellipsis(after)) > after:
            return True
        if char in MARKS and self._is_scalar(at) and (yield from self.ahead.mark(after)):
            return True
        if isinstance(self.emitter.container, dict):
            found = yield from self.ahead.key_follows(after, inside=False, comma=False)
            return (found or char == "{") and self._is_whole(at, char)
        return self._is_scalar(at) and (yield from self.ahead.value_starts(after))

    def _is_whole(self, at: int, char: str) -> bool:
        return char in QUOTES or self._is_scalar(at)

    def _is_scalar(self, at: int) -> bool:
        source = self.source
        if at > _LONGEST_NUMBER:
            if (digits := source.part(0, _LONGEST_NUMBER + 1)).isdigit():
                self._check_number(digits)
            return False
        word = _WORD.match(source.text, source.pos, source.pos + at)
        if word is None or word.end() < source.pos + at:
            return False  # and not every prefix of a long text is looked at as a whole
        return not isinstance(classify(word[0])[0], str)


def classify(text: str, *, cut: bool = False) -> tuple[Any, str]:
    """Return the value that ``text`` stands for, and the kind of repair that it needed (or ``""``).

    :param cut: the text ended right behind it, so it may be half a number or half a literal.
    """
    if valid := NUMBER.fullmatch(text):
        value = to_number(valid)
        return value, "overflow" if value is None else ""
    if text in _VALID:
        return _VALID[text], ""
    lower = text.lower()
    if lower in _LITERALS:
        return _LITERALS[lower], "literal"
    if cut and lower:
        for literal, value in _LITERALS.items():
            if literal.startswith(lower):
                return value, "cut"
        if _CUT_NUMBER.fullmatch(text):
            text = text.rstrip("eE+-")
        text = _HALF_GROUP.sub("", text)
    if loose := _loose_number(text):
        value = _loose(loose)
        if value is not None:
            return value, "cut" if cut else "number"
    return text, "unquoted"


def is_like_number(text: str) -> bool:
    """Whether a text is a number, or is made of what numbers are made of."""
    return not text.strip("+-0123456789.eE_,") or _loose_number(text) is not None


def _loose_number(text: str) -> re.Match[str] | None:
    """Return the parts of a number that JSON does not know, ``None`` if ``text`` is none."""
    loose = _LOOSE_NUMBER.fullmatch(_without_commas(text.replace("，", ",")))
    return loose if loose and any(loose[name] for name in ("based", "whole", "part")) else None


def _without_commas(text: str) -> str:
    """Return a number without commas between its digits; one that groups none is a decimal point."""
    decimal = _DECIMAL_COMMA.fullmatch(text)
    if decimal and not _GROUPS.fullmatch(text.lstrip("+-")):
        return f"{decimal[1].replace('.', '')}.{decimal[2]}"
    grouped = _GROUPED.match(text)
    return grouped[0].replace(",", "") + text[grouped.end() :] if grouped else text


def _loose(number: re.Match[str]) -> int | float | None:
    sign = -1 if number["sign"] == "-" else 1
    if number["based"]:
        return sign * int(number["based"], 0)
    whole = (number["whole"] or "0").replace("_", "")
    if number["exp"] or number["part"]:
        value = float(f"{whole}.{(number['part'] or '0').replace('_', '')}{number['exp'] or ''}")
        return sign * value if math.isfinite(value) else None
    return sign * int(whole)
