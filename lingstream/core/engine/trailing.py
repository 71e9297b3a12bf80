"""What comes behind the end of a document: a model that goes on there, or stays silent, is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from lingstream.core.ending import fault_before
from lingstream.core.parsing.output import BotOutput
from lingstream.core.parsing.vocabulary import TextOptions

from .calls import Enough

__all__ = ["Trailing"]

_DRAFT = 50  # times as many characters and seconds where prose before the document could be reasoning


class Trailing:
    """How much is still waited for, once a document seems to have ended.

    :param output: what the step writes.
    :param options: how many characters and seconds.
    :param timed: whether it is stopped by the clock, too: kinds other than bots may have more to do.
    """

    def __init__(self, output: BotOutput, options: TextOptions, *, timed: bool) -> None:
        self._output = output
        self._options = options
        self._timed = timed
        self._times = 1  # how much more of them is waited for than usual
        self._patience: asyncio.Timeout | None = None
        self.behind: int | None = None
        """How many characters came behind the document, once it has ended."""

    async def listen(self, speech: Awaitable[None]) -> None:
        """Let a step say what it has to say, until its document has ended and a model does not stop."""
        try:
            async with asyncio.Timeout(None) as self._patience:
                await speech
        except TimeoutError as error:
            if not self._patience or not self._patience.expired():
                raise  # the step's own
            fault = fault_before(error)
            if fault and not isinstance(fault, Enough):
                raise fault  # noqa: B904  # it has a cause of its own, or none
            self._output.parser.stop()

    def come(self, behind: int | None) -> None:
        """Take notice of a piece of the text; there is more patience where that may have been a draft.

        :param behind: the parser's count with it.
        :raises Enough: too much came behind the document.
        """
        parser, options = self._output.parser, self._options
        before, self.behind = self.behind, behind
        times = _DRAFT if parser.may_be_draft and options.reasoning else 1
        # A timer for each end that there seems to be, and none for each piece that comes behind it.
        if behind is None or before is None or behind < before or times != self._times:
            self._times = times
            self._wait(None if behind is None else options.trailing_seconds * times)
        if behind is not None and behind > options.trailing_characters * times:
            parser.stop()
            raise Enough

    def _wait(self, seconds: float | None) -> None:
        """Let a model go on for so long, ``None`` for ever."""
        if self._patience and self._timed:
            now = asyncio.get_running_loop().time()
            self._patience.reschedule(None if seconds is None else now + seconds)
