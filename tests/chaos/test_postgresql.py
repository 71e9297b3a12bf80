"""What leans on the database most, once more on PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from .harness import ROOT
from .patience import scaled
from .services import Postgres

SUITES = (
    # Databases are copied for these, which no thread of another test may be connected to.
    "tests/access/test_migration.py",
    "tests/conversations/test_migration.py",
    "tests/models/test_workflow_versions.py",
    "tests/models/test_run_texts.py",
    "tests/models/test_phrases.py",
    "tests/admin/prompts/test_figures.py",
    "tests/access/test_throttle.py",
    "tests/access/test_visitors.py",
    "tests/admin/runs/test_list.py",
    "tests/conversations/test_api.py",
    "tests/conversations/test_listing.py",
    "tests/conversations/test_locks.py",
    "tests/conversations/test_occasions.py",
    "tests/conversations/test_silence.py",
    "tests/conversations/test_turns.py",
    "tests/knowledge/sources/test_webhook.py",
    "tests/knowledge/test_citation_rows.py",
    "tests/knowledge/test_due.py",
    "tests/knowledge/test_evaluation.py",
    "tests/knowledge/test_faults.py",
    "tests/knowledge/test_leaks.py",
    "tests/knowledge/test_recall.py",
    "tests/knowledge/test_removal.py",
    "tests/knowledge/test_renewal.py",
    "tests/knowledge/test_rows.py",
    "tests/knowledge/test_search.py",
    "tests/knowledge/test_search_access.py",
    "tests/knowledge/test_sources.py",
    "tests/knowledge/test_staleness.py",
    "tests/knowledge/test_stores.py",
    "tests/knowledge/test_sync.py",
    "tests/knowledge/test_models.py",
    "tests/knowledge/test_truth.py",
    "tests/knowledge/test_words.py",
    "tests/execution/test_export.py",
    "tests/execution/test_journal.py",
    "tests/execution/test_many_runs.py",
    "tests/execution/test_ownership.py",
    "tests/execution/test_recovery.py",
    "tests/execution/test_schedules.py",
    "tests/transports/test_nul.py",
)
# A thread of a test's may still have its connection when the database is to go, with the whole server.
_GOES = "ignore:Error when trying to teardown"


def test_on_postgresql(postgres_server: Postgres) -> None:
    """All in one process: each would import everything, and make its tables, for itself."""
    database = json.dumps({**postgres_server.database, "TEST": {"NAME": "tests"}})
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *SUITES,
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            _GOES,
        ],
        cwd=ROOT,
        env={**os.environ, "TEST_DATABASE": database},
        capture_output=True,
        text=True,
        timeout=scaled(900),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
