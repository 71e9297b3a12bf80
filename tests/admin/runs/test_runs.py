"""Runs in the admin: read, searched, cancelled and deleted, never edited, and never HTML."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from lingstream.admin.display import MAX_SHOWN
from lingstream.models import BotRun, Conversation, Feedback, Run, Runner

pytestmark = pytest.mark.django_db

EVIL = "<script>alert('x')</script> \x00 \ud800 云"
URL = "/admin/lingstream/"


@pytest.fixture
def run() -> Run:
    now = timezone.now()
    owner = User.objects.create(username="asker")
    run = Run.objects.create(
        workflow="facts",
        owner=owner,
        conversation=Conversation.objects.create(
            owner=owner, title="Clouds", summary={"text": EVIL, "until": ""}, data={EVIL: EVIL}
        ),
        message={"parts": [{"type": "text", "text": EVIL}]},
        context=[{"role": "user", "content": EVIL}],
        runner=Runner.objects.create(hostname="web1", pid=7),
        status=Run.Status.FAILED,
        input={"question": EVIL},
        document={"answer": EVIL, EVIL: [1]},
        errors=[{"code": "provider", "message": EVIL}],
        usage={"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46, "estimated": True},
        started_at=now,
        finished_at=now + timedelta(seconds=2.5),
    )
    BotRun.objects.create(
        run=run,
        step="answer",
        instance="answer#1",
        root=EVIL,
        digest="d",
        messages=[
            {"role": "system", "content": EVIL},
            {"role": "user", "content": [{"type": "text", "text": EVIL}]},
        ],
        output=EVIL,
        reasoning=EVIL,
        repairs=[{"kind": EVIL}],
        error={"code": EVIL},
        model="large",
    )
    Feedback.objects.create(
        run=run, owner=owner, value=-1, uri=EVIL, reason="wrong", comment="<script>alert(1)"
    )
    return run


def pages(run: Run) -> list[str]:
    bot = run.bot_runs.get()
    rows = {"run": run.pk, "botrun": bot.pk, "conversation": run.conversation_id, "runner": run.runner_id}
    rows["feedback"] = run.feedback.get().pk
    return [f"{URL}{model}/" for model in rows] + [f"{URL}{model}/{pk}/change/" for model, pk in rows.items()]


def test_model_text_is_shown_as_text(admin_client: Client, run: Run) -> None:
    for page in pages(run):
        response = admin_client.get(page)
        assert response.status_code == 200, page
        assert "<script>alert" not in response.content.decode("utf-8"), page
    html = admin_client.get(f"{URL}run/{run.pk}/change/").content.decode()
    assert "&lt;script&gt;alert" in html
    assert "云" in html
    assert r"\ud800" in html
    assert "~12 + 34" in html
    assert "2.5 s" in html


def test_nothing_can_be_added_or_changed(admin_client: Client, run: Run) -> None:
    for page in pages(run):
        if page.endswith("/change/"):
            assert admin_client.post(page, {"status": "finished"}).status_code == 403, page
        else:
            assert admin_client.get(f"{page}add/").status_code == 403, page
    run.refresh_from_db()
    assert run.status == Run.Status.FAILED


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "facts"}, True),
        ({"q": "outline"}, False),
        ({"q": "ID"}, True),
        ({"status__exact": "failed"}, True),
        ({"status__exact": "running"}, False),
        ({"workflow": "facts"}, True),
        ({"conversation__id__exact": "CONVERSATION"}, True),
    ],
)
def test_runs_are_found(admin_client: Client, run: Run, query: dict[str, str], found: bool) -> None:
    names = {"ID": str(run.pk), "CONVERSATION": str(run.conversation_id)}
    query = {key: names.get(value, value) for key, value in query.items()}
    response = admin_client.get(f"{URL}run/", query)
    assert response.status_code == 200
    assert (str(run.pk) in response.content.decode()) is found


def test_the_list_does_not_load_documents(
    admin_client: Client, run: Run, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        Run.objects.create(workflow="facts", document="x", owner=run.owner)
    with django_assert_max_num_queries(15) as queries:
        admin_client.get(f"{URL}run/")
    assert not any('"lingstream_run"."document"' in query["sql"] for query in queries.captured_queries)


def test_a_huge_document_is_cut(admin_client: Client, run: Run) -> None:
    Run.objects.update(document="x" * (MAX_SHOWN + 1000))
    html = admin_client.get(f"{URL}run/{run.pk}/change/").content.decode()
    assert "1000 more characters" in html


def test_running_runs_can_be_stopped(admin_client: Client, run: Run) -> None:
    running = Run.objects.create(workflow="facts", status=Run.Status.RUNNING)
    data = {"action": "stop", "_selected_action": [run.pk, running.pk]}
    html = admin_client.post(f"{URL}run/", data, follow=True).content.decode()
    assert "1 run is being stopped." in html
    running.refresh_from_db()
    run.refresh_from_db()
    assert running.cancel_requested_at is not None
    assert run.cancel_requested_at is None


def test_stopping_needs_its_permission(run: Run) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_run"))
    client = Client()
    client.force_login(user)
    assert "Stop selected runs" not in client.get(f"{URL}run/").content.decode()
    running = Run.objects.create(workflow="facts", status=Run.Status.RUNNING)
    client.post(f"{URL}run/", {"action": "stop", "_selected_action": [running.pk]})
    running.refresh_from_db()
    assert running.cancel_requested_at is None


@pytest.mark.parametrize(
    ("permissions", "shown"), [(["view_run"], False), (["view_run", "view_provider"], True)]
)
def test_the_plan_is_for_who_may_see_providers(run: Run, permissions: list[str], shown: bool) -> None:
    Run.objects.update(plan={"providers": [{"base_url": "https://secret.example.com"}]})
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    html = client.get(f"{URL}run/{run.pk}/change/").content.decode()
    assert "&lt;script&gt;alert" in html
    assert ("secret.example.com" in html) is shown


def test_an_account_is_deleted_with_its_runs(admin_client: Client, run: Run) -> None:
    assert run.owner is not None
    response = admin_client.post(f"/admin/auth/user/{run.owner.pk}/delete/", {"post": "yes"})
    assert response.status_code == 302
    assert not Run.objects.exists()
    assert not BotRun.objects.exists()


def test_a_run_links_to_its_bots_and_back(admin_client: Client, run: Run) -> None:
    bot = run.bot_runs.get()
    assert f"{URL}botrun/{bot.pk}/change/" in admin_client.get(f"{URL}run/{run.pk}/change/").content.decode()
    assert f"{URL}run/{run.pk}/change/" in admin_client.get(f"{URL}botrun/{bot.pk}/change/").content.decode()


def test_the_row_of_a_process_is_not_deleted_by_hand(admin_client: Client, run: Run) -> None:
    """Each run that it ever executed would be changed."""
    assert admin_client.post(f"/admin/lingstream/runner/{run.runner_id}/delete/").status_code == 403
    assert Runner.objects.filter(pk=run.runner_id).exists()


class TestStepsOfOtherKinds:
    """What a step was to do, and what came of it, readably."""

    @pytest.fixture
    def page(self, run: Run) -> str:
        row = BotRun.objects.create(
            run=run,
            kind="letter",
            step="send",
            instance="send#1",
            digest="e",
            request={"input": {"name": EVIL}, "options": {"to": "Ada", "pages": [1, 2], "x": EVIL}},
            result=[["put", "text", EVIL], ["put", "", 1], ["note", "letter-sent", {"copies": 1}]],
            usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        )
        return f"{URL}botrun/{row.pk}/change/"

    def test_are_named_with_their_kind_on_the_runs_page(
        self, admin_client: Client, run: Run, page: str
    ) -> None:
        html = admin_client.get(f"{URL}run/{run.pk}/change/").content.decode()
        assert "<td>letter</td>" in html and "<td>bot</td>" in html
        assert f'<a href="{page}">its own page</a>' in html

    def test_show_request_and_result(self, admin_client: Client, page: str) -> None:
        html = admin_client.get(page).content.decode()
        for name, value in [
            ("to", "Ada"),
            ("pages", "[\n  1,\n  2\n]"),
            ("value at the root", "1"),
            ("event letter-sent", "{\n  &quot;copies&quot;: 1\n}"),
        ]:
            assert f'<p class="ling-name">{name}</p><pre class="ling-pre">{value}</pre>' in html
        assert '<p class="ling-name">value at text</p><pre class="ling-pre">&lt;script&gt;' in html
        assert '<p class="ling-name">input</p>' in html
        assert "<script>alert" not in html

    def test_have_nothing_of_a_model(self, admin_client: Client, run: Run, page: str) -> None:
        of_models = ["field-provider", "field-model", "<summary>Messages</summary>"]
        html = admin_client.get(page).content.decode()
        assert [name for name in of_models if name in html] == []
        assert "0 + 0" not in html
        bot = admin_client.get(f"{URL}botrun/{run.bot_runs.get(kind='bot').pk}/change/").content.decode()
        assert [name for name in of_models if name in bot] == of_models
        assert ">Request</p>" not in bot

    def test_show_functions_with_their_arguments(self, admin_client: Client, run: Run) -> None:
        row = BotRun.objects.create(
            run=run,
            kind="once",
            step="rate",
            instance="rate#1",
            digest="f",
            request={"arguments": ["a", 1]},
            result={"stars": 5},
        )
        html = admin_client.get(f"{URL}botrun/{row.pk}/change/").content.decode()
        assert (
            '<p class="ling-name">arguments</p><pre class="ling-pre">[\n  &quot;a&quot;,\n  1\n]</pre>'
            in html
        )
        assert "&quot;stars&quot;: 5" in html

    def test_that_say_much_are_cut(self, admin_client: Client, page: str) -> None:
        said = [["put", str(number), "x" * 1000] for number in range(300)]
        BotRun.objects.filter(kind="letter").update(result=said)
        html = admin_client.get(page).content.decode()
        assert len(html) < MAX_SHOWN + 100_000
        assert "more.</p>" in html

    @pytest.mark.parametrize("columns", [{"request": None, "result": None}, {"request": {}, "result": []}])
    def test_may_have_said_nothing(self, admin_client: Client, page: str, columns: dict[str, Any]) -> None:
        BotRun.objects.filter(kind="letter").update(**columns)
        assert admin_client.get(page).status_code == 200
