"""A kind of steps of the app's own, whose options are of every type that a schema has."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lingstream.core.engine.kinds import Note, Put, Said, StepCall, StepKind
from lingstream.core.engine.plan import StepPlan
from lingstream.core.exceptions import OptionError, UsageError

__all__ = ["Letter"]


class Letter(StepKind):
    """Puts a letter into the document, and says that it has been sent."""

    kind = "letter"
    title = "Write a letter"
    events = ("letter-sent",)
    options_schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["to", "paper"],
        "$defs": {"Ink": {"enum": ["blue", "black"]}},
        "properties": {
            "to": {"type": "string", "title": "Addressee", "description": "A name, <b>not</b> an address."},
            "text": {"type": "string", "format": "textarea", "default": "{{ value }}"},
            "postscript": {"type": "string", "maxLength": 1000},
            "paper": {"enum": ["white", "grey", 4, None], "default": "white"},
            "ink": {"$ref": "#/$defs/Ink", "default": "blue"},
            "sealed": {"type": "boolean", "title": "With a seal", "default": True},
            "registered": {"type": "boolean"},
            "copies": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1},
            "weight": {"type": "number", "exclusiveMinimum": 0},
            "stamp": {"anyOf": [{"type": "string", "pattern": "^[a-z]*$"}, {"type": "null"}]},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "pages": {"type": "array", "items": {"type": "integer"}, "default": [1, 2]},
            "enclosed": {"title": "Enclosure"},
        },
    }

    def check(self, plan: StepPlan) -> None:
        """See :meth:`StepKind.check`."""
        if plan.options.get("registered") and plan.options.get("copies", 1) > 1:
            raise OptionError("expected one copy of a registered letter, not 100 %", uri="copies")
        if plan.options.get("enclosed") and not plan.options.get("sealed", True):
            raise UsageError("expected a seal where something is enclosed")

    async def run(self, call: StepCall) -> AsyncIterator[Said]:
        """See :meth:`StepKind.run`."""
        yield Put("to", call.options["to"])
        yield Put("text", call.options.get("text", call.input))
        yield Note("letter-sent", {"copies": call.options.get("copies", 1)})
