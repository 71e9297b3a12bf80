"""Files read by children: what a bomb, a hang or a crash costs is one document."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lingstream.knowledge.text.extract import ExtractionError
from lingstream.knowledge.text.extract.pool import Extractor, _Child
from lingstream.knowledge.text.extract.result import MOST_BYTES
from tests.chaos.patience import scaled

from . import files

# In place of pypdfium2 in the children: it does what a file says, as a reader that a file has taken over.
READER = dedent("""\
    import os, signal, socket, subprocess, sys, time

    class PdfiumError(Exception):
        pass

    class PdfDocument:
        def __init__(self, body):
            self.text = str(eval(body.partition(b"\\n")[2], globals()))

        def __len__(self):
            return 1

        def __getitem__(self, number):
            return self

        def get_textpage(self):
            return self

        def get_text_bounded(self):
            return self.text

        def get_metadata_dict(self):
            return {}

        def close(self):
            pass
    """)


def doing(expression: str) -> bytes:
    """A file at which a child of the fixture ``taken`` evaluates an expression."""
    return b"%PDF-1.4\n" + expression.encode()


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Extractor]]:
    """Makes extractors, and closes them."""
    made: list[Extractor] = []

    def make(processes: int = 1, **options: float) -> Extractor:
        made.append(Extractor(processes, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for extractor in made:
        await extractor.aclose()


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of PDF that does what the file says."""
    (tmp_path / "pypdfium2.py").write_text(READER)
    monkeypatch.syspath_prepend(str(tmp_path))


async def refused(extractor: Extractor, body: bytes, mime: str = "") -> ExtractionError:
    with pytest.raises(ExtractionError) as caught:
        await extractor.extract(body, mime)
    return caught.value


async def pid_of(extractor: Extractor) -> int:
    return int((await extractor.extract(doing("os.getpid()"), "")).text)


def at_work(folder: Path) -> bytes:
    """A file that is never done with, and says when it is being read."""
    return doing(f"os.open('{folder / 'at work'}', os.O_CREAT) and time.sleep(1000)")


async def appeared(path: Path) -> None:
    async with asyncio.timeout(scaled(10)):
        while not path.exists():
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    async with asyncio.timeout(scaled(10)):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


async def test_every_kind_is_read_by_a_child_within_its_bounds(start: Callable[..., Extractor]) -> None:
    """Of memory, above all: an import of some of these libraries takes most of it."""
    extractor = start()
    html = b"<html><body><p>" + b"The cloud is light. " * 100 + b"<a href='/x'>x</a></body></html>"
    page = await extractor.extract(html, "text/html", "https://a.example/")
    assert page.links == ("https://a.example/x",) and "light" in page.text
    assert (await extractor.extract(files.pdf("in a PDF", title="T"), "")).title == "T"
    assert "in Word" in (await extractor.extract(files.docx("in Word"), "")).text
    assert "It is light" in (await extractor.extract(files.pptx("Cloud", "It is light"), "")).text
    assert "| 3 |" in (await extractor.extract(files.xlsx([["Item", "n"], ["x", 3]]), "")).text
    assert "Grüße" in (await extractor.extract("Grüße".encode("cp1252"), "text/plain")).text


async def test_refusals_cross_the_border_with_their_code(start: Callable[..., Extractor]) -> None:
    extractor = start()
    assert (await refused(extractor, files.scanned())).code == "no-text-layer"
    assert (await refused(extractor, b"\x89PNG\0")).code == "unknown-type"
    bomb = files.archive(**{"[Content_Types]_0xml": "x", "word__document_0xml": b" " * 90_000_000})
    assert (await refused(extractor, bomb)).code == "too-large"


async def test_laughs_and_what_leads_out_of_a_word_file_give_nothing(start: Callable[..., Extractor]) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    document = (
        f'<!DOCTYPE x [<!ENTITY l0 "lol">{laughs}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        "<w:t>{}</w:t></w:r></w:p></w:body></w:document>"
    )
    extractor = start()
    for text in ("&l9;", "&f;"):
        try:
            found = (await extractor.extract(files.docx(document=document.replace("{}", text)), "")).text
        except ExtractionError as error:
            assert error.code in ("unknown-type", "too-large", "crashed", "timed-out")
        else:
            assert len(found) < 1_000 and "root:" not in found


async def test_small_text_needs_no_child_and_what_is_too_large_neither(
    start: Callable[..., Extractor],
) -> None:
    extractor = start()
    for mime in ("text/plain", "text/markdown", ""):
        assert (await extractor.extract("# Grüße".encode(), mime)).text == "# Grüße"
    assert (await refused(extractor, b"x" * (MOST_BYTES + 1), "text/plain")).code == "too-large"
    assert (await refused(extractor, b"x" * 100_000_000, "text/plain")).code == "too-large"
    assert (await refused(extractor, b"\0", "text/plain")).code == "unknown-type"
    assert not extractor._idle


