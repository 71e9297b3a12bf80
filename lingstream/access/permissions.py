"""Who may start, read and cancel: asked on every message, in this module and nowhere else.

A run is open to its owner, to the visitor or the browser session that started it, to users with a permission,
and to who shows a signed token that the start returned: all of them within its scope only. One of them is
enough; who shows a token that opens nothing (it is old, or another run's) is asked for the others.
A trial is open to staff only, whoever else could show its token, and nobody's opinion of it is kept.
"""

from __future__ import annotations

from lingstream.core.engine.registry import declared, registered
from lingstream.core.exceptions import AccessError
from lingstream.core.phrases import Phrase
from lingstream.models import Conversation, Run, Workflow

from .identity import Identity
from .policy import default_access
from .tokens import check_token

__all__ = ["check_cancel", "check_conversation", "check_feedback", "check_read", "check_start"]


def check_start(slug: str, workflow: Workflow | None, identity: Identity) -> None:
    """Check that ``identity`` may start runs of a workflow.

    :param workflow: its row, which decides; without one a workflow in Python says it itself.
    :raises AccessError: it may not.
    """
    if identity.trusted or (workflow is None and slug not in registered()):
        return  # where there is nothing to start, the plan will say so
    if declared(slug).access == "code":
        raise AccessError(Phrase("expected the site's own code to start this workflow"))
    access = workflow.access if workflow else declared(slug).access or default_access()
    if access == Workflow.Access.ANYONE:
        return
    if not identity.user.is_authenticated:
        raise AccessError(Phrase("expected a signed-in user to start this workflow, got an anonymous one"))
    if access != Workflow.Access.AUTHENTICATED and not identity.user.has_perm("lingstream.start_workflow"):
        raise AccessError(Phrase("expected the permission lingstream.start_workflow"))


def check_read(run: Run, identity: Identity, token: str | None = None) -> None:
    """Check that ``identity`` may read ``run``.

    :raises AccessError: it may not.
    """
    _check(run, identity, token, "lingstream.view_run", reading=True)


def check_cancel(run: Run, identity: Identity, token: str | None = None) -> None:
    """Check that ``identity`` may cancel ``run``.

    :raises AccessError: it may not.
    """
    _check(run, identity, token, "lingstream.cancel_run", reading=False)


def check_feedback(run: Run, identity: Identity, token: str | None = None) -> None:
    """Check that ``identity`` may say what it thinks of ``run``: its owner, or who shows its token.

    :raises AccessError: it may not.
    """
    if run.trial or not identity.sees(run.scope):
        raise _strange()
    fault = _strange() if not token else _token_fault(run, token, reading=False)
    if fault and not _owns(run, identity):
        raise fault


def check_conversation(conversation: Conversation, identity: Identity) -> None:
    """Check that ``identity`` may add to ``conversation``; a run's token does not let anybody.

    :raises AccessError: it may not.
    """
    if not _owns(conversation, identity):
        raise AccessError(Phrase("this conversation belongs to somebody else"))


def _check(run: Run, identity: Identity, token: str | None, permission: str, *, reading: bool) -> None:
    if not identity.sees(run.scope) or (run.trial and not getattr(identity.user, "is_staff", False)):
        raise _strange()
    fault = _strange() if not token else _token_fault(run, token, reading=reading)
    if fault and not (_owns(run, identity) or identity.user.has_perm(permission)):
        raise fault


def _token_fault(run: Run, token: str, *, reading: bool) -> AccessError | None:
    try:
        check_token(run.pk, token, reading=reading)
    except AccessError as fault:
        return fault
    return None


def _strange() -> AccessError:
    message = Phrase("this run belongs to somebody else; its owner, its session or its token opens it")
    return AccessError(message)


def _owns(row: Run | Conversation, identity: Identity) -> bool:
    if not identity.sees(row.scope):
        return False
    if identity.trusted:  # the site's own code names the owner, and nobody is one as well
        return row.owner_key == identity.owner_key
    if row.owner_id is not None:
        return bool(row.owner_id == identity.owner_id)
    if row.visitor:
        return row.visitor == identity.visitor
    return bool(row.session_key) and row.session_key == identity.session
