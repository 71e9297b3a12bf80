"""Store a long conversation, and print what its page asks for: ``python -m bench.project.chat RUN``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.test.utils import setup_test_environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.project.settings")

TURNS = 200
QUESTION = "What else is there to know about clouds?"
ANSWER = (
    "## Clouds, part {number}\n\nWater that has *just* become visible: **droplets** of `0.01 mm`, and more "
    "on [a page](https://example.com/).\n\n1. cumulus\n2. stratus\n3. cirrus\n\n> As light as air.\n\n"
    "```py\nprint({number})\n```\n\n| cloud | rain |\n|---|---|\n| nimbus | yes |\n| cirrus | no |\n"
)


def main() -> None:
    """Print as JSON what is at which address: the page at ``/chat/``, all texts at ``/turns.json``."""
    django.setup()
    setup_test_environment()
    call_command("migrate", verbosity=0)
    json.dump(asyncio.run(pages(sys.argv[1])), sys.stdout)


async def pages(run: str) -> dict[str, str]:
    """Return the page, which shows the last turns, and what it asks for until it has all before them.

    :param run: id of the turn that is being written.
    """
    from django.test import AsyncClient

    talk = await sync_to_async(stored)(run)
    client = AsyncClient()
    await client.aforce_login(talk.owner)
    texts = [(QUESTION, answer_of(number)) for number in range(1, TURNS + 1)]
    found = {"/turns.json": json.dumps(texts)}

    async def get(path: str) -> str:
        response = await client.get(path)
        if response.status_code != 200:
            raise RuntimeError(f"expected 200 from {path}, got {response.status_code}")
        found[path] = response.text
        return found[path]

    found["/chat/"] = await get(f"/ling/chat/talk/{talk.pk}/")
    await get("/ling/conversations/?workflow=talk&q=&archived=&limit=50&after=")
    address = f"/ling/conversations/{talk.pk}/"
    page = json.loads(await get(address))
    while page["more"]:
        page = json.loads(await get(f"{address}?before={page['turns'][0]['number']}&limit=50"))
    return found


def stored(run: str) -> Any:
    from django.contrib.auth.models import User

    from lingstream.models import Chat, Conversation, Run, Workflow

    user = User.objects.create(username="ann")
    talk = Conversation.objects.create(workflow="talk", owner=user, title="Clouds", seq=1)
    workflow = Workflow.objects.create(slug="talk", access="anyone")
    # What is played is a list of texts: the answer is the first of them.
    Chat.objects.create(workflow=workflow, answer_uri="0", suggestions_uri="")
    message = {"parts": [{"type": "text", "text": QUESTION}]}
    common = {"workflow": "talk", "conversation": talk, "owner": user, "message": message}
    for number in range(1, TURNS + 1):
        document = [answer_of(number)]
        talk.leaf = Run.objects.create(
            **common, number=number, parent=talk.leaf, status="finished", document=document
        )
    talk.leaf = Run.objects.create(**common, pk=run, number=TURNS + 1, parent=talk.leaf, status="running")
    talk.count = talk.read_number = TURNS + 1
    talk.save()
    return talk


def answer_of(number: int) -> str:
    return ANSWER.format(number=number)


if __name__ == "__main__":
    main()
