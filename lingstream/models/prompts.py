"""Providers and prompts: who may answer, and what they are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Max, ProtectedError, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.plan import ProviderPlan

from ..conf import app_settings
from ..core import templates
from ..core.exceptions import UsageError
from ..providers import kind_names
from ..providers.policy import check_provider, look_up_provider
from .fields import JSONTextField
from .fragments import Choose, includes, problems
from .immutable import ImmutableQuerySet, refuse_change
from .needed import NeededRows
from .phrases import translated
from .validators import validate_object, validate_prices, validate_variables

__all__ = ["LIVE", "Prompt", "PromptVersion", "Provider", "labelled"]

#: The label that steps ask for unless they say otherwise.
LIVE = "production"

# Where an error of a provider's settings is shown; the others are about its address.
_FIELDS = {"kind": "kind", "key-not-listed": "key_name", "option": "options"}


class Provider(models.Model):
    """Where a model lives.

    Its add, change, delete and view permissions are its own: a prompt editor who may change steps chooses a
    provider by name, and can neither see its address nor send a key anywhere else.
    """

    name = models.SlugField(
        _("name"),
        max_length=100,
        unique=True,
        help_text=_("Steps and Python workflows name the provider by it."),
    )
    kind = models.CharField(
        _("kind"),
        max_length=50,
        default="openai",
        help_text=_("“openai” speaks to every OpenAI-compatible server; “scripted” plays recorded answers."),
    )
    base_url = models.CharField(
        _("base URL"),
        max_length=500,
        blank=True,
        help_text=_(
            "Address of the API, for example https://api.openai.com/v1 or http://localhost:11434/v1."
        ),
    )
    key_name = models.CharField(
        _("key name"),
        max_length=200,
        blank=True,
        help_text=_(
            "Name of the environment variable that holds the key; the key itself is never stored. Only names "
            "listed in the setting LINGSTREAM['PROVIDER_KEYS'], and only for the addresses listed there. "
            "Empty for a server that needs no key, such as Ollama."
        ),
    )
    default_model = models.CharField(
        _("default model"), max_length=200, blank=True, help_text=_("Used by steps that name no model.")
    )
    options = JSONTextField(
        _("options"),
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text=_(
            'Passed to the provider, for example {"timeout": 30, "max_retries": 2} or, for Azure, '
            '{"api_version": "2025-04-01-preview", "azure": true}.'
        ),
    )
    max_concurrency = models.PositiveIntegerField(
        _("max. concurrent calls"),
        null=True,
        blank=True,
        help_text=_("Calls that one process makes at the same time; further ones wait. Empty for no bound."),
    )
    prices = JSONTextField(
        _("prices"),
        default=dict,
        db_default={},
        blank=True,
        validators=[validate_prices],
        help_text=_(
            'What a million tokens cost, by model, in a currency of your choice; "*" is every other model: '
            '{"large": {"input": 2.5, "output": 10}, "*": {"input": 0.1, "output": 0.4}}.'
        ),
    )

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        kinds = kind_names(app_settings().provider_kinds)
        if self.kind not in kinds:
            raise ValidationError(
                {
                    "kind": _("Expected one of %(kinds)s, got “%(got)s”.")
                    % {"kinds": ", ".join(kinds), "got": self.kind}
                }
            )
        if self.max_concurrency == 0:
            raise ValidationError({"max_concurrency": _("Expected at least 1, or nothing for no bound.")})
        if not isinstance(self.options, dict):
            return  # the validator of the column says so
        try:
            plan = self.to_plan()
            check_provider(plan)
            look_up_provider(plan)
        except UsageError as error:
            field = _FIELDS.get(error.code, "base_url")
            raise ValidationError({field: translated(error.message)}) from error

    def to_plan(self) -> ProviderPlan:
        """Return the row as the core sees it."""
        return ProviderPlan(
            name=self.name,
            kind=self.kind,
            base_url=self.base_url,
            key_name=self.key_name,
            model=self.default_model,
            max_concurrency=self.max_concurrency,
            options=dict(self.options),
        )


class Prompt(models.Model):
    """A named prompt; its text lives in numbered versions that never change."""

    slug = models.SlugField(
        _("slug"), max_length=100, unique=True, help_text=_("Name in steps and in Python.")
    )
    name = models.CharField(_("name"), max_length=200, blank=True, help_text=_("Title for people."))
    description = models.TextField(_("description"), blank=True, help_text=_("What the prompt is for."))
    variables = JSONTextField(
        _("declared variables"),
        default=dict,
        blank=True,
        validators=[validate_variables],
        help_text=_(
            "Names the text may use beside the built-in ones, with their default values: "
            '{"tone": "friendly"}. A step may override them.'
        ),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = NeededRows.as_manager()

    class Meta:
        verbose_name = _("prompt")
        verbose_name_plural = _("prompts")
        ordering = ["slug"]
        permissions = [("publish_prompt", "Can publish prompts: move their labels")]

    def __str__(self) -> str:
        return self.name or self.slug

    @property
    def newest(self) -> PromptVersion | None:
        """The version with the highest number, if there is one."""
        return self.versions.order_by("-number").first()

    @property
    def live(self) -> PromptVersion | None:
        """The version that :data:`LIVE` points at, if there is one."""
        return self.versions.filter(labels__name=LIVE).first()

    def version(self, number: int | str) -> PromptVersion | None:
        """Return the version with this number, which may come from a URL."""
        text = str(number)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            return None
        return self.versions.filter(number=int(text)).first()

    def check_text(self, text: str, messages: bool = False) -> list[templates.Problem]:
        """Return what is wrong with ``text`` as a version of this prompt; arguments as its columns."""
        return PromptVersion(prompt=self, text=text, messages=messages).problems()

    def included_by(self, label: str = "") -> list[PromptVersion]:
        """Return the versions of other prompts that runs may use and that include this one.

        :param label: by this label of it; ``""`` for any.
        """
        pinned = Q(prompt__steps__pinned=F("number")) | Q(prompt__published_steps__pinned=F("number"))
        used = Q(labels__isnull=False) | Q(tests__isnull=False) | pinned
        rows = PromptVersion.objects.filter(used, text__contains=f"prompt:{self.slug}").distinct()
        return [
            row
            for row in rows.select_related("prompt").order_by("prompt__slug", "number")
            if any(slug == self.slug and label in ("", name) for slug, name in includes(row))
        ]

    def clean(self) -> None:
        old = Prompt.objects.filter(pk=self.pk).first() if self.pk else None
        if old and old.slug != self.slug and (users := old.included_by()):
            raise ValidationError({"slug": old.in_use(users)})

    def in_use(self, users: Iterable[PromptVersion]) -> str:
        """Say why the prompt stays as it is called."""
        text = _("It is included by %(users)s. Have these prompts go without it before it goes.")
        return text % {"users": ", ".join(map(str, users))}

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the prompt with its versions.

        :raises ProtectedError: others include it, or steps have it.
        """
        self.refuse_deletion()
        return super().delete(*args, **kwargs)

    def refuse_deletion(self, going: Sequence[Prompt] = ()) -> None:
        """Do nothing, unless other prompts include this one.

        :param going: those that are deleted with it.
        :raises ProtectedError: they do.
        """
        if users := [user for user in self.included_by() if user.prompt not in going]:
            raise ProtectedError(self.in_use(users), set(users))


