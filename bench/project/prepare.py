"""Make the database, the two workflows, and staff for trials: ``python -m bench.project.prepare``."""

import os

import django
from django.core.management import call_command

from bench.panel import PASSWORD, USERS

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

    if "BENCH_TRIAL" in os.environ:
        staff()
    question = "{{ input.question }}"
    clock = Workflow.objects.create(slug="clock", access="anyone")
    step(clock, "clock", 'Answer as JSON: {"answer": "…"}', input=question)
    many = Workflow.objects.create(slug="outline", access="anyone")
    outline = step(many, "outline", 'Answer as JSON: {"outline": [{"topic": "…"}]}', input=question)
    root = "outline/{{ match[0] }}/details"
    topic = step(many, "topic", "Write about it.", input="{{ value }}", root=root, format="text")
    Trigger.objects.create(workflow=many, source=outline, target=topic, pattern="outline/*/topic")


def staff() -> None:
    """Store who starts trials; one hash of their password is enough for all."""
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    common = {"is_staff": True, "is_superuser": True, "password": make_password(PASSWORD)}
    User.objects.bulk_create(User(username=f"staff{number}", **common) for number in range(USERS))


if __name__ == "__main__":
    main()
