"""Labels: the names by which steps ask for a version of a prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import ProtectedError
from django.utils.translation import gettext_lazy as _

from .phrases import translated
from .prompts import Prompt, PromptVersion, labelled

__all__ = ["PromptLabel"]


class _LabelQuerySet(models.QuerySet):  # type: ignore[type-arg]
    def update(self, **kwargs: Any) -> int:
        if {"name", "prompt", "prompt_id"} & set(kwargs):
            self._refuse_live()
        if {"version", "version_id"} & set(kwargs):
            kwargs = {"other": None, "weight": 0, **kwargs}
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._refuse_live()
        return super().delete()

    def _refuse_live(self) -> None:
        for label in self.select_related("prompt"):
            label.refuse_live()


class PromptLabel(models.Model):
    """A name that points at one version: steps ask for the label, so moving it is how a prompt goes live.

    With ``other`` it is a test of two versions: ``weight`` of a hundred who start runs get the other one, and
    each of them always the same. Moving the label ends the test.
    """

    prompt = models.ForeignKey(
        Prompt, on_delete=models.CASCADE, related_name="labels", verbose_name=_("prompt")
    )
    name = models.SlugField(
        _("label"), max_length=50, help_text=_("Steps ask for “production” unless they say otherwise.")
    )
    version = models.ForeignKey(
        PromptVersion,
        on_delete=models.RESTRICT,
        related_name="labels",
        verbose_name=_("version"),
        help_text=_("The version that runs use from now on."),
    )
    other = models.ForeignKey(
        PromptVersion,
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="tests",
        verbose_name=_("test against"),
        help_text=_("A version that some get in its place. Moving the label ends the test."),
    )
    weight = models.PositiveSmallIntegerField(
        _("per cent"),
        default=0,
        db_default=0,
        validators=[MaxValueValidator(100)],
        help_text=_("How many of a hundred get that version."),
    )
    updated_at = models.DateTimeField(_("moved"), auto_now=True)

    objects = _LabelQuerySet.as_manager()

    class Meta:
        verbose_name = _("prompt label")
        verbose_name_plural = _("prompt labels")
        ordering = ["prompt", "name"]
        constraints = [models.UniqueConstraint(fields=["prompt", "name"], name="lingstream_label_name")]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the label.

        :raises ProtectedError: it was renamed, and enabled workflows use it under its old name.
        """
        if stored := self._abandoned():
            stored.refuse_live()
        self._end_test()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the label.

        :raises ProtectedError: enabled workflows use it.
        """
        self.refuse_live()
        return super().delete(*args, **kwargs)

    def clean(self) -> None:
        self._end_test()
        if self.version_id and self.other_id == self.version_id:
            raise ValidationError({"other": _("Expected another version than the label's own.")})
        for name in ("version", "other"):
            self._check_version(name)
        if (stored := self._abandoned()) and (users := stored.users()):
            raise ValidationError({"name": stored.in_use(users)})

    @property
    def standing(self) -> str:
        """What it stands for, in a few words."""
        test = f", {self.weight} % v{self.other.number}" if self.other else ""
        return f"v{self.version.number}{test}"

    def version_for(self, key: str) -> PromptVersion:
        """Return the version that whoever starts a run gets.

        :param key: who that is; ``""`` takes no part in a test.
        """
        if not (key and self.other):
            return self.version
        asked = f"{self.prompt.slug}\n{self.name}\n{key}".encode()
        share = int.from_bytes(hashlib.sha256(asked).digest()[:8]) % 100
        return self.other if share < self.weight else self.version

    def users(self) -> list[Any]:
        """The steps of enabled workflows, as published too, that ask for this label, and what includes it."""
        drafts, published = (
            steps.filter(label=self.name, pinned=None, workflow__enabled=True).select_related("workflow")
            for steps in (self.prompt.steps, self.prompt.published_steps)
        )
        found = {(step.workflow.slug, step.name): step for step in (*published, *drafts)}
        return [*(found[name] for name in sorted(found)), *self.prompt.included_by(self.name)]

    def in_use(self, users: Iterable[Any]) -> str:
        """Say why the label stays."""
        names = (
            str(user) if isinstance(user, PromptVersion) else f"{user.workflow.slug}/{user.name}"
            for user in users
        )
        text = _(
            "The label “%(label)s” of the prompt “%(prompt)s” is in use: %(users)s. Have these ask for "
            "another label, or switch the workflows off, before it goes."
        )
        return text % {"label": self.name, "prompt": self.prompt, "users": ", ".join(names)}

    def refuse_live(self) -> None:
        """Do nothing, unless enabled workflows use the label.

        :raises ProtectedError: they do.
        """
        if users := self.users():
            raise ProtectedError(self.in_use(users), set(users))

    def _end_test(self) -> None:
        """A label that is moved has no test, unless a new one is set up with it."""
        stored = PromptLabel.objects.filter(pk=self.pk).first() if self.pk else None
        if stored and stored.version_id != self.version_id and stored.other_id == self.other_id:
            self.other = None
        if self.other_id is None:
            self.weight = 0

    def _check_version(self, name: str) -> None:
        """Refuse a version that cannot be taken, or not by who includes the label."""
        version = getattr(self, name)
        if version is None or PromptLabel.objects.filter(pk=self.pk, **{name: version}).exists():
            return
        if version.prompt_id != self.prompt_id:
            raise ValidationError({name: _("Expected a version of this prompt, got one of another.")})

        def choose(prompt: Prompt, label: str) -> PromptVersion | None:
            return version if (prompt, label) == (self.prompt, self.name) else labelled(prompt, label)

        version.prompt = self.prompt
        for user in (version, *self.prompt.included_by(self.name)):
            if problems := user.problems(choose):
                texts = [f"{_of(user, version)}: {translated(problem.text)}" for problem in problems]
                raise ValidationError({name: texts})

    def _abandoned(self) -> PromptLabel | None:
        """The row as it is stored, if this one is to take its place under another name."""
        stored = PromptLabel.objects.filter(pk=self.pk).select_related("prompt").first() if self.pk else None
        is_same = stored is None or (stored.prompt_id, stored.name) == (self.prompt_id, self.name)
        return None if is_same else stored


def _of(user: PromptVersion, version: PromptVersion) -> str:
    return f"v{version.number}" if user is version else str(user)
