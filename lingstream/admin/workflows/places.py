"""What a trigger may wait for at a step that is being written, by what the form says of the step."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, JsonResponse

from lingstream.core.document import jsonuri
from lingstream.core.engine import offers
from lingstream.core.engine.offers import Offer
from lingstream.core.exceptions import UsageError
from lingstream.core.validation import MAX_SCHEMA, compile_schema

from ...models import PromptLabel
from .graphs import last_documents

__all__ = ["places_of"]

_FIELDS = ("slug", "step", "format", "root", "schema", "prompt", "label")


def places_of(request: HttpRequest) -> JsonResponse:
    """Return ``{"from": "schema" | "example" | "document" | "", "places": [{"uri", "type"}], "rooted": n}``.

    The request has the fields of a row of steps, and the workflow's slug. By the first of these that
    says anything: the output schema, the example in the prompt (for who may view prompts), the document of
    the last run (for who may view runs). The first ``n`` segments of a uri are the step's root.
    """
    asked = {name: request.POST.get(name, "").strip() for name in _FIELDS}
    root = offers.root_pattern(asked["root"])
    if root is None:
        return _answer("", [])
    if asked["format"] == "text":
        return _answer("schema", [Offer("", "string")], root)
    if asked["format"] != "json":
        return _answer("", [])
    if told := offers.of_schema(_schema(asked["schema"])):
        return _answer("schema", told, root)
    if told := offers.of_value(_example(request, asked)):
        return _answer("example", told, root)
    return _answer("document", _document(request, asked))


def _answer(source: str, found: Iterable[Offer], root: str = "") -> JsonResponse:
    places = [{"uri": jsonuri.concat(root, each.uri), "type": each.type} for each in found]
    return JsonResponse({"from": source, "places": places, "rooted": len(jsonuri.segments(root))})


def _schema(text: str) -> Any:
    """The schema in the form, if it can be used."""
    if not text or len(text) > MAX_SCHEMA:
        return None
    try:
        schema = json.loads(text)
        compile_schema(schema)
    except (ValueError, RecursionError, UsageError):
        return None
    return schema


def _example(request: HttpRequest, asked: dict[str, str]) -> Any:
    if not (asked["prompt"].isdecimal() and request.user.has_perm("lingstream.view_prompt")):
        return None
    labels = PromptLabel.objects.filter(prompt_id=asked["prompt"][:18], name=asked["label"][:50])
    return offers.example_in(labels.values_list("version__text", flat=True).first() or "")


def _document(request: HttpRequest, asked: dict[str, str]) -> list[Offer]:
    """All of it, as others may have written there, too."""
    return offers.of_value(last_documents(request, asked["slug"][:100]).get(asked["step"]))
