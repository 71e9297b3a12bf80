"""Make the database and the one workflow: ``python -m bench.project.prepare``."""

import os

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")


def main() -> None:
    django.setup()
    from lingstream.models import Prompt, PromptLabel, PromptVersion, Provider, Step, Workflow

    call_command("migrate", verbosity=0)
    provider = Provider.objects.create(
        name="bench",
        kind="openai",
        base_url=os.environ["BENCH_MODEL"],
        key_name="BENCH_KEY",
        default_model="bench",
    )
    prompt = Prompt.objects.create(slug="clock")
    version = PromptVersion.objects.create(prompt=prompt, text='Answer as JSON: {"answer": "…"}')
    PromptLabel.objects.create(prompt=prompt, name="production", version=version)
    workflow = Workflow.objects.create(slug="clock")
    Step.objects.create(
        workflow=workflow, name="clock", prompt=prompt, provider=provider, input="{{ input.question }}"
    )


if __name__ == "__main__":
    main()
