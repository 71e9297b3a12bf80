"""Who may start, read and cancel: asked on every message, in this module and nowhere else.

A run is open to its owner, to the browser session that started it, to users with a permission, and to who
shows the signed token that the start returned.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from .access.policy import default_access
from .conf import app_settings
from .core.exceptions import AccessError
from .core.workflow import declared, registered
from .models import Conversation, Run, Workflow, owner_key

__all__ = ["Identity", "check_cancel", "check_conversation", "check_read", "check_start", "make_token"]

_SALT = "lingstream.run"


class Identity(NamedTuple):
    """Who asks.

    :param user: a Django user, anonymous or not.
    :param session: a digest of the session key (the key itself is a credential and is not stored), or ``""``.
    :param scope: the tenant, where the site has a ``SCOPE`` function.
    """

    user: Any
    session: str = ""
    scope: str = ""

    @classmethod
    def of(cls, user: Any, session_key: str | None) -> Identity:
        """Return the identity of a user and the session key that came in the cookie."""
        user = user or AnonymousUser()
        digest = salted_hmac(_SALT, session_key, algorithm="sha256").hexdigest()[:40] if session_key else ""
        scope = app_settings().scope
        return cls(user, digest, import_string(scope)(user) if scope else "")

    @property
    def owner_id(self) -> Any:
        """The user's primary key, or ``None``."""
        return self.user.pk if self.user.is_authenticated else None

    @property
    def owner_key(self) -> str:
        """What :attr:`Run.owner_key` is for runs of this identity."""
        return owner_key(self.owner_id, self.session)


def make_token(run_id: Any) -> str:
    """Return the token that opens a run to whoever shows it, for ``TOKEN_MAX_AGE`` seconds."""
    return signing.TimestampSigner(salt=_SALT).sign(str(run_id))


def check_start(slug: str, workflow: Workflow | None, identity: Identity) -> None:
    """Check that ``identity`` may start runs of a workflow.

    :param workflow: its row, which decides; without one a workflow in Python says it itself.
    :raises AccessError: it may not.
    """
    if workflow is None and slug not in registered():
        return  # there is nothing to start, which the plan will say
    access = workflow.access if workflow else declared(slug).access or default_access()
    if access == Workflow.Access.ANYONE:
        return
    if not identity.user.is_authenticated:
        raise AccessError("expected a signed-in user to start this workflow, got an anonymous one")
    if access != Workflow.Access.AUTHENTICATED and not identity.user.has_perm("lingstream.start_workflow"):
        raise AccessError("expected the permission lingstream.start_workflow")


def check_read(run: Run, identity: Identity, token: str | None = None) -> None:
    """Check that ``identity`` may read ``run``.

    :raises AccessError: it may not.
    """
    _check(run, identity, token, "lingstream.view_run")


def check_cancel(run: Run, identity: Identity, token: str | None = None) -> None:
    """Check that ``identity`` may cancel ``run``.

    :raises AccessError: it may not.
    """
    _check(run, identity, token, "lingstream.cancel_run")


def check_conversation(conversation: Conversation, identity: Identity) -> None:
    """Check that ``identity`` may add to ``conversation``.

    :raises AccessError: it may not.
    """
    if not _owns(conversation, identity):
        raise AccessError("this conversation belongs to somebody else")


def _check(run: Run, identity: Identity, token: str | None, permission: str) -> None:
    if token:
        _check_token(run, token)
        return
    if not (_owns(run, identity) or identity.user.has_perm(permission)):
        raise AccessError("this run belongs to somebody else; its owner, its session or its token opens it")


def _owns(row: Run | Conversation, identity: Identity) -> bool:
    if row.scope != identity.scope:
        return False
    if row.owner_id is not None:
        return bool(row.owner_id == identity.owner_id)
    return bool(row.session_key) and row.session_key == identity.session


def _check_token(run: Run, token: str) -> None:
    try:
        subject = signing.TimestampSigner(salt=_SALT).unsign(token, max_age=app_settings().token_max_age)
    except signing.SignatureExpired:
        raise AccessError("the token has expired") from None
    except signing.BadSignature:
        raise AccessError("expected the token that the start returned, got another") from None
    if subject != str(run.pk):
        raise AccessError("the token is another run's")
