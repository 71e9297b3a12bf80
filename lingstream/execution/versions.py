"""Which version of a prompt a run gets: what its step's label stands for, or the site's own choice.

A label stands for one version, or while it tests two for one of them, as whose run it is decides.

Asked when a run's plan is stored, and never again: a run that is executed again reads its plan.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from django.utils.module_loading import import_string

from lingstream.conf import app_settings
from lingstream.core.exceptions import ConfigurationError, TemplateError
from lingstream.core.phrases import Phrase
from lingstream.models import Prompt, PromptVersion
from lingstream.models.fragments import Choose, resolve

from .away import AWAY

__all__ = ["ChooseVersion", "Named", "Versions", "planned_prompt", "version_key"]

logger = logging.getLogger("lingstream")

Named: TypeAlias = Mapping[tuple[int, str], PromptVersion]


class ChooseVersion(Protocol):
    """The port: a function whose dotted path is ``LINGSTREAM["CHOOSE_VERSION"]``.

    Called in a thread, before the run is stored; it may use the ORM.
    """

    def __call__(self, prompt: Prompt, label: str, key: str, /) -> PromptVersion | None:
        """Return the version to take, or ``None`` for what the label stands for.

        :param label: what the step asks for; there need not be such a label.
        :param key: whose run it is. All runs of one user or session have the same, else all of one
            conversation, else it is the run's own.
        """
        ...


def version_key(owner_key: str, otherwise: UUID) -> str:
    """Return for whom versions of prompts are chosen, so that one person is told one thing.

    :param owner_key: of the run.
    :param otherwise: of a run of nobody's the conversation, or else the run itself.
    """
    return owner_key if owner_key != "anyone" else str(otherwise)


class Versions:
    """The versions that one plan takes: of a prompt and a label always the same, as each is asked for once.

    :param key: as in :class:`ChooseVersion`.
    :param named: what somebody has decided beforehand, by the prompt's key and the label.
    """

    def __init__(self, key: str, named: Named | None = None) -> None:
        self._key = key
        self._taken: dict[tuple[int, str], PromptVersion | None] = dict(named or {})

    def of(self, prompt: Prompt, label: str) -> PromptVersion | None:
        """Return the version to take, or ``None`` where nobody chose one and there is no such label.

        :param prompt: with its labels.
        :raises ConfigurationError: the site's function failed, or what it returned is no version of
            ``prompt``.
        """
        asked = prompt.pk, label
        if asked not in self._taken:
            self._taken[asked] = _chosen(prompt, label, self._key) or _labelled(prompt, label, self._key)
        return self._taken[asked]


def planned_prompt(version: PromptVersion, choose: Choose) -> dict[str, Any]:
    """Return what a bot's plan has of a version of a prompt.

    :param choose: decides which versions of others it includes.
    :raises ConfigurationError: one of them is not there, or all is too much.
    """
    try:
        found = resolve(version, choose)
    except TemplateError as error:
        message = Phrase("the prompt %(slug)r: %(problem)s", slug=version.prompt.slug, problem=error.message)
        raise ConfigurationError(message) from error
    return {
        "prompt": found.system,
        "messages": found.messages,
        "variables": found.variables,
        "prompt_version": str(version),
    }


def _chosen(prompt: Prompt, label: str, key: str) -> PromptVersion | None:
    path = app_settings().choose_version
    if not path:
        return None
    try:
        choose: ChooseVersion = import_string(path)
        found = choose(prompt, label, key)
    except AWAY:
        raise
    except Exception as error:
        logger.exception("the CHOOSE_VERSION function %s failed", path)
        message = Phrase(
            "the CHOOSE_VERSION function %(path)s failed: %(why)s", path=path, why=f"{error!r:.200}"
        )
        raise ConfigurationError(message) from error
    if found is None or _is_of(prompt, found):
        return found
    message = Phrase(
        "expected %(path)s to return None or a stored version of the prompt %(slug)r, got %(got)s",
        path=path,
        slug=prompt.slug,
        got=_shown(found),
    )
    raise ConfigurationError(message)


def _is_of(prompt: Prompt, found: Any) -> bool:
    return isinstance(found, PromptVersion) and found.pk is not None and found.prompt_id == prompt.pk


def _shown(found: Any) -> str:
    if not isinstance(found, PromptVersion):
        return f"{found!r:.80}"
    return f"v{found.number} of the prompt with the id {found.prompt_id}" if found.pk else "an unsaved one"


def _labelled(prompt: Prompt, label: str, key: str) -> PromptVersion | None:
    return next((each.version_for(key) for each in prompt.labels.all() if each.name == label), None)
