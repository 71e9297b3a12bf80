"""What was answered with passages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from lingstream.models import Run

from .documents import Chunk, Document

__all__ = ["Citation"]


class Citations(models.QuerySet["Citation"]):
    """Citations, with what their documents have become."""

    def keep(self, run: str, uri: str, chunk: str, verified: bool, version: int = 0) -> None:
        """Store a citation unless it is stored already.

        :param chunk: the uid of the passage, or anything else where there is none.
        :param version: of the document, when the passage was read; 0: nobody knows, and it is as now.
        """
        uid = _uid(chunk)
        found = uid and Chunk.objects.filter(uid=uid).values_list("document", "document__version").first()
        document, current = found or (None, 0)
        read = version if document and version else current
        values = {"chunk_uid": uid, "document_id": document, "version": read, "verified": verified}
        self.get_or_create(run_id=run, uri=uri, defaults=values)

    def stale(self) -> Citations:
        """Return those whose document has changed since, or is gone."""
        changed = ~Q(document__version=F("version")) | Q(document=None)
        return self.filter(changed, chunk_uid__isnull=False)

    def are_stale(self) -> Exists:
        """The condition on rows of runs that they have such a citation."""
        return Exists(self.stale().filter(run=OuterRef("pk")))

    def places(self, runs: Collection[UUID]) -> dict[UUID, list[str]]:
        """Return the uris of the stale ones in these runs, where there are some; one query."""
        found: defaultdict[UUID, list[str]] = defaultdict(list)
        rows = self.stale().filter(run__in=runs).order_by("run", "uri")
        for run, uri in rows.values_list("run_id", "uri"):
            found[run].append(uri)
        return found

    def update(self, **values: Any) -> int:
        """As Django's, which empties ``document`` by it where somebody deletes that document."""
        if "document" in values:
            # It writes conversations, and models import nobody who does.
            from ..staleness import tell_later

            tell_later(self)
        return super().update(**values)


def _uid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


class Citation(models.Model):
    """A passage that a run's answer names; checked when the citation's field closed."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="citations", verbose_name=_("run"))
    uri = models.CharField(_("place"), max_length=500)
    document = models.ForeignKey(
        Document,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="citations",
        verbose_name=_("document"),
    )
    version = models.PositiveIntegerField(
        _("version"), default=0, help_text=_("Of the document, when it was cited; another one: it is stale.")
    )
    chunk_uid = models.UUIDField(_("passage"), null=True, blank=True)
    verified = models.BooleanField(_("verified"), default=False)

    objects = Citations.as_manager()

    class Meta:
        verbose_name = _("citation")
        verbose_name_plural = _("citations")
        base_manager_name = "objects"  # it is by this that a deletion updates them
        constraints = [models.UniqueConstraint(fields=["run", "uri"], name="lingstream_citation_place")]

    def __str__(self) -> str:
        return self.uri

    @property
    def is_stale(self) -> bool:
        """Whether its document has changed since, or is gone."""
        gone = self.document is None or self.document.version != self.version
        return self.chunk_uid is not None and gone
