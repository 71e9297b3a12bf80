"""The chat's page in ``bench/client.py``: 200 turns of Markdown, and one more that is being written.

All have the 200 turns on the page and the end in sight, and draw what comes at once, as Markdown.

* **by hand**: ``marked`` and DOMPurify, the whole text of the new turn once a frame.
* **ling-chat**: the page as Django writes it, with its style, over server-sent events.
* **useChat**: of ``@ai-sdk/react``, with React 19, as its documentation has it for long conversations:
  messages and blocks of Markdown that did not change are not drawn again, and updates come once in 50 ms.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from replay import END, PART, RUN, Stream

__all__ = ["ADDRESS", "FORMS", "NAME", "OURS", "pages", "stream"]

ROOT = Path(__file__).resolve().parent.parent
NAME = "200 turns"
OURS = "ling-chat"
ADDRESS = "chat/"
#: By contender: the form in which it reads the stream.
FORMS = {"by hand": "op", OURS: "frames", "useChat": "parts"}
PIECE = 5  # characters, about a token


def stream(seconds: float) -> Stream:
    """The new turn: 1,000 deltas a second."""
    count = int(seconds * 1_000)
    text = f"{(PART * count)[: count * PIECE]}\n\n{END}."
    ops = [{"uri": "0", "delta": text[at : at + PIECE]} for at in range(0, len(text), PIECE)]
    return Stream("", [""], ops, 10, END)


def pages() -> Mapping[str, bytes]:
    """What is at which address of the site: the page, and what it asks for."""
    with TemporaryDirectory() as directory:
        places = {"BENCH_DATABASE": f"{directory}/chat.sqlite3", "BENCH_MODEL": "http://127.0.0.1:9/v1"}
        command = [sys.executable, "-m", "bench.project.chat", RUN]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | places, stdout=subprocess.PIPE, check=True)
    return {path: text.encode() for path, text in json.loads(done.stdout).items()}
