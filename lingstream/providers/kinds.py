"""What there is to know of a kind of providers before its module, and with it a vendor's SDK, is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from lingstream.core.engine.plan import ProviderPlan
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Provider
from lingstream.core.validation import check_options

from . import options
from .dotted import import_dotted

__all__ = ["KINDS", "Factory", "ProviderKind", "kind_names", "kind_of", "preload"]

Factory: TypeAlias = Callable[[ProviderPlan, str], Provider]

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A kind of providers, and what it can do.

    :param factory: ``(plan, key) -> Provider``, or the dotted path of one that is imported when the first
        provider of this kind is built.
    :param remote: it talks to a server, at the row's base URL and with the row's key; else both are ignored.
    :param base_url: where it goes if the row says nothing.
    :param needs_model: a step has to name a model, or its provider a default one.
    :param options_schema: the JSON schema of a row's options, or what returns it; ``None`` takes all.
    :param params_schema: the JSON schema of the parameters that a step may give a call; ``None`` takes all.
    :param check: raises UsageError for options that fit the schema and yet make no sense.
    """

    factory: str | Factory
    remote: bool = True
    base_url: str = ""
    needs_model: bool = True
    options_schema: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None
    check: Callable[[ProviderPlan], None] | None = None
    params_schema: Mapping[str, Any] | None = None

    def load(self) -> Factory:
        """Return the factory; its module is imported now.

        :raises UsageError: it cannot be.
        """
        factory = self.factory
        return cast(Factory, import_dotted(factory)) if isinstance(factory, str) else factory

    def check_options(self, plan: ProviderPlan) -> None:
        """Check the options of a row.

        :raises UsageError: ``option`` or ``base-url``, with what was expected and what came.
        """
        schema = self.options_schema() if callable(self.options_schema) else self.options_schema
        if schema:
            check_options(schema, plan.options)
        if self.check:
            self.check(plan)

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Check the parameters that a step gives a call.

        :raises UsageError: ``option``, with what was expected and what came.
        """
        if self.params_schema:
            check_options(self.params_schema, params)


KINDS: Mapping[str, ProviderKind] = MappingProxyType(
    {
        "openai": ProviderKind(
            "lingstream.providers.openai.build",
            base_url=options.OPENAI_URL,
            options_schema=options.OPENAI,
            check=options.check_openai,
            params_schema=options.PARAMS,
        ),
        "scripted": ProviderKind(
            "lingstream.providers.scripted.build",
            remote=False,
            needs_model=False,
            options_schema=options.scripted,
            check=options.check_scripted,
        ),
    }
)


def kind_names(more: Mapping[str, str] = _NONE) -> tuple[str, ...]:
    """Return the names of all kinds.

    :param more: the site's, as for :func:`kind_of`.
    """
    return (*KINDS, *(name for name in more if name not in KINDS))


def kind_of(name: str, more: Mapping[str, str] = _NONE) -> ProviderKind:
    """Return a kind.

    :param more: further kinds, name → dotted path of a :class:`ProviderKind` or of a factory; they win over
        :data:`KINDS`. Only these paths are ever imported: a row cannot name one of its own.
    :raises UsageError: ``kind``: there is none with this name, or its path cannot be imported.
    """
    if path := more.get(name):
        try:
            found = import_dotted(path)
        except UsageError as error:
            message = Phrase("the provider kind %(name)r: %(why)s", name=name, why=error.message)
            raise UsageError(message, code="kind") from error
        if isinstance(found, ProviderKind):
            return found
        return ProviderKind(cast(Factory, found))
    if name not in KINDS:
        known = str(sorted(kind_names(more)))
        message = Phrase("expected a provider kind among %(known)s, got %(got)r", known=known, got=name)
        raise UsageError(message, code="kind")
    return KINDS[name]


def preload(names: Iterable[str], more: Mapping[str, str] = _NONE) -> None:
    """Import the modules of these kinds now: a vendor's SDK may take a second.

    It blocks, so call it before serving, or in a thread.

    :raises UsageError: an unknown kind or one that cannot be imported.
    """
    for name in names:
        kind_of(name, more).load()
