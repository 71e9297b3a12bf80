"""The words of a text, the same on every database: what is indexed, and what a question is asked by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import normalize

from .normalise import with_bounded_marks

__all__ = ["MOST_QUERY_WORDS", "defining", "query_words", "spaced_words", "words"]

MOST_QUERY_WORDS = 64
#: A longer one is no word (a key, a picture in base64), and PostgreSQL refuses one of 2 KB: it is cut off.
LONGEST_WORD = 64
#: Characters of an identifier that are looked at.
LONGEST_TOKEN = 200
#: Identifiers whose words are kept.
_MOST_KEPT = 16_384
#: Words of a name that is asked for, and of the question that does: each word of a phrase costs a search.
MOST_NAME_WORDS, MOST_DEFINING_WORDS = 4, 12
#: Characters of a question that are looked at.
LONGEST_QUERY = 4_000

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
# Vowel signs that Python does not count as letters: without them, words of India fall to pieces.
_SIGNS = "\u0900-\u0963\u0970-\u0dff"
_TOKEN = re.compile(rf"[\w{_SIGNS}]+")
# What stands between words, as a space: to cut at these takes half the time of any expression.
_SPACED = bytes(code if chr(code).isalnum() or code == ord("_") else ord(" ") for code in range(128))
_SPACED += bytes(128)  # which no ASCII has
_CJK = re.compile(f"[{_HAN}{_HANGUL}{_KANA}]")
_RUNS = re.compile(f"[{_HAN}{_HANGUL}{_KANA}]+|[^{_HAN}{_HANGUL}{_KANA}]+")
_ALONE = re.compile(f"[{_HAN}{_HANGUL}]")
_MARKS = re.compile("[\u0300-\u036f]")
# Quotation marks, dashes, bullets: what is plain but for them is cut in half the time.
_MARKS_OF_TEXT = re.compile("[\u2010-\u2027]")
_PHRASES = re.compile("[\ufdfa\ufdfb]")  # one character that becomes 18, and one that becomes 8
_JOINED = re.compile("_|[a-z][A-Z]|[A-Z]{2}[a-rt-z]|[A-Z]{2}s[a-z]")
_PARTS = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[^\W_A-Za-z]+")

_IES = re.compile("[a-z]{2,}ies")
_ES = re.compile("[a-z]{2,}(?:ch|sh|ss|x|z)es")
_S = re.compile("[a-z0-9]*[a-hj-rtv-z]s|[a-z]{2}is")  # "apis", not "redis"


def _singular(word: str) -> str:
    """Return an English plural without its ending: stemming that is the same on every database."""
    if len(word) < 4 or not word.endswith("s") or not word.isascii():
        return word
    if _IES.fullmatch(word):
        return f"{word[:-3]}y"
    if _ES.fullmatch(word):
        return word[:-2]
    return word[:-1] if _S.fullmatch(word) else word


_STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being below between
both but by can could d did do does doing don down during each few for from further had has have having
he her here hers him his how i if in into is it its just ll m me more most my no nor not of off on once
only or other our out over own re s same she should so some such t than that the their them then there
these they this those through to too under until up ve very was we were what when where which while who
whom why will with would you your
的 了 是 在 和 与 或 吗 呢 吧 啊 也 都 就 我 你 您 他 她 它 我们 你们 他们 这 那 这个 那个 哪 哪些 哪个 什么
怎么 怎样 如何 为什么 为何 可以 能 会 有 没有 么 请 请问 一个 多少 几
です ます する した して から まで ください
"""
_STOP = frozenset(map(_singular, _STOP_WORDS.split()))


def words(text: str) -> list[str]:
    """Return the words of ``text`` in its order, as they are indexed: folded letters and digits.

    Case, width, accents and English plurals are folded (``Cafés`` and ``ＣＡＦＥ`` are ``cafe``). Runs of
    Chinese, Japanese and Korean, where nothing stands between words, give their pairs of characters, and
    Chinese and Korean the single ones too. An identifier gives its parts and itself: ``PROVIDER_KEYS`` and
    ``ProviderKeys`` are both ``provider key providerkey``. Thai and Khmer, which have no spaces either, are
    not cut.
    """
    return spaced_words(text).split()


def spaced_words(text: str) -> str:
    """Return :func:`words` with spaces between them, as databases are given them."""
    if not text.isascii():
        text = _MARKS_OF_TEXT.sub(" ", text)
    if text.isascii():
        return " ".join(map(_forms.__getitem__, text.encode().translate(_SPACED).decode().split()))
    return " ".join(_words(text))


def query_words(text: str) -> list[str]:
    """Return what a question is asked by: its words, each once, without those that every text has.

    If nothing else is left, these are asked for all the same. Of more than :data:`MOST_QUERY_WORDS` the
    longest are taken, as they say most; of the text, the first :data:`LONGEST_QUERY` characters.
    """
    found = list(dict.fromkeys(words(text[:LONGEST_QUERY])))
    telling = [word for word in found if word not in _STOP] or found
    kept = set(sorted(telling, key=len, reverse=True)[:MOST_QUERY_WORDS])
    return [word for word in telling if word in kept]


def defining(text: str) -> list[str]:
    """Return how a text says what a question asks for, as words in their order.

    Of "What is a workflow?" that is ``a workflow is a`` or ``an``, or the question itself, as a heading. Who
    asks for one thing alone wants to know what it is, and nearly each passage about it has its name. A
    question that says more, or nothing at all, has none; nor has one in Chinese, where no word can be told
    from others.
    """
    asked = query_words(text)
    if not (0 < len(asked) <= MOST_NAME_WORDS and _STOP.isdisjoint(asked) and all(map(str.isascii, asked))):
        return []
    said = words(text[:LONGEST_QUERY])
    start = said.index(asked[0])
    if len(said) > MOST_DEFINING_WORDS or said[start : start + len(asked)] != asked:
        return []
    article = said[start - 1 : start] if said[start - 1 : start] in (["a"], ["an"]) else []
    name = " ".join([*article, *asked])
    is_question = len(said) > len(asked) + 1  # and not the name by itself, which is in all of these passages
    return [f"{name} is a", f"{name} is an", *([" ".join(said)] if is_question else [])]


def _words(text: str) -> Iterator[str]:
    bare = _MARKS.sub("", normalize("NFKD", with_bounded_marks(_PHRASES.sub(" ", text))))
    text = normalize("NFC", with_bounded_marks(bare))
    for token in _TOKEN.findall(text):
        if token.isascii():
            yield _forms[token]
            continue
        for run in _RUNS.findall(token):
            yield " ".join(_pairs(run)) if _CJK.match(run) else _forms[run]


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
        return
    for place, char in enumerate(run):
        if _ALONE.match(char):
            yield char
        if pair := run[place + 1 : place + 2]:
            yield char + pair


class _Forms(dict[str, str]):
    """The words of tokens, kept: a text has each many times over, and to ask for it is half the time."""

    def __missing__(self, token: str) -> str:
        if len(token) > LONGEST_TOKEN:
            return self[token[:LONGEST_TOKEN]]
        if len(self) >= _MOST_KEPT:
            self.clear()  # and begin anew: what a text has comes again at once
        forms = self[token] = _forms_of(token)
        return forms


_forms = _Forms()


def _forms_of(token: str) -> str:
    if not _JOINED.search(token):
        return _folded(token)
    parts = _PARTS.findall(token)
    whole = [_folded("".join(parts))] if len(parts) > 1 else []
    return " ".join([*map(_folded, parts), *whole])


def _folded(word: str) -> str:
    return _singular(word.casefold()[:LONGEST_WORD])
