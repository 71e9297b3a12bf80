"""``python -m tests.chaos.starting WORKFLOW [KEY [FILE]]`` starts a run as a site's own command does.

With FILE it does so in a transaction, which it ends when the file is there: with a rollback if it says so.
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


def main(workflow: str, key: str = "", file: str = "") -> None:
    with transaction.atomic() if file else nullcontext():
        try:
            run = lingstream.start(workflow, {"question": "hi"}, key=key)
        except LingError as error:
            print("refused", error.code, error.retryable)
            return
        print("started", run.pk, run.status)
        while file and not Path(file).exists():
            time.sleep(0.02)
        if file and Path(file).read_text() == "rollback":
            transaction.set_rollback(True)


if __name__ == "__main__":
    main(*sys.argv[1:])
