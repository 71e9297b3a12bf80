"""``python -m tests.chaos.starting WORKFLOW [KEY [FILE]]`` starts a run as a site's own command does.

With FILE it does so in a transaction, which it ends when the file says how: ``commit`` or ``rollback``.
"""

import sys
import time
from contextlib import nullcontext
from pathlib import Path

import django

django.setup()

from django.db import transaction  # noqa: E402

import lingstream  # noqa: E402
from lingstream.core.exceptions import LingError  # noqa: E402


def end_in(file: Path) -> str:
    """Wait for what is to be done; the file may be there before all of its text is."""
    while not file.exists() or (end := file.read_text()) not in ("commit", "rollback"):
        time.sleep(0.02)
    return end


def main(workflow: str, key: str = "", file: str = "") -> None:
    with transaction.atomic() if file else nullcontext():
        try:
            run = lingstream.start(workflow, {"question": "hi"}, key=key)
        except LingError as error:
            print("refused", error.code, error.retryable)
            return
        print("started", run.pk, run.status)
        if file:
            transaction.set_rollback(end_in(Path(file)) == "rollback")


if __name__ == "__main__":
    main(*sys.argv[1:])