FAULTS = {
    "a crash": ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
    "an exit": ("os._exit(0)", "crashed"),
    "a bomb": ("bytearray(2 << 30)", "too-large"),
    "a hang": ("time.sleep(1000)", "timed-out"),
    "an exception": ("1 / 0", "crashed"),
    "recursion": ("(lambda f: f(f))(lambda f: f(f))", "crashed"),
    "all the time that there is": ("os.kill(os.getpid(), signal.SIGXCPU)", "timed-out"),
    "an answer of another shape": (
        'os.write(3, b\'\\0\\0\\0\\x0e{"found": "x"}\') or time.sleep(1000)',
        None,
    ),
    "an answer that is none": ("os.write(3, b'\\x00\\x00\\x00\\x02[]') or time.sleep(1000)", None),
    "an answer that is too long": ("os.write(3, b'\\xff' * 9) and time.sleep(1000)", None),
}


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize("name", FAULTS)
async def test_what_a_file_does_costs_one_document(start: Callable[..., Extractor], name: str) -> None:
    expression, code = FAULTS[name]
    extractor = start(seconds=2.0)
    await pid_of(extractor)
    error = await refused(extractor, doing(expression))
    assert error.code == code or (code is None and error.code in ("crashed", "timed-out"))
    assert error.message
    assert (await extractor.extract(doing("'well'"), "")).text == "well"


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(
    "expression",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('a.example', 80)",
        "subprocess.run(['true'])",
        "os.system('true')",
        "os.fork()",
        "os.write(os.open('{path}', os.O_CREAT | os.O_WRONLY), b'x')",
    ],
)
async def test_a_child_connects_to_nobody_starts_nothing_and_writes_no_file(
    start: Callable[..., Extractor], tmp_path: Path, expression: str
) -> None:
    path = tmp_path / "written"
    error = await refused(start(), doing(expression.replace("{path}", str(path))))
    assert error.code == "crashed" and ("does no" in error.message or "too large" in error.message)
    assert not path.exists() or path.read_bytes() == b""


@pytest.mark.usefixtures("taken")
async def test_a_child_knows_no_secret_and_its_output_is_for_answers_only(
    start: Callable[..., Extractor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGSTREAM_API_KEY", "sk-0123456789")
    extractor = start()
    assert "sk-0123456789" not in (await extractor.extract(doing("dict(os.environ)"), "")).text
    noise = "(print('noise'), os.write(1, b'noise'), os.write(2, b'noise'), 'quiet')[-1]"
    assert (await extractor.extract(doing(noise), "")).text == "quiet"


@pytest.mark.usefixtures("taken")
async def test_a_child_is_used_again_and_replaced_after_its_documents(
    start: Callable[..., Extractor],
) -> None:
    extractor = start(documents=3)
    pids = [await pid_of(extractor) for _ in range(7)]
    assert pids == [pids[0]] * 3 + [pids[3]] * 3 + [pids[6]]
    assert len(set(pids)) == 3
    await gone(pids[0])


@pytest.mark.usefixtures("taken")
async def test_a_child_that_died_while_idle_costs_nothing(start: Callable[..., Extractor]) -> None:
    extractor = start()
    pid = await pid_of(extractor)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    assert await pid_of(extractor) != pid


async def test_a_child_whose_output_has_ended_lives_no_more() -> None:
    output = asyncio.StreamReader()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        child = _Child(
            cast(Any, SimpleNamespace(returncode=None, pid=process.pid, stdin=None, stdout=output))
        )
        assert child.lives
        output.feed_eof()
        assert not child.lives


async def test_a_child_that_has_died_just_now_is_known_for_dead() -> None:
    """Before asyncio has heard of it: there is no turn of the loop in between."""
    child = await _Child.start()
    assert child.lives
    os.kill(child._process.pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # asyncio's thread was first
        os.waitid(os.P_PID, child._process.pid, os.WEXITED | os.WNOWAIT)
    assert not child.lives
    await child.kill()


@pytest.mark.usefixtures("taken")
async def test_no_more_children_than_processes_and_the_others_wait(start: Callable[..., Extractor]) -> None:
    extractor = start(2)
    begin = time.monotonic()
    files_ = [doing("time.sleep(0.3) or os.getpid()")] * 6
    found = await asyncio.gather(*(extractor.extract(body, "") for body in files_))
    assert len({each.text for each in found}) == 2
    assert time.monotonic() - begin >= 0.9


@pytest.mark.usefixtures("taken")
async def test_who_is_cancelled_leaves_no_child_at_work(
    start: Callable[..., Extractor], tmp_path: Path
) -> None:
    extractor = start()
    pid = await pid_of(extractor)
    task = asyncio.create_task(extractor.extract(at_work(tmp_path), ""))
    await appeared(tmp_path / "at work")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(pid)
    assert await pid_of(extractor) != pid


@pytest.mark.usefixtures("taken")
async def test_closing_ends_children_at_work(start: Callable[..., Extractor], tmp_path: Path) -> None:
    extractor = start(2)
    pid = await pid_of(extractor)
    task = asyncio.create_task(refused(extractor, at_work(tmp_path)))
    await appeared(tmp_path / "at work")
    await extractor.aclose()
    assert (await task).code == "crashed"
    await gone(pid)


@pytest.mark.usefixtures("taken")
async def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from lingstream.knowledge.text.extract.pool import Extractor

async def main():
    print((await Extractor(1).extract({doing("os.getpid()")!r}, "")).text, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await gone(pid)
