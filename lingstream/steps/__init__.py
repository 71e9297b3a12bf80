"""The kinds of steps beside bots, a module for each.

A bot is a kind like these (:mod:`lingstream.core.engine.bot`); the engine has it because ``run.bot()`` does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from inspect import isclass
from typing import cast

from lingstream.core.engine.kinds import StepKind, register_kind
from lingstream.core.exceptions import UsageError
from lingstream.providers.dotted import import_dotted

from .compute import Compute
from .http import Http

__all__ = ["BUILT_IN", "register_kinds"]

logger = logging.getLogger("lingstream")

BUILT_IN = (Compute(), Http())


def register_kinds(paths: Iterable[str] = ()) -> None:
    """Make the built-in kinds known, and the site's.

    What cannot be imported is left out, and is a system check's matter (``lingstream.E002``): a site must
    come up to be mended.

    :param paths: dotted paths of kinds, objects or classes.
    """
    for kind in BUILT_IN:
        register_kind(kind)
    for path in paths if isinstance(paths, (list, tuple)) else ():  # else E001 says so
        try:
            found = import_dotted(path)
            register_kind(cast(StepKind, found() if isclass(found) else found))
        except (UsageError, AttributeError, TypeError) as error:
            logger.error("the step kind %r is not there: %s", path, error)
