"""The kind ``compute``: values made of values, by expressions."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lingstream.core.engine.kinds import Put, Said, StepCall, StepKind

__all__ = ["Compute"]


class Compute(StepKind):
    """Sets uris below the root to what expressions come to."""

    kind = "compute"
    pure = True
    options_schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["set"],
        "properties": {
            "set": {
                "type": "object",
                "title": "Set",
                "minProperties": 1,
                "maxProperties": 100,
                "x-template": "expression",
            },
        },
    }

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`: the expressions are rendered with the options."""
        for uri, value in call.options["set"].items():
            yield Put(uri, value)
