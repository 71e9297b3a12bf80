"""Workflows that are built in the admin: steps, and triggers between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lingstream.core.engine.graph import Graph, Node
from lingstream.core.engine.inline import inner_workflows
from lingstream.core.engine.kinds import check_options
from lingstream.core.engine.plan import JOINED, StepPlan, TriggerPlan
from lingstream.core.engine.registry import registered
from lingstream.core.engine.rendering import text_problems

from ..access.policy import default_access
from ..conf import app_settings
from ..core import templates
from ..core.exceptions import OptionError, UsageError
from ..providers import kind_of as provider_kind
from .fields import JSONTextField
from .graphs import graph_faults
from .needed import NeededRows
from .phrases import translated
from .prompts import Prompt, Provider
from .validators import validate_glob, validate_globs, validate_limits, validate_object, validate_schema
from .versions import Versioned

__all__ = ["Step", "Trigger", "Workflow"]


class Workflow(Versioned):
    """A named recipe. One with the slug of a workflow in Python gives that its schema, access and limits."""

    class Access(models.TextChoices):
        ANYONE = "anyone", _("anyone")
        AUTHENTICATED = "authenticated", _("signed-in users")
        PERMISSION = "permission", _("users with the permission “Can start workflows”")

    class OnDisconnect(models.TextChoices):
        CONTINUE = "continue", _("go on")
        CANCEL = "cancel", _("cancel after a grace period")

    class WhenBusy(models.TextChoices):
        ENQUEUE = "enqueue", _("wait for its turn")
        REJECT = "reject", _("refuse the new run")
        INTERRUPT = "interrupt", _("cancel the running one")

    slug = models.SlugField(
        _("slug"),
        max_length=100,
        unique=True,
        help_text=_("Name in URLs and in the page's workflow attribute."),
    )
    name = models.CharField(_("name"), max_length=200, blank=True, help_text=_("Title for people."))
    description = models.TextField(_("description"), blank=True)
    input_schema = JSONTextField(
        _("input schema"),
        default=dict,
        blank=True,
        validators=[validate_schema],
        help_text=_(
            "JSON schema of what a run is started with; other input is refused. Empty accepts anything. For "
            'example {"type": "object", "properties": {"question": {"type": "string", "maxLength": 2000}}, '
            '"required": ["question"]}'
        ),
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: no new run starts."))
    access = models.CharField(
        _("who may start it"),
        max_length=20,
        choices=Access.choices,
        default=default_access,
        help_text=_(
            "Each run costs money: “anyone” is for the whole internet, as far as the throttle lets it."
        ),
    )
    show_reasoning = models.BooleanField(
        _("show reasoning"),
        default=False,
        help_text=_(
            "Viewers get what the models think on the way. Staff find it with each bot run in any case."
        ),
    )
    limits = JSONTextField(
        _("limits"),
        default=dict,
        blank=True,
        validators=[validate_limits],
        help_text=_(
            'Bounds of one run, of which those left out keep their default: {"bots": 64, "depth": 8, '
            '"seconds": 600, "characters": 2000000}.'
        ),
    )
    on_disconnect = models.CharField(
        _("when the last viewer leaves"),
        max_length=20,
        choices=OnDisconnect.choices,
        default=OnDisconnect.CONTINUE,
    )
    when_busy = models.CharField(
        _("when its conversation has a running run"),
        max_length=20,
        choices=WhenBusy.choices,
        default=WhenBusy.ENQUEUE,
    )
    retention_days = models.PositiveIntegerField(
        _("keep runs for"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(36_500)],
        help_text=_("Days after their end; then they are deleted with their step runs. Empty: for ever."),
    )
    private = models.BooleanField(
        _("private"),
        default=False,
        db_default=False,
        help_text=_("In the admin, what its runs are asked is shown only to staff who may change workflows."),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = NeededRows.as_manager()

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        ordering = ["slug"]
        permissions = [
            ("start_workflow", "Can start workflows"),
            ("publish_workflow", "Can publish workflows"),
        ]

    def __str__(self) -> str:
        return self.name or self.slug

    def clean(self) -> None:
        old = Workflow.objects.filter(pk=self.pk).first() if self.pk else None
        if old and old.slug != self.slug and (users := old.executed_by()):
            raise ValidationError({"slug": old.in_use(users)})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the workflow with its steps, triggers and versions.

        :raises ProtectedError: others execute it inside.
        """
        self.refuse_deletion()
        return super().delete(*args, **kwargs)

    def executed_by(self) -> list[Workflow]:
        """Return the enabled workflows that execute this one inside, as published or as they are edited.

        There are none where a function has its slug, which goes on without the row.
        """
        if self.slug in registered():
            return []
        rows = Workflow.objects.filter(enabled=True).exclude(pk=self.pk).select_related("published")
        return [row for row in rows.prefetch_related("steps") if self.slug in row.executes()]

    def executes(self) -> set[str]:
        """Return the slugs of the workflows that it executes inside, as published or as it is edited."""
        published = self.published.data["steps"] if self.published else []
        plans = [StepPlan(each["name"], each["kind"], options=each["options"]) for each in published]
        drafts = [step.to_plan() for step in self.steps.all()]
        return {*inner_workflows([*plans, *drafts])}

    def in_use(self, users: Iterable[Workflow]) -> str:
        """Say why the workflow stays as it is called."""
        text = _("%(users)s execute it inside. Have these workflows go without it before it goes.")
        return text % {"users": ", ".join(user.slug for user in users)}

    def refuse_deletion(self, going: Sequence[Workflow] = ()) -> None:
        """Do nothing, unless other workflows execute this one inside.

        :param going: those that are deleted with it.
        :raises ProtectedError: they do.
        """
        if users := [user for user in self.executed_by() if user not in going]:
            raise ProtectedError(self.in_use(users), set(users))


