"""``python -m tests.chaos.deleting`` deletes turns that have ended, as pruning does.

A line names one, behind a number for the answer.
"""

import sys

import django

django.setup()

from lingstream.execution.retention import delete_runs  # noqa: E402
from lingstream.models import OPEN, Run  # noqa: E402


def main() -> None:
    for line in sys.stdin:
        number, turn = line.split()
        deleted = delete_runs(Run.objects.filter(pk=turn).exclude(status__in=OPEN))
        print(f"deletion {number}: {deleted}", flush=True)


if __name__ == "__main__":
    main()
