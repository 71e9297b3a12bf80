"""``manage.py ling <workflow> '<json input>'``: a run, live in the terminal."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from argparse import ArgumentParser
from contextlib import aclosing
from typing import Any
from unicodedata import east_asian_width

from django.core.management.base import BaseCommand, CommandError

from lingstream.access.identity import Identity
from lingstream.core.document import jsonuri
from lingstream.core.exceptions import LingError
from lingstream.core.log.frames import Frame
from lingstream.core.log.state import RunState, empty_snapshot
from lingstream.core.wire.json import loads
from lingstream.core.wire.ling import JSONL
from lingstream.execution.runner import get_runner
from lingstream.execution.start import Start
from lingstream.transports.viewer import Viewer, beginning

_REDRAW = 0.05  # seconds between two pictures


class Command(BaseCommand):
    """Start a run and show its document growing; in a pipe, the run's frames as JSON lines."""

    help = "Run a workflow and show it live. In a pipe (or with --jsonl) print its frames as JSON lines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument("workflow", help="slug of the workflow")
        parser.add_argument("input", nargs="?", default="{}", help="JSON input")
        parser.add_argument("--jsonl", action="store_true", help="print frames, not pictures")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        live = self.stdout.isatty() and not options["jsonl"]
        try:
            start = Start.from_json({"input": loads(options["input"])}, options["workflow"])
            status = asyncio.run(_follow(start, Picture() if live else Lines()))
        except LingError as error:
            raise CommandError(error.message) from error
        if status != "finished":
            raise CommandError(f"the run ended as {status}")


class Lines:
    """Frames as they are."""

    def begin(self, run: str) -> None:
        self._writer = JSONL(run)

    def show(self, batch: list[Frame]) -> None:
        for frame in batch:
            sys.stdout.write(self._writer.encode(frame).decode())
        sys.stdout.flush()

    def end(self) -> None:
        """Nothing is left to show."""


class Picture:
    """The document as lines ``uri  text``, drawn over themselves."""

    def begin(self, run: str) -> None:
        self._state = RunState(empty_snapshot())
        self._drawn = 0
        self._next = 0.0

    def show(self, batch: list[Frame]) -> None:
        for frame in batch:
            if frame.kind == "snapshot":
                self._state = RunState(frame.body)
            else:
                self._state.apply(frame.kind, frame.body)
            if frame.kind == "error":
                self._erase()
                sys.stdout.write(f"error: {frame.body['message']}\n")
        now = asyncio.get_running_loop().time()
        if now >= self._next:
            self._next = now + _REDRAW
            self._draw(self._fit(self._lines()))

    def end(self) -> None:
        self._erase()
        sys.stdout.write(json.dumps(self._state.document.value, ensure_ascii=False, indent=2) + "\n")

    def _lines(self) -> list[str]:
        return [
            f"{uri or '(document)'}  {_one_line(value)}"
            for uri, value in _leaves("", self._state.document.value)
        ]

    def _fit(self, lines: list[str]) -> list[str]:
        size = shutil.get_terminal_size()
        return [_tail(line, size.columns - 1) for line in lines][-(size.lines - 2) :]

    def _draw(self, lines: list[str]) -> None:
        self._erase()
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0


async def _follow(start: Start, view: Lines | Picture) -> str:
    runner = get_runner()
    status = "lost"
    try:
        run, _ = await runner.start(start, Identity.of_site())
        view.begin(str(run.pk))
        async with aclosing(Viewer(run, beginning(), whole=True)) as viewer:
            async for batch in viewer:
                view.show(batch)
                if batch[-1].kind == "done":
                    status = batch[-1].body["status"]
        view.end()
    finally:
        await runner.aclose()
    return status


def _leaves(uri: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (dict, list)) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [
            leaf for key, item in pairs for leaf in _leaves(jsonuri.concat(uri, jsonuri.escape(key)), item)
        ]
    return [(uri, value)]


def _tail(line: str, columns: int) -> str:
    """The end of a line that is too long, counted in columns: a Chinese character takes two."""
    width = 0
    for position in range(len(line) - 1, -1, -1):
        width += 2 if east_asian_width(line[position]) in "WF" else 1
        if width > columns:
            return line[position + 2 :]
    return line


def _one_line(value: Any) -> str:
    """The end of a long text is where it grows; control characters would reach the terminal."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else " " for char in text)
