"""The admin's site, where sources may lie on this machine and in a folder, and a pass takes many runs."""

from __future__ import annotations

import os
from functools import partial

from django.apps import AppConfig

from .admin_site import *  # noqa: F403
from .admin_site import INSTALLED_APPS as ADMIN_APPS
from .admin_site import LINGSTREAM as ADMIN


class ShortSlices(AppConfig):
    """Each run of a pass does one look: the next one goes on."""

    name = "tests.browser"
    label = "short_slices"

    def ready(self) -> None:
        """See Django."""
        from lingstream.knowledge import workflows

        workflows.sync = partial(workflows.sync, seconds=0.0)


INSTALLED_APPS = [*ADMIN_APPS, f"{__name__}.ShortSlices"]
LINGSTREAM = {
    **ADMIN,
    "ALLOW_HOSTS": ["127.0.0.1"],
    "KNOWLEDGE_ROOTS": [*ADMIN["KNOWLEDGE_ROOTS"], os.environ["LIBRARY_FOLDER"]],
}
