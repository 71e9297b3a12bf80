"""Fill the database with the demo's provider, prompts and workflows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand
from django.db import transaction

from lingsite import demo_data
from lingstream.access.groups import GROUPS, make_groups
from lingstream.knowledge.models import Collection, Source
from lingstream.models import (
    Chat,
    Occasion,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Step,
    Trigger,
    Workflow,
)


class Command(BaseCommand):
    """Safe to run at every start: what exists is left as editors have made it.

    Only the provider follows the environment each time, because the environment is where it is set.
    """

    help = "Create the demo's provider, prompts and workflows; what exists stays as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            self._provider()
            prompts = {slug: self._prompt(slug, **prompt) for slug, prompt in demo_data.PROMPTS.items()}
            for slug, workflow in demo_data.WORKFLOWS.items():
                self._workflow(slug, prompts, **workflow)
            self._docs()
        if not Group.objects.filter(name__in=GROUPS).exists():
            make_groups()
        self._superuser()

    def _provider(self) -> None:
        endpoint = os.environ.get("LINGSTREAM_ENDPOINT", "")
        row: dict[str, Any] = {"kind": "scripted", "base_url": "", "key_name": "", "default_model": ""}
        row["options"] = {"script": "recorded"}
        if endpoint:
            row = {
                "kind": "openai",
                "base_url": endpoint,
                "key_name": "LINGSTREAM_API_KEY" if os.environ.get("LINGSTREAM_API_KEY") else "",
                "default_model": os.environ.get("LINGSTREAM_MODEL", ""),
                "options": {},
            }
        Provider.objects.update_or_create(name="demo", defaults=row)
        model = (
            f"{row['default_model'] or 'its default model'} at {endpoint}" if endpoint else "recorded answers"
        )
        self.stdout.write(f"The demo speaks to {model}.")

    def _prompt(self, slug: str, name: str, text: str, variables: dict[str, Any]) -> Prompt:
        defaults = {"name": name, "variables": variables}
        prompt, created = Prompt.objects.get_or_create(slug=slug, defaults=defaults)
        if created:
            version = PromptVersion(prompt=prompt, text=text, note="As it came with the demo")
            version.save()
            PromptLabel.objects.create(prompt=prompt, name="production", version=version)
        return prompt

    def _workflow(
        self,
        slug: str,
        prompts: dict[str, Prompt],
        name: str,
        description: str,
        steps: list[dict[str, Any]],
        triggers: list[dict[str, Any]],
        chat: dict[str, Any] | None = None,
        occasions: Sequence[dict[str, Any]] = (),
    ) -> None:
        defaults: dict[str, Any] = {"name": name, "description": description}
        defaults |= {"input_schema": demo_data.INPUT_SCHEMA, "access": "anyone", "show_reasoning": True}
        workflow, created = Workflow.objects.get_or_create(slug=slug, defaults=defaults)
        if not created:
            return
        rows = {}
        for step in steps:
            values = {**step, "prompt": prompts[step["prompt"]]} if "prompt" in step else step
            rows[step["name"]] = Step.objects.create(workflow=workflow, **values)
        for trigger in triggers:
            ends = {"source": rows[trigger["source"]], "target": rows[trigger["target"]]}
            Trigger.objects.create(workflow=workflow, **{**trigger, **ends})
        if chat is not None:
            Chat.objects.create(workflow=workflow, **chat)
        for occasion in occasions:
            Occasion.objects.create(workflow=workflow, **occasion)

    def _docs(self) -> None:
        given = {"title": "Documentation", "access": Collection.Access.ANYONE}
        collection, _ = Collection.objects.get_or_create(slug="docs", defaults=given)
        Source.objects.get_or_create(slug="docs", defaults={"collection": collection, **demo_data.DOCS})

    def _superuser(self) -> None:
        users = get_user_model()
        if not settings.DEBUG or users.objects.exists():
            return
        users.objects.create_superuser("admin", "admin@example.com", "admin")
        self.stdout.write(
            "Sign in to /admin/ as admin with the password admin (only in DEBUG, only a first user)."
        )
