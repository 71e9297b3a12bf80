"""Rows for the pages of the admin: people, models that are wrong, and one of the rest.

``python -m tests.browser.admin_rows``, with the site's settings in the environment, writes them beside the
demo's.
"""

from __future__ import annotations

from typing import Any

import django

from . import people

MODELS: dict[str, dict[str, Any]] = {
    "clumsy": {"answers": {"": '{"answer": "Wet.", "sure": true,}'}, "rate": None},
    "broken": {"answers": []},
    "patient": {"answers": {"": '{answer: "' + "Drop by drop. " * 2_000}, "rate": 20},
}
"""One whose answer is mended, one that has none, and one that is not at its end before somebody stops it."""


def _workflows() -> None:
    from lingsite.demo_data import INPUT_SCHEMA
    from lingstream.models import Chat, Prompt, Provider, Step, Workflow

    prompt = Prompt.objects.get(slug="cloud-answer")
    Provider.objects.filter(name="demo", kind="scripted").update(options={"script": "recorded", "rate": None})
    for name, options in MODELS.items():
        provider = Provider.objects.create(name=name, kind="scripted", options=options)
        workflow = Workflow.objects.create(slug=name, name=f"{name.title()} model", input_schema=INPUT_SCHEMA)
        asked = {"prompt": prompt, "provider": provider, "input": "{{ input.question }}"}
        Step.objects.create(workflow=workflow, name="answer", **asked)
    Chat.objects.create(workflow=Workflow.objects.get(slug="patient"), titles=False, summarize=False)
    clumsy = Workflow.objects.get(slug="clumsy")
    clumsy.publish(note="As it came")
    clumsy.steps.update(model="large")
    clumsy.publish(note="Larger")
    clumsy.examples.create(name="Rain", input={"question": "Why does it rain?"})


def _rest() -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from lingstream.knowledge.models import Collection, Question, Source
    from lingstream.models import Conversation, Schedule

    Schedule.objects.create(name="morning", workflow="outline", cron="0 9 * * MON-FRI", enabled=False)
    Conversation.objects.create(
        workflow="companion", title="Clouds", owner=User.objects.get(username="admin")
    )
    collection = Collection.objects.get(slug="docs")
    Question.objects.create(collection=collection, text="What is a schema?", expected=["schema.md"])
    source = Source.objects.get(slug="docs")
    source.config["patterns"] = ["schema.md"]
    source.save()
    call_command("ling_knowledge", "sync", "docs", verbosity=0)


if __name__ == "__main__":
    django.setup()
    people.write()
    _workflows()
    _rest()
