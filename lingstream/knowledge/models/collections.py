"""What is searched: collections, and what turns their texts into vectors."""

from __future__ import annotations

from hashlib import sha256

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from lingstream.core.exceptions import UsageError
from lingstream.models import Provider
from lingstream.models.fields import JSONTextField
from lingstream.models.phrases import translated

from ..embed import EmbeddingPlan, embedding_kinds, fingerprint
from .quiet import WithSources

__all__ = ["SEVERAL", "Collection", "Embedder"]

#: Instead of a fingerprint: a collection has vectors of several, until a pass has made all of them anew.
SEVERAL = "several"


class Embedder(models.Model):
    """What turns texts into vectors; two with the same fingerprint make the same ones."""

    slug = models.SlugField(_("slug"), max_length=100, unique=True)
    kind = models.CharField(
        _("kind"), max_length=50, help_text=_("Without a server and offline, or by the server of a provider.")
    )
    provider = models.ForeignKey(
        Provider,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("provider"),
        help_text=_("Whose /embeddings is asked."),
    )
    model = models.CharField(_("model"), max_length=200, blank=True)
    dimensions = models.PositiveIntegerField(
        _("dimensions"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(16_000)],
        help_text=_("Empty: as many as the model has."),
    )
    query_prefix = models.CharField(_("before a question"), max_length=200, blank=True)
    passage_prefix = models.CharField(_("before a passage"), max_length=200, blank=True)
    batch_texts = models.PositiveIntegerField(
        _("texts per request"), default=64, validators=[MinValueValidator(1), MaxValueValidator(256)]
    )
    max_concurrency = models.PositiveIntegerField(
        _("requests at the same time"), default=2, validators=[MinValueValidator(1), MaxValueValidator(32)]
    )

    class Meta:
        verbose_name = _("embedder")
        verbose_name_plural = _("embedders")
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse a kind that nobody knows, and one that asks a server without a provider."""
        kind = embedding_kinds().get(self.kind)
        if kind is None:
            known = ", ".join(sorted(embedding_kinds()))
            raise ValidationError(
                {"kind": _("Expected one of %(kinds)s, got “%(got)s”.") % {"kinds": known, "got": self.kind}}
            )
        if kind.remote and self.provider is None:
            raise ValidationError({"provider": _("Expected a provider, whose /embeddings is asked.")})

    def to_plan(self) -> EmbeddingPlan:
        """Return what makes its vectors, without the database."""
        return EmbeddingPlan(
            kind=self.kind,
            provider=self.provider.to_plan() if self.provider else None,
            model=self.model,
            dimensions=self.dimensions,
            query_prefix=self.query_prefix,
            passage_prefix=self.passage_prefix,
            batch_texts=self.batch_texts,
            max_concurrency=self.max_concurrency,
        )

    @property
    def fingerprint(self) -> str:
        """A digest of all that changes a vector; two embedders with the same one make the same vectors.

        :raises UsageError: ``unknown-kind``.
        """
        return fingerprint(self.to_plan())


class Collection(WithSources):
    """What is searched together: the documents of its sources, cut the same way."""

    sources_by = "collection__in"

    class Access(models.TextChoices):
        ANYONE = "anyone", _("anyone")
        AUTHENTICATED = "authenticated", _("signed-in users")
        PERMISSION = "permission", _("users with the permission “Can search collections”")
        GROUPS = "groups", _("users in one of its groups")
        OWN = "own", _("each person, and only their own documents")

    slug = models.SlugField(
        _("slug"), max_length=100, unique=True, help_text=_("Name in steps and in Python.")
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    access = models.CharField(
        _("who may search"), max_length=20, choices=Access.choices, default=Access.AUTHENTICATED
    )
    groups = models.ManyToManyField(Group, blank=True, related_name="+", verbose_name=_("groups"))
    shared = models.BooleanField(
        _("shared"),
        default=False,
        help_text=_("Found from every scope; else a document is found in its own scope only."),
    )
    embedder = models.ForeignKey(
        Embedder,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="collections",
        verbose_name=_("embedder"),
        help_text=_("Empty: found by words alone."),
    )
    store = models.CharField(
        _("store"),
        max_length=50,
        default="database",
        help_text=_("Where vectors lie: database (any database), or pgvector."),
    )
    pipeline = JSONTextField(
        _("pipeline"),
        default=list,
        blank=True,
        help_text=_("Steps of record kinds between extraction and splitting, as a JSON list."),
    )
    chunk_size = models.PositiveIntegerField(
        _("size of a passage"),
        default=1_200,
        validators=[MinValueValidator(100), MaxValueValidator(20_000)],
        help_text=_("In characters of a Latin script; others count by what they say."),
    )
    chunk_overlap = models.PositiveIntegerField(
        _("overlap"), default=0, validators=[MaxValueValidator(2_000)], help_text=_("In characters.")
    )
    narrow_by = JSONTextField(
        _("metadata that input may narrow by"),
        default=list,
        blank=True,
        help_text=_("Names, as a JSON list. A visitor's input can name no others."),
    )
    guard_percent = models.PositiveIntegerField(
        _("deletion guard"),
        default=30,
        validators=[MaxValueValidator(100)],
        help_text=_(
            "If more than this share of a source (and more than 20) has vanished, nothing is deleted "
            "until somebody confirms it. In per cent."
        ),
    )
    embedded_by = models.CharField(
        default="",
        db_default="",
        max_length=64,
        blank=True,
        editable=False,
        help_text=_("Fingerprint of what made all of its vectors. Empty: of what makes them now."),
    )
    revision = models.PositiveBigIntegerField(
        _("revision"), default=0, editable=False, help_text=_("Grows with each change of what is found.")
    )

    class Meta:
        verbose_name = _("collection")
        verbose_name_plural = _("collections")
        ordering = ["slug"]
        permissions = [("search_collection", _("Can search collections"))]

    def __str__(self) -> str:
        return self.title or self.slug

    @property
    def is_embedded(self) -> bool:
        """Whether its vectors are all of its embedder as that is now: not between a change and the next pass.

        :raises UsageError: ``unknown-kind``.
        """
        return self.embedder is not None and not self.has_others_vectors

    @property
    def has_others_vectors(self) -> bool:
        """Whether some of its vectors may be another embedder's, or in another store.

        :raises UsageError: ``unknown-kind``.
        """
        return self.embedded_by not in ("", self.embeds_by)

    @property
    def embeds_by(self) -> str:
        """The fingerprint of what makes its vectors now, and of where they lie; empty: nothing makes any.

        :raises UsageError: ``unknown-kind``.
        """
        made_by = self.embedder.fingerprint if self.embedder else ""
        if not made_by or self.store == "database":
            return made_by
        return sha256(f"{made_by}\0{self.store}".encode()).hexdigest()

    def clean(self) -> None:
        """Refuse a pipeline of steps that there are not, and names that are no names."""
        from ..pipeline import check_pipeline  # it reads the port of sources, which knows this module

        try:
            check_pipeline(self.pipeline)
        except UsageError as error:
            raise ValidationError({"pipeline": translated(error.message)}) from error
        if not isinstance(self.narrow_by, list) or not all(isinstance(name, str) for name in self.narrow_by):
            raise ValidationError({"narrow_by": _('Expected a list of names like ["category"].')})
