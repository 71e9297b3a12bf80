"""Golden questions: what came of them, as figures and rows, and asking them from the admin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from lingstream.execution.runner import get_runner
from lingstream.knowledge import evaluation
from lingstream.knowledge.admin import questions as module
from lingstream.knowledge.evaluation import figures
from lingstream.knowledge.models import Collection, Evaluation, Question
from lingstream.models import Run, Runner
from tests.admin.forms import client_with
from tests.chaos.patience import within
from tests.site import Site

from .building import collection, document
from .meaning import embedder, meaning

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/admin/lingstream_knowledge/"


@pytest.fixture
def animals() -> Collection:
    """A collection with three questions: one is found, one is found late, one is not."""
    made = collection("animals")
    for number in range(6):
        document(made, f"the cat and another cat, {number}", key=f"cat {number}", title="Cats")
    document(made, "dogs bark, and no cat does", key="dogs", title="Dogs", heading=["Noises"])
    texts = {"who does bark": ["dogs"], "what is a cat": ["dogs"], "snow": ["dogs", "snow"]}
    for text, expected in texts.items():
        Question.objects.create(collection=made, text=text, expected=expected)
    return made


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(User.objects.create_superuser("root"))
    return made


def act(client: Client, model: str, action: str, *pks: int) -> str:
    data = {"action": action, "_selected_action": pks}
    return client.post(f"{URL}{model}/", data, follow=True).content.decode()


@pytest.mark.parametrize(
    ("ranks", "wanted"),
    [([1], (1, 1.0, 1.0, 1.0)), ([0, 2], (2, 0.5, 0.5, 0.25)), ([4, 8, 0, 1], (4, 0.25, 0.75, 0.34375))],
)
def test_figures(ranks: list[int], wanted: Any) -> None:
    assert figures(ranks) == wanted


def test_show_for_each_what_was_expected_and_what_came(client: Client, animals: Collection) -> None:
    told = act(client, "collection", "evaluate_selected", animals.pk)
    assert "3 questions were asked." in told
    ranks = dict(Question.objects.values_list("text", "rank"))
    assert (ranks["who does bark"], ranks["snow"]) == (1, 0)
    assert ranks["what is a cat"] > 3
    assert all(Question.objects.values_list("asked_at", flat=True))
    for html in (told, client.get(f"{URL}collection/{animals.pk}/change/").content.decode()):
        mrr = (1 + 1 / ranks["what is a cat"]) / 3
        assert all(figure in html for figure in ("0.33", "0.67", f"{mrr:.2f}"))
    rows = client.get(f"{URL}question/").content.decode()
    assert '<li>✓ <span title="dogs">Dogs › Noises</span></li>' in rows and "not among 8" in rows
    late = client.get(f"{URL}question/?came=late").content.decode()
    assert "what is a cat" in late and "snow" not in late


def test_keep_what_came_before(client: Client, animals: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change of the collection has done is seen beside what it was."""
    path = f"{URL}collection/{animals.pk}/change/"
    act(client, "collection", "evaluate_selected", animals.pk)
    html = client.get(path).content.decode()
    assert '<div class="readonly">0.33</div>' in html and html.count("<tr><td>") == 1
    Question.objects.filter(text="snow").update(expected=["cat 0"], text="another cat")
    Collection.objects.update(chunk_size=500, revision=77)
    act(client, "collection", "evaluate_selected", animals.pk)
    now, before = Evaluation.objects.all()
    assert (now.questions, now.first, before.first) == (3, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (now.revision, now.pipeline == before.pipeline) == (77, False)
    html = client.get(path).content.decode()
    assert '<div class="readonly">0.67 (0.33)</div>' in html and html.count("<tr><td>") == 2
    assert "0.67 (0.33)" in client.get(f"{URL}collection/").content.decode()
    monkeypatch.setattr(evaluation, "_KEPT", 2)
    act(client, "collection", "evaluate_selected", animals.pk)
    assert Evaluation.objects.count() == 2 and not Evaluation.objects.filter(pk=before.pk).exists()


def test_nothing_is_measured_while_an_embedder_is_away(client: Client) -> None:
    """By words alone the figures would be another collection's, beside those of this one."""
    made = collection("animals", embedder=embedder())
    document(made, "dogs bark", key="dogs")
    Question.objects.create(collection=made, text="hounds", expected=["dogs"])
    act(client, "collection", "evaluate_selected", made.pk)
    [before] = Evaluation.objects.values_list("all", flat=True)
    meaning.fails = True
    told = act(client, "collection", "evaluate_selected", made.pk)
    assert "Nothing is measured: animals is searched by words alone" in told
    with pytest.raises(CommandError, match="nothing is measured"):
        call_command("ling_knowledge", "eval", "animals")
    assert [before] == [*Evaluation.objects.values_list("all", flat=True)] == [1.0]
    assert Question.objects.get().rank == 1


def test_many_are_asked_behind_the_request(
    client: Client, animals: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    pks = Question.objects.values_list("pk", flat=True)
    assert "lives" in act(client, "question", "evaluate_selected", *pks)  # no process that would do it
    Runner.objects.create(heartbeat_at=timezone.now())
    assert "3 questions are being asked." in act(client, "question", "evaluate_selected", *pks)
    run = Run.objects.get(workflow="knowledge-eval")
    assert sorted(run.input["questions"]) == sorted(pks)
    monkeypatch.setattr(module, "MOST", 2)
    assert "Expected up to 2 questions at once" in act(client, "question", "evaluate_selected", *pks)


async def test_there_may_be_no_time_for_all(animals: Collection) -> None:
    rows = await sync_to_async(evaluation.questions_of)([row.pk async for row in Question.objects.all()])
    left = await evaluation.evaluate(rows, 0.0)
    assert (len(left), await Question.objects.exclude(rank=None).acount()) == (2, 1)
    assert not await Evaluation.objects.aexists()
    assert await evaluation.evaluate(left, 60.0) == []
    assert (await Evaluation.objects.aget()).questions == 3


def test_who_may_only_look_evaluates_nothing(animals: Collection) -> None:
    client = client_with("view_question", "view_collection")
    html = client.get(f"{URL}question/").content.decode()
    assert "snow" in html and "evaluate_selected" not in html
    act(client, "question", "evaluate_selected", *Question.objects.values_list("pk", flat=True))
    assert not Question.objects.exclude(rank=None).exists()


def test_who_sees_one_tenant_does_not_see_what_the_site_finds(
    client: Client, animals: Collection, settings: Any
) -> None:
    act(client, "collection", "evaluate_selected", animals.pk)
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.knowledge.test_evaluation.tenant_of"}
    looks = client_with("view_question")
    html = looks.get(f"{URL}question/").content.decode()
    assert "snow" in html and "Dogs › Noises" not in html


def tenant_of(request: Any) -> str:
    return "acme"


async def test_what_is_asked_behind_the_request_is_a_run(site: Site, animals: Collection) -> None:
    await get_runner().ensure_registered()
    rows = [row async for row in Question.objects.select_related("collection")]
    run = await sync_to_async(evaluation.request_evaluation)(rows)
    async with within():
        while run.status != "finished":
            await asyncio.sleep(0.05)
            await run.arefresh_from_db()
    assert run.document == {"asked": 3, "left": 0}
    assert await Question.objects.exclude(rank=None).acount() == 3
