"""What has been said so far, so that a server that says it again is not shown twice."""

from __future__ import annotations

import io

__all__ = ["Said"]

# The shortest text, of several pieces and of one, that no model repeats by itself: "ha" may follow "ha".
SHORTEST, SHORTEST_OF_ONE, SHORTEST_LAST = 4, 16, 2
# White space by which a last, whole message may be shorter than its pieces.
TRIMMED = 64


class Said:
    """One kind of text of an answer: pieces, or messages that hold all so far, or one after the other.

    A piece that begins with all before it is withheld. If the next one begins with it, too, each piece holds
    the whole, and only what is new in it is shown. If another follows, it was an ordinary piece. If nothing
    follows, it was the whole answer once more. What has been said is kept, but looked at only when a piece is
    as long as all of it: the work is linear.

    A piece that is shorter than ``room`` repeats nothing, and may go to :attr:`write` without a look.
    """

    def __init__(self) -> None:
        self.room = 0
        self._text = io.StringIO()
        self.write = self._text.write
        self._first = 0
        self._withheld = ""
        self._in_messages = False  # nothing has come but whole messages
        self._is_growing: bool | None = None  # each piece, or message, holds the ones before it

    def add(self, piece: str, *, last: bool = False) -> str:
        """Return what is to be shown of a piece.

        :param last: the server calls it the last; some trim the whole message that they repeat there.
        """
        if not piece:
            return ""
        if self._withheld:
            before, self._withheld = self._withheld, ""
            if not piece.startswith(before) or before.isspace():
                return self._show(before + piece)
            self._is_growing = True
        if self._is_growing:
            return self._show(self._new_of(piece))
        if self._begins_alike(piece, last):
            self._withheld, self.room = piece, 0
            return ""
        return self._show(piece)

    def add_whole(self, message: str, *, last: bool = False) -> str:
        """Return what is to be shown of a message, which may be all of the answer, all so far, or a piece."""
        size = self._text.tell()
        if not message:
            return ""
        if not size:
            self._in_messages = True
            return self._show(message)
        goes_on = len(message) >= size and message.startswith(self._text.getvalue())
        if self._in_messages and self._is_growing is None and len(message) != size:
            self._is_growing = goes_on
        if self._in_messages and not self._is_growing:
            return self.add(message, last=last)
        return self._show(message[size:]) if goes_on else ""

    def end(self) -> str:
        """Return what of a withheld piece is to be shown, now that nothing follows."""
        piece, self._withheld = self._withheld, ""
        size = self._text.tell()
        if len(piece) <= size:
            return ""
        return self._show(piece[size:] if size >= SHORTEST_OF_ONE else piece)

    def _begins_alike(self, piece: str, last: bool) -> bool:
        size = self._text.tell()
        if not size or len(piece) < size - last * TRIMMED:
            return False
        if len(piece) > size:
            return piece.startswith(self._text.getvalue())
        is_one = size == self._first and not self._in_messages
        shortest = SHORTEST_OF_ONE if is_one else SHORTEST_LAST if last else SHORTEST
        text = self._text.getvalue()
        return len(piece) >= shortest and piece in (text, text.strip())

    def _new_of(self, piece: str) -> str:
        """What is new in a piece that holds all before it, as those before it did."""
        size = self._text.tell()
        if len(piece) >= size and piece.startswith(self._text.getvalue()):
            return piece[size:]
        return "" if self._begins_alike(piece, True) else piece

    def _show(self, piece: str) -> str:
        self.write(piece)
        self.room = self._text.tell()
        self._first = self._first or self.room
        return piece
