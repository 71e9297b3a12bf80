"""System checks of the classes that the site has us make: each keeps a port of ours.

===================  =====================================================================
``lingstream.E007``  a class in ``LINGSTREAM`` cannot be made, or lacks what its port has
===================  =====================================================================

None is made here: an observer may open a port of the machine, and that is for the process that serves.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from lingstream.access.throttle import Throttle
from lingstream.conf import app_settings
from lingstream.core.engine.observers import Observer
from lingstream.core.log.ports import Hub
from lingstream.execution.memory import Memory
from lingstream.hubs import hub_options

from .settings import register

__all__ = ["check_ports"]

_NONE: Mapping[str, Any] = MappingProxyType({})


@register()
def check_ports(**kwargs: Any) -> list[CheckMessage]:
    """The hub with its options, the throttle, the memory and the observers."""
    given = app_settings()
    options = hub_options() if isinstance(given.hub_options, Mapping) else _NONE
    found = [*_faults("HUB", given.hub, Hub, options), *_faults("THROTTLE", given.throttle, Throttle)]
    found += _faults("MEMORY", given.memory, Memory)
    if isinstance(given.observers, (list, tuple)):
        for number, path in enumerate(given.observers):
            found += _faults(f"OBSERVERS[{number}]", path, Observer)
    return found


def _faults(name: str, path: Any, port: type, options: Mapping[str, Any] = _NONE) -> Iterator[CheckMessage]:
    try:
        factory = import_string(path)
    except (ImportError, AttributeError):
        return  # E001 or E002 says so
    if why := _unfit(factory, port, options):
        yield Error(f"LINGSTREAM {name}: {path} {why}.", id="lingstream.E007")


def _unfit(factory: Any, port: type, options: Mapping[str, Any]) -> str:
    """What keeps ``factory(**options)`` from being a ``port``, as far as one can tell without the call."""
    if not callable(factory):
        return f"should be a class, and is {type(factory).__name__} already"
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:  # it names no values: an address may hold a password
        return f"cannot be made with {', '.join(map(str, options)) or 'no arguments'}: {error}"
    except ValueError:
        return ""  # what is written in C need not say what it takes
    methods = [name for name, member in vars(port).items() if callable(member) and name[0] != "_"]
    missing = [name for name in methods if isinstance(factory, type) and not hasattr(factory, name)]
    return f"lacks what {port.__name__} has: {', '.join(missing)}" if missing else ""
