"""``python -m tests.knowledge.child WORD``: a process of its own that can be killed at a named place.

``FAULT`` is ``module:function:before|after:count``, and ``SIGNAL`` what it sends itself there. ``ROOT`` is
the folder of the source ``docs``; each text that is embedded is a line of the file ``EMBEDDED``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from lingstream.knowledge import deletion  # noqa: E402
from lingstream.knowledge.models import Chunk, Collection, Document, Embedder, Source  # noqa: E402

from ..tables import make_tables  # noqa: E402
from .embedders import register  # noqa: E402
from .pages import change  # noqa: E402
from .world import cut_out, fresh, indexed  # noqa: E402

deletion._BATCH = 3  # so that a delete pass has several transactions
register(Path(os.environ["EMBEDDED"]))


def prepare() -> None:
    """Make the tables, and one source of files."""
    make_tables()
    embedder = Embedder.objects.create(slug="told", kind="told", batch_texts=8, max_concurrency=1)
    collection = Collection.objects.create(slug="docs", embedder=embedder, chunk_size=100)
    config = {"path": os.environ["ROOT"]}
    Source.objects.create(slug="docs", collection=collection, kind="folder", config=config)


def plan() -> None:
    """Have a source that is due, without an embedder, where the tables are there already."""
    collection = Collection.objects.create(slug="docs", chunk_size=100, access="anyone")
    config = {"path": os.environ["ROOT"]}
    Source.objects.create(slug="docs", collection=collection, kind="folder", config=config, every=3_600)


def sync() -> None:
    """Do a pass; what held the source before has been dead for long."""
    Source.objects.update(held_until=None)
    follow()


def follow() -> None:
    """Do a pass, behind whoever is at it."""
    print("syncs", flush=True)
    call_command("ling_knowledge", "sync", "docs")


def compare() -> None:
    """End the pass that has begun, do one more, and say whether the index is as a fresh one."""
    sync()
    sync()
    source = Source.objects.get(slug="docs")
    found, wanted = indexed(source), fresh(source)
    names = {path.name for path in Path(os.environ["ROOT"]).iterdir()}
    differ = {
        key: (found.get(key), wanted.get(key))
        for key in {*found, *wanted}
        if found.get(key) != wanted.get(key)
    }
    assert not differ, str(differ)[:4_000]
    assert set(found) == names, (set(found), names)
    versions = sorted(Document.objects.values_list("version", flat=True))
    print("equal", versions[-1], flush=True)


def read() -> None:
    """Read for ever; say so if a document is there by half, or is not although it always was."""
    print("reads", flush=True)
    parent = os.getppid()
    while not Path(os.environ["ROOT"], "end.md").exists() and os.getppid() == parent:
        rows = Chunk.objects.filter(document__source__slug="docs").order_by("document", "position")
        columns = ("document__key", "position", "start", "end", "text", "document__text__packed")
        found: dict[str, list[Any]] = {}
        for key, *columns_of_row in rows.values_list(*columns):
            found.setdefault(key, []).append(columns_of_row)
        for key, chunks in found.items():
            assert [chunk[0] for chunk in chunks] == list(range(len(chunks))), key
            text = cut_out(chunks[0][4])
            assert all(text[start:end] == part for _, start, end, part, _ in chunks), key
            assert "".join(text.split()) == "".join("".join(chunk[3] for chunk in chunks).split()), key
        assert "always.md" in found or not found
        time.sleep(0.01)
    print("read well", flush=True)


def story() -> None:
    """Kill a pass at each of the places in ``PLACES``, in forks of this process; compare after each."""
    reader = _fork(read)
    chance = random.Random(7)
    for place, fault in json.loads(os.environ["PLACES"]).items():
        change(Path(os.environ["ROOT"]), chance)
        before = _paid()
        os.environ["FAULT"] = fault
        assert os.waitstatus_to_exitcode(_waited(_fork(sync))) == -signal.SIGKILL, (
            f"{place}: it was not killed"
        )
        os.environ["FAULT"] = ""
        assert _waited(_fork(compare)) == 0, place
        paid = _paid() - before
        twice = sum(count - 1 for count in paid.values())
        assert twice <= (8 if place.startswith("4: a batch") else 0), (
            f"{place}: {twice} texts were paid twice"
        )
        print("well:", place, flush=True)
    Path(os.environ["ROOT"], "end.md").touch()
    assert _waited(reader) == 0


def _fork(work: Callable[[], None]) -> int:
    """Do it in a child, which has this process's modules and none of its connections: it has none."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        if os.environ.get("FAULT"):
            _break()
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def _waited(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


def _paid() -> Counter[str]:
    return Counter(Path(os.environ["EMBEDDED"]).read_text().split())


def _break() -> None:
    """Send this process a signal at the place that ``FAULT`` names."""
    module_name, name, when, count = os.environ["FAULT"].split(":")
    module = import_module(f"lingstream.knowledge.{module_name}")
    function, left = getattr(module, name), int(count)

    def broken(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), getattr(signal, os.environ["SIGNAL"]))
        found = function(*args, **kwargs)
        if left == 0 and when == "after":
            os.kill(os.getpid(), getattr(signal, os.environ["SIGNAL"]))
        return found

    setattr(module, name, broken)


if __name__ == "__main__":
    if os.environ.get("FAULT"):
        _break()
    words = {each.__name__: each for each in (prepare, plan, sync, follow, compare, story)}
    words[sys.argv[1]]()
    connection.close()
