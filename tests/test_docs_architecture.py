"""``docs/architecture.md``: its example streams, and what it names is there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from lingstream.core.engine import kinds
from lingstream.core.wire import dialect
from lingstream.models import Run, Workflow

from . import site as sites
from .site import Site

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that the page writes."""
    module = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    known, steps = dict(dialect._kinds), dict(kinds._kinds)
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], module.__dict__)
    yield module
    for before, registry in ((known, dialect._kinds), (steps, kinds._kinds)):
        registry.clear()
        registry.update(before)  # type: ignore[arg-type]


def tie() -> None:
    sites.store_trigger(Workflow.objects.get(), "answer", "count", "", event="response")


@pytest.mark.django_db(transaction=True)
async def test_the_example_answers_word_by_word(shop: Any, site: Site, settings: Any) -> None:
    settings.LINGSTREAM = {
        **settings.LINGSTREAM,
        "PROVIDER_KINDS": {"backwards": "shop.backwards"},
        "OBSERVERS": ["shop.Counted"],
    }
    await sync_to_async(sites.store_provider)(kind="backwards", default_model="")
    await site.workflow(
        answer={"format": "text", "root": "said"},
        count={"kind": "count-words", "options": {"least": 4}, "root": "words"},
    )
    await sync_to_async(tie)()
    body, headers = {"input": {"question": "why do clouds float"}}, {"Accept": "text/plain"}
    response = await site.http.post("/ling/workflows/test/runs/", json=body, headers=headers)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "float clouds do why "
    assert shop.Counted.ended == 1
    run = await Run.objects.aget()
    assert (run.status, run.document) == ("finished", {"said": "float clouds do why ", "words": 2})


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"`((?:core|execution|access|hubs|providers|steps|transports)/[\w/.]*)`", PAGE):
        path = ROOT / "lingstream" / name
        assert path.exists() or path.with_suffix(".py").exists(), name
