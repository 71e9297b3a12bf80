"""Texts that have been shown as they came, and come again whole."""

from __future__ import annotations

from collections.abc import Hashable

from .decoder import SURROGATES

__all__ = ["WholeTexts"]

MOST_PLACES = 10_000


class WholeTexts:
    """Tells what of a whole text has not been shown yet.

    A server may say one place (an item, or a part of it) with each delta, and another one with the whole
    text: vLLM counts the deltas, SGLang is at the next item by then. So a whole text is known by its words.
    It begins with all deltas since the last one, or with what has been shown of its place; or it is the last
    one again, in an event of another type. All else is new.

    :param longest: characters that are kept. Past them no whole text is taken.
    """

    def __init__(self, longest: int) -> None:
        self._room = longest
        self._shown: dict[Hashable, list[str]] = {}
        self._since: list[str] = []  # deltas since the last whole text
        self._last = ""
        self._told: set[object] = set()  # by what types of event

    def add(self, place: Hashable, text: str) -> None:
        """Note what has been shown of a text."""
        self._room -= len(text)
        if not text or self._room < 0:
            return
        self._since.append(text)
        pieces = self._shown.get(place)
        if pieces is not None:
            pieces.append(text)
        elif len(self._shown) < MOST_PLACES:
            self._shown[place] = [text]

    def rest(self, place: Hashable, whole: str, told_by: object) -> str:
        """Return what is to be shown of a whole text, and note that it has been.

        :param told_by: the type of its event.
        """
        if self._room < 0 or not whole:
            return ""
        since, shown = "".join(self._since), "".join(self._shown.get(place, ()))
        again = not since and whole == self._last and told_by not in self._told
        rest = "" if again else self._unknown(whole, since, shown)
        if not again:
            self._last, self._told = whole, set()
        self._told.add(told_by)
        self._since.clear()
        self._room -= len(rest)
        if shown or (rest == whole and len(self._shown) < MOST_PLACES):
            self._shown[place] = [whole]
        return rest

    def _unknown(self, whole: str, since: str, shown: str) -> str:
        for begun in (since, shown):
            rest = _behind(begun, whole) if begun else None
            if rest is not None:
                return rest
        return "" if since and shown else whole  # another wording of it, or another text


def _behind(begun: str, whole: str) -> str | None:
    """What follows in ``whole``; ``None`` if it begins otherwise. Blanks around it may have been left out."""
    if whole.startswith(begun):
        return whole[len(begun) :]
    if SURROGATES.search(begun):  # halves that came one by one
        begun = begun.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    begun, whole = begun.lstrip(), whole.lstrip()
    if whole.startswith(begun):
        return whole[len(begun) :]
    return "" if begun.rstrip() == whole.rstrip() else None
