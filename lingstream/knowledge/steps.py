"""The step kinds of knowledge."""

from __future__ import annotations

from lingstream.core.engine.kinds import register_kind

from .citations import Cite
from .retrieve import Retrieve

__all__: list[str] = []

register_kind(Cite())
register_kind(Retrieve())
