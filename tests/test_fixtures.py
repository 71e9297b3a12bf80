"""A test that fails does so alone: what its fixtures do wrong is told, and the next tests are not touched."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from lingstream.models import Workflow

from .chaos.patience import scaled

ROOT = Path(__file__).resolve().parents[1]

BROKEN = """
import asyncio, os, pytest

@pytest.fixture
def outer(monkeypatch):
    monkeypatch.setenv("LEFT_BEHIND", "yes")
    yield

@pytest.fixture
async def ends_badly(outer):
    reading = asyncio.create_task(asyncio.sleep(60))
    yield reading
    await reading

@pytest.fixture
async def begins_badly(outer):
    raise asyncio.CancelledError

async def test_that_runs_out_of_time(ends_badly):
    async with asyncio.timeout(0.01):
        await ends_badly  # which cancels the fixture's task

async def test_whose_fixture_is_cancelled(begins_badly): ...
"""

WELL = """
import os

async def test_one(): ...

def test_two():
    assert "LEFT_BEHIND" not in os.environ
"""


def test_a_fixture_that_is_cancelled_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "test_1_broken.py").write_text(BROKEN)
    (tmp_path / "test_2_well.py").write_text(WELL)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_fixture_setup")
    options = ["-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-v", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled(60),
    )
    assert re.search(r"1 failed, 2 passed, 2 errors", done.stdout), done.stdout + done.stderr
    assert "a fixture was cancelled while it cleared up" in done.stdout
    assert "the fixture begins_badly was cancelled" in done.stdout


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", [1, 2])
def test_a_test_that_commits_leaves_the_rows_that_it_found(time: int) -> None:
    assert not Workflow.objects.exists()
    kept = Permission.objects.get(codename="add_workflow", content_type__app_label="lingstream")
    assert kept.content_type == ContentType.objects.get_for_model(Workflow)
    Workflow.objects.create(slug="left")
    Permission.objects.all().delete()
    ContentType.objects.all().delete()


def test_browser_tests_wait_without_eval() -> None:
    """Playwright's own evaluates text from the second try on, which a policy forbids: it fails by chance."""
    pages = (ROOT / "tests" / "browser").glob("*.py")
    assert [page.name for page in pages if ".wait_for_function" in page.read_text(encoding="utf-8")] == []
