"""Somebody of each of the groups that `manage.py ling_groups` makes.

``python -m tests.browser.people``, with the site's settings in the environment, writes them.
"""

from __future__ import annotations

import django

__all__ = ["PASSWORD", "person", "write"]

PASSWORD = "secret"


def person(group: str) -> str:
    """Return the name of who is in a group."""
    return group.replace(" ", "-")


def write() -> None:
    """Let there be one in each group."""
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group, User

    password = make_password(PASSWORD)
    for group in Group.objects.all():
        User.objects.create(username=person(group.name), password=password, is_staff=True).groups.add(group)


if __name__ == "__main__":
    django.setup()
    write()
