"""Examples: inputs that are kept with a workflow, to try it with."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import JSONTextField
from .workflows import Workflow

__all__ = ["Example"]


class Example(models.Model):
    """What a workflow may be tried with, under a name for people; each tenant has its own."""

    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="examples", verbose_name=_("workflow")
    )
    scope = models.CharField(
        _("scope"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text=_("Free for a site with tenants: the tenant's name."),
    )
    name = models.CharField(_("name"), max_length=200)
    input = JSONTextField(
        _("input"),
        null=True,
        blank=True,
        default=None,
        help_text=_("What the run is started with, as JSON."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("example")
        verbose_name_plural = _("examples")
        ordering = ["workflow", "scope", "name"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "scope", "name"], name="lingstream_example_name")
        ]

    def __str__(self) -> str:
        return self.name
