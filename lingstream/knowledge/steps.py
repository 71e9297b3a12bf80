"""The step kinds of knowledge, and what steps of other kinds search by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lingstream.core.engine.kinds import Identity, register_kind
from lingstream.execution.services import register_search

from .asker import asker_of
from .citations import Cite
from .retrieve import Retrieve
from .search import Call, Search

__all__: list[str] = []


async def _search(
    collection: str | Sequence[str], text: str, identity: Identity, call: Call, **how: Any
) -> list[dict[str, Any]]:
    slugs = [collection] if isinstance(collection, str) else collection
    return [hit.passage for hit in await Search(slugs, text, **how).hits(asker_of(identity), call)]


register_kind(Cite())
register_kind(Retrieve())
register_search(_search)
