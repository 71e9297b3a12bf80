"""``python -m tests.chaos.prepare URL`` makes the tables and workflows of the chaos suite."""

import sys

import django

django.setup()

from lingstream.models import Chat, Occasion  # noqa: E402
from tests.site import store_provider, store_trigger, store_workflow  # noqa: E402
from tests.tables import make_tables  # noqa: E402


def prepare(base_url: str) -> None:
    make_tables()
    store_provider(kind="openai", base_url=base_url)
    text = store_workflow("text", {"answer": "ANSWER"})
    text.limits = {"characters": 20_000_000}
    text.save()
    facts = store_workflow("facts", {"answer": "ANSWER", "details": "DETAILS", "translation": "TRANSLATION"})
    store_trigger(facts, "answer", "details", "answer")
    store_trigger(facts, "answer", "translation", "answer")
    remembers = {name: {"prompt": name.upper(), "history": True} for name in ("answer", "details")}
    talk = store_workflow("talk", remembers)
    store_trigger(talk, "answer", "details", "answer")
    Chat.objects.create(workflow=talk, titles=False)
    door = store_workflow("door", {"answer": "ANSWER"})
    Chat.objects.create(workflow=door, titles=False)
    for kind in ("connected", "disconnected"):
        Occasion.objects.create(workflow=door, kind=kind, name=kind)
    silent = store_workflow("silent", {"answer": "ANSWER"})
    Occasion.objects.create(
        workflow=silent, kind="silence", name="silence", input="NUDGE", after=1, at_most=1
    )
    docs = store_workflow(
        "docs-chat", {"answer": "ANSWER", "condense": {"prompt": "CONDENSE", "format": "text"}}
    )
    Chat.objects.create(workflow=docs, titles=False)
    topic = {"prompt": "TOPIC", "root": "outline/{{ match[0] }}/details", "format": "text"}
    outline = store_workflow("outline", {"outline": "OUTLINE", "topic": topic})
    store_trigger(outline, "outline", "topic", "outline/*/topic")


if __name__ == "__main__":
    prepare(sys.argv[1])
