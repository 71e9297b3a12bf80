"""An app of somebody else's adds step kinds, a provider kind, a dialect and an observer, and is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from lingstream.core.engine.kinds import kind_of
from lingstream.models import Run
from lingstream.testing import StepContract
from tests import site as sites
from tests.core.test_imports import private_names
from tests.site import Site

from .parrot import Ears

HERE = Path(__file__).parent


def store() -> None:
    sites.store_provider(kind="parrot", default_model="", options={"times": 2})
    steps = {
        "say": {"format": "text", "root": "said", "input": "{{ input.question }}"},
        "loud": {"kind": "outside-shout", "options": {"times": 2}, "format": "text", "root": "loud"},
        "words": {"kind": "outside-count", "root": "words", "input": "{{ document.loud }}"},
    }
    workflow = sites.store_workflow("outside", steps)
    sites.store_trigger(workflow, "say", "loud", "", event="response")
    sites.store_trigger(workflow, "loud", "words", "", event="shouted", condition="value.to == 'anybody'")


@pytest.mark.django_db(transaction=True)
async def test_all_that_it_adds_works_together(site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {
        **settings.LINGSTREAM,
        "PROVIDER_KINDS": {"parrot": "tests.outside.parrot.parrot"},
        "OBSERVERS": ["tests.outside.parrot.Ears"],
    }
    Ears.heard.clear()
    await sync_to_async(store)()
    headers = {"Accept": "application/x-announced"}
    body = {"input": {"question": "a cloud"}}
    response = await site.http.post("/ling/workflows/outside/runs/", json=body, headers=headers)
    assert response.headers["content-type"] == "application/x-announced; charset=utf-8"
    run = await Run.objects.aget()
    assert (run.status, run.kinds) == ("finished", "outside-count outside-shout")
    assert run.document == {"said": "a cloud a cloud ", "loud": "A!! CLOUD!! A!! CLOUD!! ", "words": 4}
    assert sorted(Ears.heard) == [(kind, "finished") for kind in ("bot", "outside-count", "outside-shout")]
    kinds = [bot.kind async for bot in run.bot_runs.order_by("started_at", "pk")]
    assert kinds == ["bot", "outside-shout", "outside-count"]


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda path: path.name)
def test_no_private_name_is_touched(path: Path) -> None:
    assert not list(private_names(path.read_text()))


class TestCount(StepContract):
    kind = kind_of("outside-count")
    input = "one two"
    document = 2


class TestShout(StepContract):
    kind = kind_of("outside-shout")
    input = "a b"
    options = {"times": 2}
    format = "text"
    document = "A!! B!! "