class Step(models.Model):
    """A node of a workflow. Steps that no trigger targets start with the run."""

    class Format(models.TextChoices):
        JSON = "json", _("JSON, parsed while it streams")
        TEXT = "text", _("text, appended at the root")
        HTML = "html", _("HTML, as a tree of nodes")

    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="steps", verbose_name=_("workflow")
    )
    name = models.CharField(
        _("name"),
        max_length=100,
        validators=[RegexValidator(r"\A[\w-]+\Z", _("Expected letters, digits, - and _."))],
        help_text=_("Triggers and events name the step by it; its runs are called name#1, name#2, …"),
    )
    kind = models.CharField(
        _("kind"), max_length=50, default="bot", help_text=_("What it does; a bot asks a model.")
    )
    options = JSONTextField(
        _("options"),
        default=dict,
        db_default={},
        blank=True,
        validators=[validate_object],
        help_text=_("Of the step's kind; a bot has none. Texts are templates."),
    )
    timeout = models.FloatField(
        _("time-out"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(86_400)],
        help_text=_("Seconds that one try may take. Empty: as long as the run."),
    )
    retries = models.PositiveSmallIntegerField(
        _("retries"),
        default=0,
        db_default=0,
        validators=[MaxValueValidator(5)],
        help_text=_("How often a try that failed before it said anything is made again, 0 to 5."),
    )
    prompt = models.ForeignKey(
        Prompt,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="steps",
        verbose_name=_("prompt"),
        help_text=_("The system message. Empty sends none."),
    )
    label = models.SlugField(
        _("label"),
        max_length=50,
        default="production",
        help_text=_("Which label of the prompt decides its version."),
    )
    pinned = models.PositiveIntegerField(
        _("pinned version"),
        null=True,
        blank=True,
        help_text=_("A version's number, for a step that follows no label. Empty: what the label points at."),
    )
    variables = JSONTextField(
        _("variables"),
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text=_("Values for the prompt's declared variables, where they differ from its defaults."),
    )
    provider = models.ForeignKey(
        Provider,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="steps",
        verbose_name=_("provider"),
        help_text=_("Empty for the site's default provider."),
    )
    model = models.CharField(
        _("model"), max_length=200, blank=True, help_text=_("Empty for the provider's default model.")
    )
    params = JSONTextField(
        _("parameters"),
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text=_('Further parameters of the model call: {"temperature": 0.2, "max_tokens": 500}.'),
    )
    input = models.TextField(
        _("input"),
        default="{{ value }}",
        blank=True,
        help_text=_(
            "Template of what it works on, of a bot the user message. {{ value }} is what the trigger saw; "
            "a step that starts with the run rather wants {{ input.question }}."
        ),
    )
    root = models.CharField(
        _("root"),
        max_length=500,
        blank=True,
        help_text=_(
            "Where in the document the step writes, a template: outline/{{ match[0] }}/details. "
            "Empty for the top."
        ),
    )
    format = models.CharField(_("output"), max_length=10, choices=Format.choices, default=Format.JSON)
    only = JSONTextField(
        _("send only"),
        default=list,
        blank=True,
        validators=[validate_globs],
        help_text=_('Uri patterns below the root; nothing else reaches viewers: ["answer", "links/*"].'),
    )
    exclude = JSONTextField(
        _("do not send"),
        default=list,
        blank=True,
        validators=[validate_globs],
        help_text=_("Uri patterns below the root that start triggers but never reach viewers."),
    )
    quiet = models.BooleanField(_("quiet"), default=False, help_text=_("Starts triggers, but sends nothing."))
    optional = models.BooleanField(
        _("optional"), default=False, help_text=_("Its failure does not fail the run.")
    )
    history = models.BooleanField(
        _("history"), default=False, help_text=_("Sends the conversation so far before the input.")
    )
    schema = JSONTextField(
        _("output schema"),
        null=True,
        blank=True,
        default=None,
        validators=[validate_schema],
        help_text=_(
            "JSON schema of the output: sent to models that support it, and what comes is mended to fit it "
            "(docs/schema.md)."
        ),
    )
    position = models.PositiveIntegerField(
        _("position"), default=0, help_text=_("Order on this page; equal ones stay as they were added.")
    )

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ["workflow", "position", "id"]
        constraints = [models.UniqueConstraint(fields=["workflow", "name"], name="lingstream_step_name")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        self._check_version()
        _raise_problems(
            {
                "input": (templates.check, self.input, self.names()),
                "root": (templates.check_uri, self.root, set()),
            }
        )
        self._check_params()
        self._check_kind()

    def to_plan(self) -> StepPlan:
        """Return what a plan has of every step; of a bot it has more than this row."""
        return StepPlan(
            name=self.name,
            kind=self.kind,
            input=self.input,
            root=self.root,
            only=tuple(self.only),
            exclude=tuple(self.exclude),
            quiet=self.quiet,
            optional=self.optional,
            options=self.options,
            timeout=self.timeout,
            retries=self.retries,
            format=self.format,  # type: ignore[arg-type]  # the column's choices are the literal's
            schema=self.schema,
        )

    def _check_version(self) -> None:
        """Refuse a label or a version that the prompt does not have."""
        if self.pinned is not None:
            if self.prompt is None or self.prompt.version(self.pinned) is None:
                raise ValidationError({"pinned": _("Expected the number of a version of the prompt.")})
            return
        labels = list(self.prompt.labels.values_list("name", flat=True)) if self.prompt else [self.label]
        if self.label not in labels:
            text = _("Expected a label of the prompt “%(prompt)s”; it has: %(has)s.")
            has = ", ".join(labels) or _("none yet")
            raise ValidationError({"label": text % {"prompt": self.prompt, "has": has}})

    def _check_params(self) -> None:
        given = app_settings()
        provider = self.provider or Provider.objects.filter(name=given.default_provider).first()
        if provider is None or not isinstance(self.params, dict):
            return
        try:
            provider_kind(provider.kind, given.provider_kinds).check_params(self.params)
        except OptionError as error:
            problem = _("%(provider)s takes no such parameter: %(problem)s")
            said = {"provider": provider, "problem": translated(error.message)}
            raise ValidationError({"params": problem % said}) from error
        except UsageError:
            return  # the provider's own page says what is wrong with its kind

    def _check_kind(self) -> None:
        plan = self.to_plan()
        try:
            check_options(plan)
        except OptionError as error:
            problem = _option_error(error.uri, translated(error.message), "%(problem)s")
            raise ValidationError({"options": problem}) from error
        except UsageError as error:
            field = "kind" if error.code == "unknown-kind" else "options"
            raise ValidationError({field: translated(error.message)}) from error
        self._check_inner(plan)
        problems = [_option_error(where, translated(each.text)) for where, each in text_problems(plan)]
        if problems:
            raise ValidationError({"options": problems})

    def _check_inner(self, plan: StepPlan) -> None:
        """Refuse a workflow inside that is none, or that leads back to this one."""
        if not inner_workflows([plan]):
            return
        above: dict[str, str] = {}  # each by the one that executes it
        pending = [(slug, self.workflow.slug) for slug in inner_workflows([plan])]
        while pending:
            slug, by = pending.pop()
            if slug == self.workflow.slug:
                ring = [slug]
                while by != slug:
                    ring.append(by)
                    by = above[by]
                text = " → ".join([slug, *reversed(ring)])
                problem = _("Expected no circle, got %(ring)s.") % {"ring": text}
                raise ValidationError({"options": _option_error("workflow", problem)})
            if slug not in above:
                above[slug] = by
                steps = Step.objects.filter(workflow__slug=slug, kind=self.kind)
                pending += [(each, slug) for each in inner_workflows(step.to_plan() for step in steps)]
        for slug in inner_workflows([plan]):
            if slug not in registered() and not Workflow.objects.filter(slug=slug).exists():
                problem = _("Expected the slug of a workflow, got “%(slug)s”.") % {"slug": slug}
                raise ValidationError({"options": _option_error("workflow", problem)})

    def to_node(self) -> Node:
        """Return what a graph has to know of the step; the prompt's text is that of its version."""
        text = ""
        if self.prompt:
            which = {"number": self.pinned} if self.pinned else {"labels__name": self.label}
            text = self.prompt.versions.filter(**which).values_list("text", flat=True).first() or ""
        return replace(Node.of(self.to_plan()), prompt=text, history=self.history)

    def names(self) -> set[str]:
        """Variables that this step's input may use beside the built-in names."""
        declared = self.prompt.variables if self.prompt else {}
        own = self.variables if isinstance(self.variables, dict) else {}
        return {*declared, *own}


class Trigger(models.Model):
    """When a step emits an event at a uri, another one starts."""

    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="triggers", verbose_name=_("workflow")
    )
    source = models.ForeignKey(
        Step,
        on_delete=models.CASCADE,
        related_name="outgoing",
        verbose_name=_("when"),
        help_text=_("This step…"),
    )
    target = models.ForeignKey(
        Step,
        on_delete=models.CASCADE,
        related_name="incoming",
        verbose_name=_("start"),
        help_text=_("This step."),
    )
    event = models.CharField(
        _("event"),
        max_length=50,
        default="string-response",
        help_text=_(
            "string-response: a text field is complete; object-response: an object or list is; joined: the "
            "step has ended, and so has all that it led to."
        ),
    )
    pattern = models.CharField(
        _("at"),
        max_length=500,
        blank=True,
        validators=[validate_glob],
        help_text=_(
            "Uri pattern: answer, or outline/*/topic; * is one segment, ** any number. Empty: anywhere."
        ),
    )
    condition = models.CharField(
        _("condition"),
        max_length=1000,
        blank=True,
        help_text=_("Expression that must hold, for example value|length > 20. Empty: always."),
    )
    input = models.TextField(
        _("input"), blank=True, help_text=_("Template of what it works on. Empty for the started step's own.")
    )
    root = models.CharField(  # noqa: DJ001  # "" is a root of its own: the top of the document
        _("root"),
        max_length=500,
        null=True,
        blank=True,
        help_text=_(
            "Template of where the started step writes. Empty for that step's own root; {# top #} for the "
            "top."
        ),
    )
    partial = models.BooleanField(
        _("also partial"),
        default=False,
        help_text=_("Start also at a field inside which a limit on its length cut the model's answer off."),
    )
    otherwise = models.BooleanField(
        _("otherwise"),
        default=False,
        db_default=False,
        help_text=_("Only where no other trigger of this step, event and field starts anything."),
    )
    position = models.PositiveIntegerField(
        _("position"), default=0, help_text=_("Order on this page; equal ones stay as they were added.")
    )

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        ordering = ["workflow", "position", "id"]

    def __str__(self) -> str:
        if not (self.source_id and self.target_id):
            return "?"
        words = (self.source, self.event, self.pattern, "otherwise" * self.otherwise, "→", self.target)
        return " ".join(str(word) for word in words if word)

    #: Set by who sees all triggers of the workflow at once and looks at the whole of them.
    is_looked_at_with_others = False

    def clean(self) -> None:
        for field in ("source", "target"):
            if getattr(self, f"{field}_id") and getattr(self, field).workflow_id != self.workflow_id:
                raise ValidationError({field: _("Expected a step of this workflow, got one of another.")})
        names = self.target.names() if self.target_id else None
        more = {"failed"} if self.event == JOINED else set()
        _raise_problems(
            {
                "condition": (templates.check_condition, self.condition, more),
                "input": (templates.check, self.input, names and names | more),
                "root": (templates.check_uri, self.root or "", more),
            }
        )
        if not self.is_looked_at_with_others and self.workflow_id and self.source_id and self.target_id:
            self._check_graph()

    def to_plan(self, source: str | None = None, target: str | None = None) -> TriggerPlan:
        """Return the trigger as a plan has it.

        :param source: the name of that step, where it is about to have another one; likewise ``target``.
        """
        return TriggerPlan(
            source=self.source.name if source is None else source,
            target=self.target.name if target is None else target,
            event=self.event,
            pattern=self.pattern,
            condition=self.condition,
            input=self.input,
            root=self.root,
            partial=self.partial,
            otherwise=self.otherwise,
        )

    def _check_graph(self) -> None:
        """Refuse what cannot work beside the other triggers, as they are stored.

        A step that nothing leads to is none of it: the trigger that leads there may be the next one.
        """
        if self.workflow.slug in registered():
            return  # a function decides what starts
        others = self.workflow.triggers.exclude(pk=self.pk).select_related("source", "target")
        triggers = (*(other.to_plan() for other in others), self.to_plan())
        steps = self.workflow.steps.select_related("prompt")
        found = graph_faults(Graph(tuple(step.to_node() for step in steps), triggers))
        errors = {
            fault.field or NON_FIELD_ERRORS: fault.message
            for fault in found
            if fault.level == "error"
            and (fault.trigger == len(triggers) - 1 or fault.code == "nothing-starts")
        }
        if errors:
            raise ValidationError(errors)


_Check = tuple[Callable[[str, set[str] | None], list[Any]], str, set[str] | None]


def _option_error(uri: str, problem: Any, message: str = "%(uri)s: %(problem)s") -> ValidationError:
    """What is wrong at a place in the options, which who has a field for each needs apart."""
    return ValidationError(message, params={"uri": uri, "problem": problem})


def _raise_problems(checks: dict[str, _Check]) -> None:
    found = {field: check(source, names) for field, (check, source, names) in checks.items() if source}
    errors = {
        field: [translated(problem.text) for problem in problems]
        for field, problems in found.items()
        if problems
    }
    if errors:
        raise ValidationError(errors)
