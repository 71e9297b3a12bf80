"""The state of a run: what folding the frames of its log gives."""

from __future__ import annotations

from typing import Any

from lingstream.core.document.ops import Document, copy_json
from lingstream.core.lifecycle import follows

from .frames import TEXT_EVENTS, Kind, value_weight

__all__ = ["RunState", "empty_snapshot"]


def empty_snapshot() -> dict[str, Any]:
    """Return the snapshot of a run that has written nothing."""
    return {"document": None, "reasoning": {}, "status": "running", "bots": {}}


class RunState:
    """The fold of a run's frames: what a viewer needs to join late.

    A bot's status goes along the lines of :mod:`lingstream.core.lifecycle`. What a frame says beyond them is
    ignored: an older version, or a writer that nobody fenced off in time, must not make a log unreadable.

    :param snapshot: the body of the snapshot frame to start from.
    """

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.document = Document(snapshot["document"])
        self.status: str = snapshot["status"]
        self.bots: dict[str, dict[str, Any]] = {name: dict(bot) for name, bot in snapshot["bots"].items()}
        self.error: dict[str, Any] | None = snapshot.get("error")
        self._texts: dict[tuple[str, str], list[str]] = {
            (event, bot): [text] for event in TEXT_EVENTS for bot, text in snapshot.get(event, {}).items()
        }

    def apply(self, kind: Kind, body: Any) -> None:
        """Fold in one frame that is no snapshot.

        :raises JsonUriError: an op that does not fit the document.
        """
        if kind == "ops":
            self.document.apply(body)
        elif kind == "event":
            self._apply_event(body)
        elif kind == "error":
            self._apply_error(body)
        elif kind == "done":
            self.status = body["status"]
            for bot in self.bots.values():
                _advance(bot, "canceled")

    def snapshot(self) -> dict[str, Any]:
        """Return the body of a snapshot frame: a copy, as the log may grow before it is sent."""
        bots = {name: dict(bot) for name, bot in self.bots.items()}
        document = copy_json(self.document.value)
        snapshot = {"document": document, "reasoning": {}, "status": self.status, "bots": bots}
        if self.error:
            snapshot["error"] = self.error
        for (event, bot), parts in self._texts.items():
            parts[:] = ["".join(parts)]
            snapshot.setdefault(event, {})[bot] = parts[0]
        return snapshot

    def weight(self, bound: float) -> int:
        """About how many characters a snapshot takes on the wire, counted until ``bound`` is passed."""
        texts = sum(len(text) for parts in self._texts.values() for text in parts)
        return texts + value_weight(self.document.value, bound - texts)

    def _apply_event(self, body: dict[str, Any]) -> None:
        bot, event = body.get("bot"), body["event"]
        if bot is None:
            return
        known = self._bot(bot, step=body.get("step"), root=body.get("root"))
        if event in TEXT_EVENTS:
            self._texts.setdefault((event, bot), []).append(body["data"])
        elif event == "inference-done":
            _advance(known, "inferred")
            if isinstance(data := body.get("data"), dict) and "finish" in data:
                known["finish"] = data["finish"]
        elif body.get("cut"):
            known["cut"] = [*known.get("cut", ()), body["uri"]]  # a snapshot may hold the list of before
        elif event == "response":
            _advance(known, "finished")

    def _apply_error(self, body: dict[str, Any]) -> None:
        error = {key: value for key, value in body.items() if key != "bot"}
        if bot := body.get("bot"):
            if _advance(known := self._bot(bot), "failed"):
                known["error"] = error
        else:
            self.error = error

    def _bot(self, name: str, **known: Any) -> dict[str, Any]:
        return self.bots.setdefault(name, {**known, "status": "running"})


def _advance(bot: dict[str, Any], to: str) -> bool:
    """Give ``bot`` the status ``to``, if that follows on the one it has."""
    if allowed := follows(bot.get("status", ""), to):
        bot["status"] = to
    return allowed
