"""``manage.py ling``: a run in the terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTION = '{"question": "Can I lie on a cloud?"}'


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a demo project with its data."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LINGSTREAM_")}
    environment["DJANGO_SQLITE"] = str(tmp_path_factory.mktemp("demo") / "db.sqlite3")
    environment["DJANGO_SETTINGS_MODULE"] = "lingsite.settings"
    hurry = (
        "from lingstream.models import Provider; provider = Provider.objects.get(); "
        "provider.options['rate'] = 400; provider.save()"
    )
    for command in (
        ["-m", "tests.tables", "demo"],
        ["manage.py", "shell", "--verbosity", "0", "-c", hurry],
    ):
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)
    return environment


def test_in_a_pipe_it_prints_frames_as_json_lines(demo: dict[str, str]) -> None:
    command = [sys.executable, "manage.py", "ling", "cloud-facts", QUESTION]
    done = subprocess.run(command, cwd=ROOT, env=demo, capture_output=True, text=True, check=True)
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert items[-1]["done"]["status"] == "finished"
    assert "".join(item["delta"] for item in items if item.get("uri") == "answer" and "delta" in item)


def test_on_a_terminal_it_draws_and_ends_with_the_document(demo: dict[str, str]) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "manage.py", "ling", "cloud-facts", QUESTION]
    process = subprocess.Popen(command, cwd=ROOT, env={**demo, "COLUMNS": "60", "LINES": "20"}, stdout=child)
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # Linux says EIO at the end of a pseudo-terminal
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    os.close(parent)
    assert b"\x1b[" in shown
    document = json.loads(shown.decode().rpartition("\x1b[J")[2])
    assert {"answer", "details", "details_cn", "related_question"} <= set(document)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nope"], "expected the slug of a workflow"),
        (["cloud-facts", "{"], "expected JSON"),
        (["cloud-facts", "{}"], "required"),
    ],
)
def test_bad_input_is_one_line(demo: dict[str, str], arguments: list[str], expected: str) -> None:
    command = [sys.executable, "manage.py", "ling", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=demo, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert expected in done.stderr and "Traceback" not in done.stderr
