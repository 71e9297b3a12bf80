"""What a visitor is told of an error: its code, and a sentence that names nothing of the configuration.

Names of keys, providers, models and steps, addresses and what a model server said are for the site's staff:
they stand in the log, in ``Run.errors`` and with the bot run in the admin. This module is the only way from
there to a viewer, and what it does not know is not passed on. Its sentences
are in the reader's language, as are those that refuse a person's own message where it is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext, gettext_noop

from lingstream.core.log.frames import Frame

from ..core.exceptions import ConfigurationError, InternalError, LingError
from ..core.phrases import Phrase
from .csrf import CsrfError

__all__ = ["told", "told_error", "told_frame", "told_frames"]

logger = logging.getLogger("lingstream")

_INTERNAL = gettext_noop("this failed by a fault of the site; its log tells more")
_FAILED = gettext_noop("this part of the run failed")
_NOBODY = gettext_noop("nobody can see to it at the moment")
_NOT_ASKED = gettext_noop("the model could not be asked")

# Codes of what is wrong with the site's set-up: a visitor is told ``internal``.
_CONFIGURATION = frozenset(
    (
        "address",
        "base-url",
        "configuration",
        "invalid-schema",
        "key-missing",
        "key-not-listed",
        "no-label",
        "no-model",
        "no-provider",
        "no-steps",
        "nothing-starts",
        "option",
        "provider-address",
    )
)
# In a run these too: the text is the workflow's author's, not the visitor's.
_IN_RUNS = _CONFIGURATION | {"template", "usage"}
_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "internal": _INTERNAL,
        "provider-auth": _NOT_ASKED,
        "provider-permission": _NOT_ASKED,
        "provider-bad-request": _NOT_ASKED,
        "provider-not-found": _NOT_ASKED,
        "provider-quota": _NOT_ASKED,
        "provider-rate-limit": gettext_noop("the model is asked too often at the moment"),
        "provider-timeout": gettext_noop("the model took too long to answer"),
        "provider-unavailable": gettext_noop("the model cannot be reached at the moment"),
        "provider-disconnected": gettext_noop("the connection to the model was lost in mid-answer"),
        "provider-bad-response": gettext_noop("the model's answer could not be read"),
        "http": gettext_noop("a service that was asked for this did not answer as it should"),
        "timeout": gettext_noop("this part of the run took longer than it may"),
        "parse": gettext_noop("the model's answer could not be read"),
        "parse-limit": gettext_noop("the model's answer is larger than it may be"),
        "schema": gettext_noop("the model's answer does not have the form that was asked for"),
        "no-json": gettext_noop("the model gave no answer that could be read"),
        "conflict": gettext_noop("two writers met at one place of the document"),
        "limit": gettext_noop("the run passed one of its limits"),
        "lost": gettext_noop("the run was lost: the processes that executed it died"),
        "not-stored": gettext_noop("the result could not be stored"),
        "elsewhere": gettext_noop(
            "the run is executed by another process, which cannot be reached from here; this is its last "
            "stored state"
        ),
    }
)


def told(error: LingError) -> dict[str, Any]:
    """Return what the sender of a request is told: its own mistakes whole, the site's as ``internal``."""
    if isinstance(error, ConfigurationError) or error.code in _CONFIGURATION:
        logger.error("%s: %s", error.code, error.message)
        return {"code": "internal", "message": gettext(_INTERNAL), "retryable": False}
    if error.code == "no-runner":
        logger.error("%s: %s", error.code, error.message)
        return {**error.to_wire(), "message": gettext(_NOBODY)}
    if isinstance(error, InternalError):
        return {**error.to_wire(), "message": gettext(_INTERNAL)}
    if isinstance(error, CsrfError):
        logger.warning("csrf: %s", error.advice)
    if isinstance(error.message, Phrase):
        return {**error.to_wire(), "message": error.message.said(gettext)}
    return error.to_wire()


def told_error(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what viewers are told of an error that is stored, or that a frame holds."""
    code = str(body.get("code", "error"))
    if code in _IN_RUNS:
        code = "internal"
    kept = {name: body[name] for name in ("retryable", "bot", "retry_after") if name in body}
    return {"code": code, "message": gettext(_SENTENCES.get(code, _FAILED)), **kept}


def told_frames(frames: list[Frame]) -> list[Frame]:
    """Return frames as viewers get them: mostly the same list, as few of them speak of errors."""
    for frame in frames:
        if frame.kind in ("error", "snapshot"):
            return [told_frame(frame) for frame in frames]
    return frames


def told_frame(frame: Frame) -> Frame:
    """Return a frame as viewers get it: errors, and what a snapshot says of them."""
    if frame.kind == "error":
        return frame._replace(body=told_error(frame.body))
    if frame.kind != "snapshot":
        return frame
    body = frame.body
    bots = body.get("bots") or {}
    if "error" not in body and not any("error" in bot for bot in bots.values()):
        return frame
    shown = {**body, "bots": {name: _told_bot(bot) for name, bot in bots.items()}}
    if "error" in body:
        shown["error"] = told_error(body["error"])
    return frame._replace(body=shown)


def _told_bot(bot: Mapping[str, Any]) -> dict[str, Any]:
    return {**bot, "error": told_error(bot["error"])} if "error" in bot else dict(bot)
