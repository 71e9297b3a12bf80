"""The error tree.

Every error carries a stable ``code`` (what the wire shows and clients switch on), a message that says
what was expected and what came, and ``retryable``: whether the same call may succeed later.

    LingError
    ├── UsageError        the caller's mistake: a bad argument, an unknown name
    │   ├── JsonUriError  a uri that cannot be parsed, or does not fit the document
    │   ├── TemplateError a prompt, uri or condition template that does not compile or render
    │   ├── OptionError   an option that a step cannot have
    │   ├── ConfigurationError  the site's mistake: for its staff, not for who asks
    │   │   └── NoProvider    there is no model yet that a bot could ask
    │   └── NotFound      no workflow, run or conversation of that name
    ├── AccessError       who asks may not do that
    ├── RateLimited       who asks did so too often
    ├── ParseError        model output that strict mode refuses
    │   └── ParseLimitError   model output past a bound (depth, size, key or number length)
    ├── SchemaFailure     model output that is not what its schema wants
    ├── NoJson            model output without any JSON, where JSON was asked for
    ├── ProviderError     the model server failed, refused or went away
    ├── RequestFailure    a server that a step made a request to failed, refused or went away
    ├── StepTimeout       a step took longer than it may
    ├── ConflictError     a bot wrote where it may not
    ├── LimitExceeded     a run passed one of its limits
    ├── Fenced            another writer owns the log by now
    └── InternalError     a fault of ours
"""

from __future__ import annotations

from typing import Any

from lingstream.core.phrases import Phrase

__all__ = [
    "AccessError",
    "ConfigurationError",
    "ConflictError",
    "Fenced",
    "InternalError",
    "InvalidInput",
    "JsonUriError",
    "LimitExceeded",
    "LingError",
    "NoJson",
    "NoProvider",
    "NotFound",
    "OptionError",
    "ParseError",
    "ParseLimitError",
    "ProviderError",
    "RateLimited",
    "RequestFailure",
    "SchemaFailure",
    "StepTimeout",
    "TemplateError",
    "UsageError",
]


class LingError(Exception):
    """Base of all errors of this package.

    :param message: what was expected and what came, for a person.
    :param code: stable name for machines; defaults to the class's own.
    :param retryable: whether the same call may succeed later.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retryable = retryable

    def to_wire(self) -> dict[str, Any]:
        """The ``error`` body of a frame: ``{"code", "message", "retryable"}``."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


class UsageError(LingError, ValueError):
    """The caller's mistake: a bad argument, an unknown name, input that does not fit."""

    code = "usage"


class InvalidInput(UsageError):
    """An input that does not fit its schema.

    :param uri: where in the input; pages show the error at the field with this name.
    """

    code = "invalid-input"

    def __init__(self, message: str, *, uri: str) -> None:
        super().__init__(message)
        self.uri = uri

    def to_wire(self) -> dict[str, Any]:
        return {**super().to_wire(), "uri": self.uri}


class JsonUriError(UsageError):
    """A uri that cannot be parsed, or that names a place the document does not have."""

    code = "uri"

    def __init__(self, message: str, *, uri: str) -> None:
        super().__init__(message)
        self.uri = uri
        self.position = 0
        """Which op of a batch it was: the ones before it have been applied."""


class TemplateError(UsageError):
    """A template that does not compile or render; ``line`` is 1-based where it is known."""

    code = "template"

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class OptionError(UsageError):
    """An option that a step, or a provider, cannot have.

    :param uri: its place among the options, where a form shows the message.
    """

    code = "option"

    def __init__(self, message: str, *, uri: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.uri = uri


class ConfigurationError(UsageError):
    """The site is not set up for what was asked: its staff gets the text, a visitor ``internal``."""

    code = "configuration"


class NoProvider(ConfigurationError):
    """There is no model yet that a bot could ask.

    :param provider: what the provider has to be called that was looked for; ``""`` where any would do.
    """

    code = "no-provider"

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message)
        self.provider = provider

    def to_wire(self) -> dict[str, Any]:
        """The ``error`` body, with ``provider``, which viewers do not get."""
        return {**super().to_wire(), "provider": self.provider}


class ParseError(LingError):
    """Model output that strict mode refuses.

    :param uri: the value being read.
    :param offset: characters of the text before the fault.
    :param line: 1-based line of the fault.
    """

    code = "parse"

    def __init__(self, message: str, *, uri: str, offset: int, line: int | None = None) -> None:
        super().__init__(message)
        self.uri = uri
        self.offset = offset
        self.line = line


class ParseLimitError(ParseError):
    """Model output past a bound; raised in repair mode too."""

    code = "parse-limit"


class SchemaFailure(LingError):
    """Model output that is not what the schema wants, after all repairs.

    :param uri: the value that fails.
    """

    code = "schema"

    def __init__(self, message: str, *, uri: str, retryable: bool = True) -> None:
        super().__init__(message, retryable=retryable)
        self.uri = uri


class NoJson(LingError):
    """Model output without any JSON, where JSON was asked for: a refusal, nothing, only reasoning."""

    code = "no-json"


class ProviderError(LingError):
    """The model server failed, refused or went away.

    :param status: its HTTP status, if there was one.
    :param retry_after: seconds after which it wants to be asked again, if it said so.
    """

    code = "provider"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retryable: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, retryable=retryable)
        self.status = status
        self.retry_after = retry_after


class RequestFailure(LingError):
    """A server that a step made a request to failed, refused or went away.

    :param status: its HTTP status, if there was one.
    :param retry_after: seconds after which it wants to be asked again, if it said so.
    """

    code = "http"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.status = status
        self.retry_after = retry_after


class StepTimeout(LingError):
    """A step took longer than its ``timeout``."""

    code = "timeout"


class ConflictError(LingError):
    """A bot wrote where another one is writing, or a value of another type where a container stands."""

    code = "conflict"

    def __init__(self, message: str, *, uri: str) -> None:
        super().__init__(message)
        self.uri = uri
        self.admitted: list[Any] = []
        """The ops of the same batch that went well."""


class LimitExceeded(LingError):
    """A run passed one of its limits (bots, depth, seconds, characters)."""

    code = "limit"


class Fenced(LingError):
    """Another writer owns the log by now: stop, and change nothing."""

    code = "fenced"


class InternalError(LingError):
    """A fault of ours: what happened is in the server's log and nobody else's business.

    :param what: what failed: ``Phrase("the bot")``.
    """

    code = "internal"

    def __init__(self, what: str) -> None:
        super().__init__(Phrase("%(what)s failed by a fault of the server; its log tells more", what=what))


class NotFound(UsageError):
    """There is no workflow, run or conversation of that name."""

    code = "not-found"


class AccessError(LingError):
    """Who asks may not do that."""

    code = "forbidden"


class RateLimited(LingError):
    """Who asks did so too often, or has too much under way.

    :param retry_after: seconds after which the same call may succeed.
    """

    code = "rate-limited"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, retryable=True)
        self.retry_after = retry_after

    def to_wire(self) -> dict[str, Any]:
        """The ``error`` body, with ``retry_after``."""
        return {**super().to_wire(), "retry_after": self.retry_after}
