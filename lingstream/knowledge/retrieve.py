"""The kind ``retrieve``: finds passages for a question, as far as who has started the run may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from lingstream.core.engine.kinds import Identity, Put, Said, StepCall, StepKind
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import UsageError
from lingstream.core.phrases import Phrase

from .asker import asker_of
from .rerank import rerankers
from .search import MODES, MOST_HITS, Search
from .stores.bounds import Known, Where

__all__ = ["Retrieve"]

_SLUG = {"type": "string", "minLength": 1, "maxLength": 100}
_LONGEST_NAME = 200  # of metadata


class Retrieve(StepKind):
    """Puts passages at its root, below ``sources`` where it has none; its input is the question.

    Which collections, and what bounds them, its options say; of what the run was started with only values get
    in, by ``where``, and they narrow.
    """

    kind = "retrieve"
    title = "Find passages"
    options_schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["collection"],
        "properties": {
            "collection": {
                "title": "Collections",
                "description": "A slug, or a list of slugs. Where who asks may not search, nothing is found.",
                "anyOf": [_SLUG, {"type": "array", "items": _SLUG, "minItems": 1, "maxItems": 20}],
                "x-template": "none",
            },
            "k": {
                "type": "integer",
                "title": "Passages",
                "description": "At most; 8 unless given.",
                "minimum": 1,
                "maximum": MOST_HITS,
                "default": 8,
            },
            "mode": {
                "type": "string",
                "title": "Find by",
                "description": "Words and vectors (hybrid) unless given.",
                "enum": list(MODES),
                "default": "hybrid",
                "x-template": "none",
            },
            "where": {
                "type": ["object", "string"],
                "title": "Narrow by",
                "description": 'Values of metadata by name, or lists of which one is enough: {"product": '
                '"{{ input.product }}"}; or one template that gives such an object. The collection says '
                "which names there are.",
                "maxProperties": 10,
                "maxLength": 2_000,
            },
            "who": {
                "type": "object",
                "title": "Narrow by who asks",
                "description": 'Metadata that must be what who has started the run has: {"team": "groups"}.',
                "maxProperties": 10,
                "propertyNames": {"maxLength": _LONGEST_NAME},
                "additionalProperties": {"enum": list(Identity._fields)},
                "x-template": "none",
            },
            "budget": {
                "type": "integer",
                "title": "Tokens",
                "description": "That all passages may take together; what does not fit is left out.",
                "minimum": 1,
                "maximum": 1_000_000,
            },
            "rerank": {
                "type": "string",
                "title": "Reranker",
                "description": "The name of one that the site has registered.",
                "maxLength": 100,
                "x-template": "none",
            },
        },
    }

    def check(self, plan: StepPlan) -> None:
        """See :meth:`StepKind.check`."""
        name = plan.options.get("rerank")
        if name and name not in rerankers():
            known = ", ".join(sorted(rerankers())) or Phrase("none")
            message = Phrase(
                "expected a reranker among %(known)s, got %(got)s", known=known, got=f"{name!r:.80}"
            )
            raise UsageError(message, code="option")

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`."""
        hits = await _search(call).hits(asker_of(call.identity), call.services.database)
        yield Put("" if call.root else "sources", [hit.passage for hit in hits])


def _search(call: StepCall) -> Search:
    if not isinstance(call.input, str):
        message = Phrase("expected a question, a text, got %(got)s", got=type(call.input).__name__)
        raise UsageError(message)
    options = call.options
    collection = options["collection"]
    return Search(
        [collection] if isinstance(collection, str) else collection,
        call.input,
        options.get("k", 8),
        _where(options, call.identity),
        options.get("mode", "hybrid"),
        options.get("rerank", ""),
        options.get("budget"),
    )


def _where(options: Mapping[str, Any], identity: Identity) -> Where:
    """What narrows the search; a name that who asks narrows by is nobody else's."""
    where, who = options.get("where", {}), options.get("who", {})
    if not isinstance(where, dict):
        message = Phrase("expected 'where' to give an object, got %(got)s", got=type(where).__name__)
        raise UsageError(message, code="where")
    if both := sorted(where.keys() & who.keys()):
        message = Phrase("expected %(name)s in 'where' or in 'who', got it in both", name=f"{both[0]!r:.80}")
        raise UsageError(message, code="where")
    return {**where, **{name: _known(getattr(identity, field)) for name, field in who.items()}}


def _known(value: str | tuple[str, ...]) -> Known:
    return Known(value if isinstance(value, tuple) else (value,))
