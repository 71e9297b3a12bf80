"""``manage.py ling_replay <run or file>``: a run that is over, once more, or written to a file."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from contextlib import aclosing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lingstream.core.exceptions import LingError
from lingstream.execution.recordings import recording_of
from lingstream.execution.storage import load_run
from lingstream.providers.recorded import Recording, played

from .ling import Lines, Picture


class Command(BaseCommand):
    """Play a recorded run by the engine of today; no model is asked, and no step does anything again."""

    help = "Play a run or a recording of one, or write the recording of a run to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See Django."""
        parser.add_argument("source", help="id of a run, or a file that --to has written")
        parser.add_argument("--to", type=Path, metavar="FILE", help="write the recording, and play nothing")
        parser.add_argument(
            "--speed", type=float, default=1.0, help="1 is that of then, 0 is without a pause"
        )
        parser.add_argument(
            "--cut-at", type=int, metavar="N", help="break the connection after N characters of answers"
        )
        parser.add_argument("--jsonl", action="store_true", help="print frames, not pictures")

    def handle(self, *args: Any, **options: Any) -> None:
        """See Django."""
        if options["speed"] < 0 or (options["cut_at"] or 0) < 0:
            raise CommandError("expected --speed and --cut-at to be 0 or more")
        try:
            recording = _recording(options["source"])
            if options["to"]:
                options["to"].write_text("".join(f"{line}\n" for line in recording.lines()), encoding="utf-8")
                return
            live = self.stdout.isatty() and not options["jsonl"]
            asyncio.run(_play(recording, Picture() if live else Lines(), options))
        except (LingError, OSError) as error:
            raise CommandError(str(error)) from error


def _recording(source: str) -> Recording:
    path = Path(source)
    if path.is_file():
        return Recording.read(path.read_text(encoding="utf-8").splitlines())
    return recording_of(load_run(source))


async def _play(recording: Recording, view: Lines | Picture, options: dict[str, Any]) -> None:
    view.begin(recording.run.get("name", ""))
    frames = played(recording, speed=options["speed"] or None, cut_at=options["cut_at"])
    async with aclosing(frames) as batches:
        async for batch in batches:
            view.show(batch)
    view.end()
