"""Names of code in settings: only these are ever imported, never one that a row holds."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

__all__ = ["import_dotted"]


def import_dotted(path: str) -> object:
    """Return what the dotted path names.

    :raises UsageError: no such module or name.
    """
    module, _, name = path.rpartition(".")
    try:
        return cast(object, getattr(import_module(module), name))
    except (ImportError, AttributeError, ValueError) as error:
        message = Phrase(
            "expected a dotted path that can be imported, got %(got)r: %(why)s", got=path, why=str(error)
        )
        raise UsageError(message) from error
