"""``python -m tests.ordinary.prepare`` makes the ordinary site's tables, statics, users and workflow."""

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402

from lingstream.knowledge.models import Collection, Source  # noqa: E402
from tests.ordinary.people import EMAIL, PASSWORD  # noqa: E402
from tests.site import store_cloud_facts, store_provider  # noqa: E402
from tests.tables import make_tables  # noqa: E402


def prepare() -> None:
    make_tables()
    call_command("collectstatic", verbosity=0, interactive=False)
    get_user_model().objects.create_superuser(username="ann", email=EMAIL, password=PASSWORD)
    store_provider()
    workflow = store_cloud_facts()
    workflow.access = "anyone"
    workflow.save()
    notes = Collection.objects.get(slug="notes")
    Source.objects.create(slug="hook", collection=notes, kind="webhook")


if __name__ == "__main__":
    prepare()
