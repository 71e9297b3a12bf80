"""Make the database and the two workflows: ``python -m bench.project.prepare``."""

import os

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")


def main() -> None:
    django.setup()
    from lingstream.models import Prompt, PromptLabel, PromptVersion, Provider, Step, Trigger, Workflow

    call_command("migrate", verbosity=0)
    provider = Provider.objects.create(
        name="bench",
        kind="openai",
        base_url=os.environ["BENCH_MODEL"],
        key_name="BENCH_KEY",
        default_model="bench",
    )

    def step(workflow: Workflow, name: str, text: str, **fields: str) -> Step:
        prompt = Prompt.objects.create(slug=name)
        version = PromptVersion.objects.create(prompt=prompt, text=text)
        PromptLabel.objects.create(prompt=prompt, name="production", version=version)
        return Step.objects.create(workflow=workflow, name=name, prompt=prompt, provider=provider, **fields)

    question = "{{ input.question }}"
    clock = Workflow.objects.create(slug="clock", access="anyone")
    step(clock, "clock", 'Answer as JSON: {"answer": "…"}', input=question)
    many = Workflow.objects.create(slug="outline", access="anyone")
    outline = step(many, "outline", 'Answer as JSON: {"outline": [{"topic": "…"}]}', input=question)
    root = "outline/{{ match[0] }}/details"
    topic = step(many, "topic", "Write about it.", input="{{ value }}", root=root, format="text")
    Trigger.objects.create(workflow=many, source=outline, target=topic, pattern="outline/*/topic")


if __name__ == "__main__":
    main()
