"""``requirements.txt`` is all that ``make run`` needs; the tests need more, which hides what lacks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

DEMO = """
import django
django.setup()
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
call_command("check")
call_command("demo")
call_command("ling_knowledge", "sync", "docs")
for path in ["/", "/docs/", "/docs/client.md", "/ling/chat/docs-chat/", "/admin/login/"]:
    assert Client(headers={"host": "localhost"}).get(path).status_code == 200, path
call_command("ling", "cloud-facts", '{"question": "Can I lie on a cloud?"}')
"""


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {canonical(line.partition("==")[0]) for line in lines if "==" in line}


def link(found: Distribution, folder: Path) -> None:
    """Make what a distribution has in ``site-packages`` be in ``folder``."""
    for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
        if not (folder / top).exists():
            (folder / top).symlink_to(str(found.locate_file(top)))


def test_the_demo_runs_with_what_requirements_txt_names_and_nothing_else(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    installed = {canonical(found.metadata["Name"]): found for found in distributions()}
    assert required() <= installed.keys()
    assert "numpy" in installed, "expected an environment that has more than the demo's"
    for name in required():
        link(installed[name], packages)
    done = subprocess.run(
        [sys.executable, "-S", "-c", DEMO],  # -S: without the site-packages of the tests
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)]),
            "DJANGO_SETTINGS_MODULE": "lingsite.settings",
            "DJANGO_SQLITE": str(tmp_path / "db.sqlite3"),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ", 0 failed" in done.stdout
