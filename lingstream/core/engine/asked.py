"""What bots are asked: the checks of a graph that look at prompts and inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lingstream.core.phrases import Phrase
from lingstream.core.templates.reading import read

from .nodes import Fault, Graph, Known

__all__ = ["nothing_asked", "value_at_start"]

_EXAMPLE = "question"


def nothing_asked(graph: Graph, known: Known) -> Iterator[Fault]:
    """Bots that send no message at all, which every server refuses."""
    for node in graph.nodes:
        if node.kind != "bot" or node.history or node.prompt.strip():
            continue
        if any(not start.input.strip() for start in graph.starts_of(node.name)):
            name = _named(known) if node in graph.entries else "value"
            message = Phrase(
                "%(step)s has nothing to ask: expected a prompt, or an input like {{ %(name)s }}",
                step=node.name,
                name=name,
            )
            yield Fault("nothing-asked", message, step=node.name, field="input")


def value_at_start(graph: Graph, known: Known) -> Iterator[Fault]:
    """Bots that start with the run and ask for the value of a trigger: there it is the whole input, as JSON.

    Of other kinds that is what they want, and where the input is a text it is that text.
    """
    if _types(known.input) & {"string", "number", "integer", "boolean"}:
        return
    for node in (each for each in graph.entries if each.kind == "bot"):
        for name, text in (("input", node.input), ("prompt", node.prompt)):
            asked = read(text)
            if asked and "value" in asked.names:
                message = Phrase(
                    "the %(field)s of %(step)s asks for {{ value }}, but it starts with the run, where that "
                    "is the whole input as JSON: expected {{ %(name)s }}",
                    field=Phrase(name),  # which the form calls so as well
                    step=node.name,
                    name=_named(known),
                )
                yield Fault("value-at-start", message, "warning", step=node.name, field=name)


def _types(schema: Mapping[str, object]) -> set[object]:
    types = schema.get("type")
    return set(types) if isinstance(types, list) else {types}


def _named(known: Known) -> str:
    """A part of the input, as a template names it."""
    properties = known.input.get("properties")
    names = [name for name in properties if name.isidentifier()] if isinstance(properties, Mapping) else []
    return f"input.{names[0] if names else _EXAMPLE}"