class PromptVersion(models.Model):
    """One text of a prompt. Rows are written once: a change is the next version.

    Versions go when their prompt goes, and only then.
    """

    prompt = models.ForeignKey(
        Prompt, on_delete=models.CASCADE, related_name="versions", verbose_name=_("prompt")
    )
    number = models.PositiveIntegerField(_("number"), editable=False)
    text = models.TextField(
        _("text"),
        blank=True,
        help_text=_(
            "The system message, a Jinja2 template. It may use input, value, uri, match, document, history "
            "and the declared variables: {{ input.question }}, {% if value %}…{% endif %}."
        ),
    )
    messages = models.BooleanField(
        _("several messages"),
        default=False,
        db_default=False,
        help_text=_(
            "Lines “## user” and “## assistant” begin messages, examples of questions and answers; what "
            "stands above them is the system message."
        ),
    )
    note = models.CharField(_("note"), max_length=200, blank=True, help_text=_("What changed, and why."))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = ImmutableQuerySet.as_manager()

    class Meta:
        verbose_name = _("prompt version")
        verbose_name_plural = _("prompt versions")
        ordering = ["prompt", "-number"]
        constraints = [models.UniqueConstraint(fields=["prompt", "number"], name="lingstream_version_number")]

    def __str__(self) -> str:
        return f"{self.prompt.slug} v{self.number}" if self.number else self.prompt.slug

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the version under the prompt's next number.

        :raises UsageError: the version is stored already.
        """
        if not self._state.adding:
            refuse_change(type(self), "save")
        with transaction.atomic(using=kwargs.get("using")):
            # A write, because it locks the prompt on every database; SQLite ignores select_for_update.
            Prompt.objects.filter(pk=self.prompt_id).update(updated_at=timezone.now())
            last = PromptVersion.objects.filter(prompt=self.prompt_id).aggregate(last=Max("number"))["last"]
            self.number = (last or 0) + 1
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_change(type(self), "delete")

    def clean(self) -> None:
        if found := self.problems():
            raise ValidationError({"text": [translated(problem.text) for problem in found]})

    def problems(self, choose: Choose | None = None) -> list[templates.Problem]:
        """Return what is wrong with the text.

        :param choose: decides which versions are included; the labels do unless given.
        """
        return problems(self, choose or labelled)


def labelled(prompt: Prompt, label: str) -> PromptVersion | None:
    """Return the version that a label of a prompt points at, if there is one."""
    return next((each.version for each in prompt.labels.all() if each.name == label), None)
