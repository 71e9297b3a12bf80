"""Golden questions: what was expected of each, what came when it was asked last, and asking them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from lingstream.admin.media import LingAdmin, tenant
from lingstream.core.exceptions import LingError
from lingstream.models.phrases import translated

from ..evaluation import HITS, MOST, evaluate, request_evaluation
from ..models import Question

__all__ = ["QuestionAdmin", "evaluated", "shows_what_came"]

_AT_ONCE = 25  # questions that are asked within a request
_SECONDS = 10.0  # for them; the others are asked behind it


class RankFilter(admin.SimpleListFilter):
    """Where what was expected came."""

    title = gettext_lazy("what was expected")
    parameter_name = "came"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("first", gettext_lazy("came among the first 3")),
            ("late", gettext_lazy("came behind them")),
            ("not", gettext_lazy("did not come")),
            ("never", gettext_lazy("not asked yet")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Question]) -> QuerySet[Question]:
        chosen: dict[str, dict[str, Any]] = {
            "first": {"rank__range": (1, 3)},
            "late": {"rank__gt": 3},
            "not": {"rank": 0},
            "never": {"rank": None},
        }
        return queryset.filter(**chosen.get(self.value() or "", {}))


@admin.register(Question)
class QuestionAdmin(LingAdmin):
    """What a search of a collection should find, and what it found."""

    list_display = ("text", "collection", "shown_rank", "shown_expected", "shown_found", "asked_at")
    list_filter = ("collection", RankFilter)
    list_select_related = ("collection",)
    search_fields = ("text",)
    autocomplete_fields = ("collection",)
    fields = ("collection", "text", "expected", "language", "shown_rank", "shown_found", "asked_at")
    readonly_fields = ("shown_rank", "shown_found", "asked_at")
    actions = ("evaluate_selected",)

    def get_list_display(self, request: HttpRequest) -> Any:
        return _open_to(request, self.list_display)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return _open_to(request, self.fields)

    @admin.action(description=gettext_lazy("Evaluate selected questions"), permissions=["change"])
    def evaluate_selected(self, request: HttpRequest, queryset: QuerySet[Question]) -> None:
        self.message_user(request, *evaluated(queryset))

    @admin.display(description=gettext_lazy("rank"), ordering="rank")
    def shown_rank(self, question: Question) -> str:
        if question.rank is None:
            return "-"
        return str(question.rank) if question.rank else _("not among %(count)d") % {"count": HITS}

    @admin.display(description=gettext_lazy("expected"))
    def shown_expected(self, question: Question) -> SafeString:
        return _lines(question.expected)

    @admin.display(description=gettext_lazy("what came"))
    def shown_found(self, question: Question) -> SafeString:
        """The passages in their order, and which of them were expected."""
        rows = [
            ("✓ " if each["key"] in question.expected else "", each["key"], _told(each))
            for each in question.found
        ]
        return format_html("<ol>{}</ol>", format_html_join("", '<li>{}<span title="{}">{}</span></li>', rows))


def evaluated(questions: QuerySet[Question]) -> tuple[str, int]:
    """Ask questions, and the rest of them behind the request; return what is told, and at which level."""
    rows = list(questions.select_related("collection").order_by("asked_at", "pk")[: MOST + 1])
    if len(rows) > MOST:
        told = _("Expected up to %(most)d questions at once, got more.") % {"most": MOST}
        return told, messages.ERROR
    try:
        left = async_to_sync(evaluate)(rows, _SECONDS) if len(rows) <= _AT_ONCE else rows
        if left:
            request_evaluation(left)
    except LingError as error:
        return translated(error.message), messages.ERROR
    if not left:
        asked = ngettext("%(count)d question was asked.", "%(count)d questions were asked.", len(rows))
        return asked % {"count": len(rows)}, messages.SUCCESS
    behind = ngettext("%(count)d question is being asked.", "%(count)d questions are being asked.", len(left))
    return behind % {"count": len(left)}, messages.INFO


def shows_what_came(request: HttpRequest) -> bool:
    """Whether who looks may see what the site itself finds: who sees one tenant alone may not."""
    return not tenant(request)


def _open_to(request: HttpRequest, names: Sequence[str]) -> list[str]:
    return [name for name in names if name != "shown_found" or shows_what_came(request)]


def _told(found: dict[str, Any]) -> str:
    return " › ".join([found["title"] or found["key"], *found["heading"]])


def _lines(texts: Sequence[str]) -> SafeString:
    return format_html_join("", "<div>{}</div>", ((text,) for text in texts))
