"""Store runs for workers to find: ``python -m bench.project.enqueue NAME…``.

The first is stored as any start stores it, the others as copies of it in one statement.
"""

import sys

import django


def main(names: list[str]) -> None:
    django.setup()
    from django.contrib.auth.models import AnonymousUser

    from lingstream.access.identity import Identity
    from lingstream.execution.start import Start, create_run
    from lingstream.models import Run

    first, _ = create_run(Start("outline", {"question": names[0]}), Identity(AnonymousUser()))
    Run.objects.bulk_create(
        Run(workflow=first.workflow, plan=first.plan, owner_key=first.owner_key, input={"question": name})
        for name in names[1:]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
