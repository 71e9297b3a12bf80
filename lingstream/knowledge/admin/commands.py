"""What the buttons of a source do; each returns what is told to who pressed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from lingstream.execution import ownership
from lingstream.models import Run

from .. import deletion, due, sync
from ..failures import discard, failed, look_again
from ..models import Source, Sync

__all__ = ["COMMANDS", "OF_ERRORS", "offered", "told_again", "told_left_out"]


#: What can be done about failures with one code.
OF_ERRORS = (("retry", gettext_lazy("Try again")), ("discard", gettext_lazy("Leave out")))


def offered(source: Source, run: Run | None) -> list[tuple[str, object]]:
    """Return the commands that make sense for a source now, with what stands on their buttons.

    :param run: that is at it.
    """
    if source.paused:
        return [("resume", gettext_lazy("Resume"))]
    commands: list[tuple[str, object]] = [("sync", gettext_lazy("Look now"))]
    if run or source.syncs.filter(status=Sync.Status.RUNNING).exists():
        commands.append(("stop", gettext_lazy("Stop")))
    if source.state == Source.State.CONFIRM:
        commands.append(("confirm", gettext_lazy("Confirm the deletions")))
    return [*commands, ("pause", gettext_lazy("Pause"))]


def told_again(count: int) -> str:
    """Return what is told of documents that are looked at again."""
    told = ngettext(
        "%(count)d document is looked at again.", "%(count)d documents are looked at again.", count
    )
    return told % {"count": count}


def told_left_out(count: int) -> str:
    """Return what is told of documents that are left out."""
    told = ngettext(
        "%(count)d document is left out until it changes.",
        "%(count)d documents are left out until they change.",
        count,
    )
    return told % {"count": count}


def _start(source: Source, code: str) -> str:
    if source.paused:
        return _("The source is paused; resume it first.")
    if due.request(source) is None:
        return _("Somebody is at it already; another pass follows.")
    return _("A pass has begun.")


def _stop(source: Source, code: str) -> str:
    run = due.run_at(source)
    sync.stop(source)
    if run:
        ownership.request_cancel(run)
    return _("The pass is stopped, and the source is paused.")


def _pause(source: Source, code: str) -> str:
    Source.objects.filter(pk=source.pk).update(paused=True)
    return _("The source is paused; a pass that is under way goes on.")


def _resume(source: Source, code: str) -> str:
    Source.objects.filter(pk=source.pk).update(paused=False)
    due.wake(source.pk)
    return _("The source is looked at again.")


def _confirm(source: Source, code: str) -> str:
    deletion.confirm(source)
    # Not by another pass, which would ask for a confirmation of its own.
    if due.go_on(source.pk) is None:
        return _("It is confirmed; whoever is at the source deletes what has vanished.")
    return _("What has vanished is being deleted.")


def _retry(source: Source, code: str) -> str:
    return told_again(look_again(failed(source, code)))


def _discard(source: Source, code: str) -> str:
    return told_left_out(discard(failed(source, code)))


#: By the name in the page's forms. A code says which failures are meant, where a command is about those.
COMMANDS: Mapping[str, Callable[[Source, str], str]] = {
    "sync": _start,
    "stop": _stop,
    "pause": _pause,
    "resume": _resume,
    "confirm": _confirm,
    "retry": _retry,
    "discard": _discard,
}
