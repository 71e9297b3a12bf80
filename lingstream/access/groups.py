"""The groups that a site's staff may be put into, by what they do.

Permissions are looked up by name: one that a site does not have, as its app is not installed or its migration
has not run yet, is left out, and added when the groups are made again. Nothing is ever taken from a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

__all__ = ["GROUPS", "make_groups"]


def _may(app: str, models: str, actions: str) -> tuple[str, ...]:
    return tuple(f"{app}.{action}_{model}" for model in models.split() for action in actions.split())


_PARTS = "step trigger chat example"
_VIEWERS = (
    *_may("lingstream", f"workflow prompt promptversion promptlabel {_PARTS} occasion schedule", "view"),
    *_may("lingstream", "run botrun feedback", "view"),
    *_may("lingstream_knowledge", "collection embedder source sync document question citation", "view"),
)
_EDITORS = (
    *_VIEWERS,
    *_may("lingstream", "workflow prompt promptversion", "add change"),
    *_may("lingstream", f"{_PARTS} occasion", "add change delete"),
    "lingstream.start_workflow",
)
_PUBLISHERS = (
    *_EDITORS,
    *_may("lingstream", "promptlabel schedule", "add change delete"),
    *_may("lingstream", "workflow prompt", "publish delete"),
)
_OPERATORS = (
    *_VIEWERS,
    *_may("lingstream", "run", "change delete cancel"),
    "lingstream.delete_feedback",  # which goes with a run
    *_may("lingstream", "conversation attachment", "view change delete"),
    *_may("lingstream", "provider schedule", "view add change delete"),
    *_may("lingstream", "runner", "view"),
    *_may("lingstream_knowledge", "source document", "change"),
)
_KNOWLEDGE_EDITORS = (
    *_may("lingstream_knowledge", "collection source question", "view add change delete"),
    *_may("lingstream_knowledge", "document", "view change"),
    "lingstream_knowledge.delete_document",  # which go with a source
    *_may("lingstream_knowledge", "upload", "view add delete"),
    *_may("lingstream_knowledge", "embedder sync citation", "view"),
    "lingstream_knowledge.search_collection",
)

#: What each group may do, as ``app_label.codename``.
GROUPS: Mapping[str, Sequence[str]] = {
    "viewers": _VIEWERS,
    "editors": _EDITORS,
    "publishers": _PUBLISHERS,
    "operators": _OPERATORS,
    "knowledge editors": _KNOWLEDGE_EDITORS,
}


def make_groups() -> dict[str, int]:
    """Make the groups that are not there, and give each what it lacks; return how many permissions they got.

    A group of which the site has no permission at all is not made.
    """
    given = {}
    with transaction.atomic():
        for name, names in GROUPS.items():
            if there := list(_permissions(names)):
                group, _ = Group.objects.get_or_create(name=name)
                had = set(group.permissions.values_list("pk", flat=True))
                new = [each for each in there if each.pk not in had]
                group.permissions.add(*new)
                given[name] = len(new)
    return given


def _permissions(names: Iterable[str]) -> Iterable[Permission]:
    wanted = Q(pk=None)
    for app, codename in (name.split(".") for name in names):
        wanted |= Q(content_type__app_label=app, codename=codename)
    return Permission.objects.filter(wanted)
