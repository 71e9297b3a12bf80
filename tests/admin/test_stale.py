"""Two people who have one page open: the second one is told, and nothing that was typed is lost."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from lingstream.admin import stale
from lingstream.knowledge.models import Collection, Embedder, Question, Source, Sync
from lingstream.models import (
    Chat,
    Occasion,
    Prompt,
    PromptLabel,
    PromptVersion,
    Provider,
    Schedule,
    Step,
    Trigger,
    Workflow,
)

from .forms import client_with, errors_of, form_data, post_page

pytestmark = pytest.mark.django_db

CHANGES: dict[str, tuple[str, str, str, str]] = {
    "a provider": ("lingstream/provider", "default_model", "theirs", "mine"),
    "a provider's options": ("lingstream/provider", "options", '{\n  "rate": 2\n}', '{"rate": 3}'),
    "a provider's number": ("lingstream/provider", "max_concurrency", "2", "3"),
    "a prompt": ("lingstream/prompt", "description", "theirs", "mine"),
    "a workflow": ("lingstream/workflow", "name", "theirs", "mine"),
    "a workflow's choice": ("lingstream/workflow", "access", "permission", "anyone"),
    "a schedule": ("lingstream/schedule", "every", "100", "200"),
    "a collection": ("lingstream_knowledge/collection", "title", "theirs", "mine"),
    "a source": ("lingstream_knowledge/source", "retries", "5", "7"),
    "a source's configuration": (
        "lingstream_knowledge/source",
        "options-web-seeds",
        '[\n  "https://theirs.example/"\n]',
        '["https://mine.example/"]',
    ),
    "an embedder": ("lingstream_knowledge/embedder", "model", "theirs", "mine"),
    "a golden question": ("lingstream_knowledge/question", "language", "en", "de"),
}


CHANGES_NONE_ADDED = (
    *("view_workflow", "change_workflow", "view_step", "change_step", "view_trigger", "change_trigger"),
    *("view_prompt", "view_chat", "change_chat"),
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def rows() -> dict[str, Any]:
    """One of each."""
    collection = Collection.objects.create(slug="docs", title="Docs")
    config = {"seeds": ["https://example.com/"]}
    remote = Provider.objects.create(name="remote", kind="openai")
    found = {
        "provider": Provider.objects.create(name="p", kind="scripted", options={"rate": 1}),
        "prompt": Prompt.objects.create(slug="tone", name="Tone"),
        "workflow": Workflow.objects.create(slug="facts", name="Facts"),
        "schedule": Schedule.objects.create(name="daily", workflow="facts", every=86400),
        "collection": collection,
        "source": Source.objects.create(collection=collection, slug="site", kind="web", config=config),
        "embedder": Embedder.objects.create(slug="e", kind="openai", provider=remote, model="m"),
        "question": Question.objects.create(collection=collection, text="What?", expected=["a.md"]),
    }
    version = PromptVersion.objects.create(prompt=found["prompt"], text="Hello.")
    PromptLabel.objects.create(prompt=found["prompt"], name="production", version=version)
    first = Step.objects.create(workflow=found["workflow"], name="answer", input="{{ input.q }}")
    second = Step.objects.create(workflow=found["workflow"], name="details", root="details", position=1)
    Trigger.objects.create(workflow=found["workflow"], source=first, target=second, pattern="answer")
    return found


def page_of(row: Any) -> str:
    meta = row._meta
    return f"/admin/{meta.app_label}/{meta.model_name}/{row.pk}/change/"


def base_of(response: Any) -> str:
    return str(response.context["adminform"].form["base"].value())


@pytest.mark.parametrize("name", CHANGES)
def test_is_told_once_with_what_is_stored_now(admin_client: Client, rows: dict[str, Any], name: str) -> None:
    path, field, theirs, mine = CHANGES[name]
    row = rows[path.rpartition("/")[2]]
    page = page_of(row)
    opened = form_data(admin_client.get(page))
    before = opened.get(field)
    assert post_page(admin_client, page, {field: theirs}).status_code == 302

    response = admin_client.post(page, {**opened, field: mine})
    found = errors_of(response)
    assert set(found) == {"__all__", field}
    assert found["__all__"][0].startswith("admin saved this at ") and "save again" in found["__all__"][0]
    choices = dict(getattr(response.context["adminform"].form.fields[field], "choices", ()))
    assert found[field] == [f"Stored here meanwhile: {choices.get(theirs, theirs)}"]
    assert found["__all__"][0].split(" Look at theirs")[0] in response.content.decode(), "and the page has it"
    now = form_data(admin_client.get(page))
    assert str(now[field]) == theirs

    again = {**opened, field: mine, "base": base_of(response)}
    assert admin_client.post(page, again).status_code == 302
    assert str(form_data(admin_client.get(page))[field]) not in (theirs, before)


def test_a_field_that_would_be_changed_back_counts_too(admin_client: Client, rows: dict[str, Any]) -> None:
    page = page_of(rows["provider"])
    opened = form_data(admin_client.get(page))
    post_page(admin_client, page, {"default_model": "theirs"})
    found = errors_of(admin_client.post(page, {**opened, "max_concurrency": "3"}))
    assert set(found) == {"__all__", "default_model"}


@pytest.mark.parametrize("theirs", [{}, {"default_model": "the same"}])
def test_who_changes_nothing_back_is_not_told(
    admin_client: Client, rows: dict[str, Any], theirs: dict[str, str]
) -> None:
    page = page_of(rows["provider"])
    opened = form_data(admin_client.get(page))
    post_page(admin_client, page, theirs)
    assert admin_client.post(page, {**opened, "default_model": "the same"}).status_code == 302
    assert "ase" not in LogEntry.objects.latest("pk").get_change_message()  # of the page's mark


def test_somebody_is_whoever_has_not_saved_in_the_admin(admin_client: Client, rows: dict[str, Any]) -> None:
    page = page_of(rows["provider"])
    post_page(admin_client, page, {"default_model": "before"})
    opened = form_data(admin_client.get(page))
    Provider.objects.filter(pk=rows["provider"].pk).update(default_model="by a command")
    found = errors_of(admin_client.post(page, {**opened, "default_model": "mine"}))
    assert found["__all__"][0].startswith("Somebody saved this at ")


def test_what_the_site_writes_by_itself_disturbs_nobody(admin_client: Client, rows: dict[str, Any]) -> None:
    collection, source, question = rows["collection"], rows["source"], rows["question"]
    pages = {
        page_of(row): form_data(admin_client.get(page_of(row))) for row in (collection, source, question)
    }
    Collection.objects.update(revision=7)
    Source.objects.update(state="ok", number=3, failures=1)
    Sync.objects.create(source=rows["source"], number=3)
    Question.objects.update(rank=2, found=[])
    for page, data in pages.items():
        assert admin_client.post(page, data).status_code == 302, page


@pytest.mark.parametrize(
    ("page", "change", "of", "columns"),
    [
        ("source", {"retries": "5"}, "source", {"number": 7, "epoch": 9, "state": "ok", "problem": "slow"}),
        ("source", {"retries": "5"}, "source", {"next_at": NOON}),
        ("collection", {"title": "Mine"}, "collection", {"revision": 7, "embedded_by": "another"}),
        (
            "collection",
            {"questions-0-language": "de"},
            "question",
            {"rank": 2, "found": [], "asked_at": NOON},
        ),
        ("question", {"language": "de"}, "question", {"rank": 2, "asked_at": NOON}),
        ("schedule", {"every": "100"}, "schedule", {"last_at": NOON, "last_error": "no"}),
        ("occasion", {"name": "mine"}, "occasion", {"skipped": 3, "secret_version": 2}),
        ("workflow", {"occasions-0-name": "mine"}, "occasion", {"skipped": 3, "secret_version": 2}),
    ],
)
def test_what_the_site_writes_at_that_moment_is_not_put_back(
    admin_client: Client, rows: dict[str, Any], page: str, change: dict[str, str], of: str, columns: Any
) -> None:
    rows["occasion"] = Occasion.objects.create(
        workflow=rows["workflow"], name="theirs", kind="schedule", schedule="0 9 * * *"
    )
    Source.objects.update(next_at=NOON - timedelta(days=1))
    row, url = rows[of], page_of(rows[page])
    model = type(row)
    save = model.save

    def late(saved: Any, *args: Any, **kwargs: Any) -> None:
        model.objects.filter(pk=saved.pk).update(**columns)
        save(saved, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "save", late)
        response = post_page(admin_client, url, change)
    assert response.status_code == 302, errors_of(response)
    [(name, value)] = change.items()
    row.refresh_from_db()
    assert str(getattr(row, name.rpartition("-")[2])) == value
    assert {column: getattr(row, column) for column in columns} == columns


def test_rows_below_are_told_by_what_they_are_called(admin_client: Client, rows: dict[str, Any]) -> None:
    page = page_of(rows["collection"])
    opened = form_data(admin_client.get(page))
    Question.objects.update(text="Whose?")
    (told,) = errors_of(admin_client.post(page, opened))["__all__"]
    assert "Changed below: golden questions." in told
    assert re.search(r'target="_blank">[^<]* in a new tab<', told)


@pytest.mark.parametrize(("more", "is_told"), [((), False), (("add_question",), True)])
def test_rows_below_are_told_to_who_may_add_some(
    rows: dict[str, Any], more: tuple[str, ...], is_told: bool
) -> None:
    page = page_of(rows["collection"])
    client = client_with("view_collection", "change_collection", "view_question", *more)
    opened = form_data(client.get(page))
    Question.objects.update(text="Whose?")
    response = client.post(page, opened)
    assert (response.status_code == 200 and "Changed below" in response.content.decode()) is is_told


def test_who_may_only_look_sees_no_mark(rows: dict[str, Any]) -> None:
    client = client_with("view_provider", "view_collection", "view_prompt")
    for row in (rows["provider"], rows["collection"], rows["prompt"]):
        html = client.get(page_of(row)).content.decode()
        assert 'field-base"' not in html and 'name="base"' not in html


@pytest.mark.parametrize(
    "mark",
    [
        *("1", "{", "[]", "null", '{"opened": 1}', "[" * 19_000),
        '{"opened":"x","saved":1,"marks":{}}',
        '{"opened":"","saved":"","marks":[[1,2]]}',
        '{"opened":"","saved":"","marks":{"max_concurrency":{"a":[1]}}}',
    ],
)
def test_a_mark_that_is_none_hinders_nothing(admin_client: Client, rows: dict[str, Any], mark: str) -> None:
    changes = {"default_model": "mine", "base": mark}
    assert post_page(admin_client, page_of(rows["provider"]), changes).status_code == 302


@pytest.mark.parametrize(
    "opened",
    [
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2020-01-01T00:00:00", "2020-01-01"),
        *("2020-13-01T00:00:00Z", "0001-01-01T00:00:00Z", ""),
    ],
)
def test_a_time_that_is_none_hinders_nothing(admin_client: Client, rows: dict[str, Any], opened: str) -> None:
    base = json.dumps({"opened": opened, "saved": "", "marks": {"default_model": "x"}})
    response = post_page(admin_client, page_of(rows["provider"]), {"base": base, "default_model": "mine"})
    assert set(errors_of(response)) == {"__all__", "default_model"}


def test_what_is_stored_is_marked_once_where_it_is_compared(
    admin_client: Client, rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Occasion.objects.create(workflow=rows["workflow"], kind="greeting", name="hello")
    page, taken = page_of(rows["workflow"]), list[Any]()
    whole = stale.StaleForm.marks
    monkeypatch.setattr(stale.StaleForm, "marks", lambda form: taken.append(form) or whole(form))
    opened = form_data(admin_client.get(page))
    assert len(taken) == 1 and not [name for name in opened if name.endswith("-base")]
    assert admin_client.post(page, {**opened, "base": ""}).status_code == 302
    assert len(taken) == 1
    post_page(admin_client, page, {"name": "theirs"})
    taken.clear()
    errors_of(admin_client.post(page, {**opened, "name": "mine"}))
    assert len(taken) == 1


class TestRowsThatAreGone:
    """Django refuses them for ever, by an error at a field that nobody sees."""

    def test_come_back_with_what_was_typed(self, admin_client: Client, rows: dict[str, Any]) -> None:
        workflow = rows["workflow"]
        opened = form_data(admin_client.get(page_of(workflow)))
        workflow.steps.filter(name="details").delete()
        mine = {**opened, "steps-1-input": "typed"}
        response = admin_client.post(page_of(workflow), mine)
        assert set(errors_of(response)) == {"__all__"}
        again = {**form_data(response), "base": base_of(response)}
        assert admin_client.post(page_of(workflow), again).status_code == 302
        assert list(workflow.steps.values_list("name", "input")) == [
            ("answer", "{{ input.q }}"),
            ("details", "typed"),
        ]
        assert [(str(each.source), str(each.target)) for each in workflow.triggers.all()] == [
            ("answer", "details")
        ]

    def test_and_were_deleted_here_too_stay_so(self, admin_client: Client, rows: dict[str, Any]) -> None:
        workflow = rows["workflow"]
        opened = form_data(admin_client.get(page_of(workflow)))
        workflow.steps.filter(name="details").delete()
        mine = {**opened, "steps-1-DELETE": "on", "triggers-0-DELETE": "on", "base": ""}
        assert admin_client.post(page_of(workflow), mine).status_code == 302
        assert (workflow.steps.count(), workflow.triggers.count()) == (1, 0)

    def test_keep_the_others_apart(self, admin_client: Client, rows: dict[str, Any]) -> None:
        page, collection = page_of(rows["collection"]), rows["collection"]
        more = [
            Question.objects.create(collection=collection, text=text, expected=["b.md"]) for text in "bcd"
        ]
        opened = form_data(admin_client.get(page))
        more[0].delete()
        opened |= {"questions-2-text": "c!", "questions-1-text": "b!", "base": ""}
        assert admin_client.post(page, opened).status_code == 302
        assert sorted(collection.questions.values_list("text", flat=True)) == ["What?", "b!", "c!", "d"]
        assert Question.objects.get(pk=more[1].pk).text == "c!"

    @pytest.mark.parametrize("again", [False, True])
    def test_leave_the_labels_below_where_somebody_has_put_them(
        self, admin_client: Client, rows: dict[str, Any], again: bool
    ) -> None:
        prompt, page = rows["prompt"], page_of(rows["prompt"])
        first, second = prompt.newest, PromptVersion.objects.create(prompt=prompt, text="Two.")
        PromptLabel.objects.all().delete()
        for name in "abc":
            PromptLabel.objects.create(prompt=prompt, name=name, version=first)
        opened = {**form_data(admin_client.get(page)), "description": "mine"}
        prompt.labels.filter(name="b").delete()
        prompt.labels.filter(name="c").update(version=second)
        if again:
            response = admin_client.post(page, {**opened, "slug": ""})
            assert set(errors_of(response)) == {"slug"}
            opened = {**form_data(response), "slug": "tone"}
        assert admin_client.post(page, opened).status_code == 302
        assert list(prompt.labels.values_list("name", "version__number")) == [("a", 1), ("c", 2)]
        prompt.refresh_from_db()
        assert prompt.description == "mine"

    def test_are_told_to_who_may_not_add_any_and_left_out(self, rows: dict[str, Any]) -> None:
        workflow, page = rows["workflow"], page_of(rows["workflow"])
        client = client_with(*CHANGES_NONE_ADDED)
        opened = form_data(client.get(page))
        workflow.steps.filter(name="details").delete()
        response = client.post(page, {**opened, "steps-1-input": "typed", "description": "mine"})
        html = response.content.decode()
        assert html.count("you may not add any: they are left out.") == 2  # the steps and the triggers
        again = {**form_data(response), "base": base_of(response)}
        assert client.post(page, again).status_code == 302
        workflow.refresh_from_db()
        assert workflow.description == "mine"
        assert [step.name for step in workflow.steps.all()] == ["answer"]

    @pytest.mark.parametrize("more", [(), ("change_chat",), ("add_step",), ("change_chat", "add_step")])
    def test_are_not_told_where_nothing_was_typed(self, rows: dict[str, Any], more: tuple[str, ...]) -> None:
        workflow, page = rows["workflow"], page_of(rows["workflow"])
        Chat.objects.create(workflow=workflow)
        client = client_with("view_workflow", "change_workflow", "view_step", "view_chat", *more)
        kept = re.compile(r"(steps|chat)-\d+-(?!id$|workflow$).*")
        sent = form_data(client.get(page)).items()
        opened = {name: value for name, value in sent if not kept.fullmatch(name)}
        workflow.steps.filter(name="details").delete()
        Chat.objects.all().delete()
        assert client.post(page, {**opened, "base": ""}).status_code == 302
        assert (workflow.steps.count(), Chat.objects.count()) == (1, 0)

    @pytest.mark.parametrize("forged", [{}, {"chat-INITIAL_FORMS": "0", "chat-0-id": ""}])
    def test_a_chat_is_added_by_nobody_who_may_not(
        self, rows: dict[str, Any], forged: dict[str, str]
    ) -> None:
        workflow, page = rows["workflow"], page_of(rows["workflow"])
        Chat.objects.create(workflow=workflow)
        client = client_with(*CHANGES_NONE_ADDED)
        opened = form_data(client.get(page))
        Chat.objects.all().delete()
        response = client.post(page, {**opened, "base": "", **forged})
        if not forged:
            before, told, _after = response.content.decode().partition("you may not add any")
            assert told and "<details" not in before.rpartition('id="chat-group"')[2]
            assert client.post(page, {**form_data(response), "base": ""}).status_code == 302
        assert not Chat.objects.exists()

    @pytest.mark.parametrize("was_there", [True, False])
    def test_a_chat_that_somebody_has_added_is_the_one_that_is_written(
        self, admin_client: Client, rows: dict[str, Any], was_there: bool
    ) -> None:
        page = page_of(rows["workflow"])
        opened = self.with_a_chat(admin_client, rows["workflow"], was_there)
        theirs = Chat.objects.create(workflow=rows["workflow"], input_uri="theirs", rate="1/m")
        response = admin_client.post(page, {**opened, "chat-0-input_uri": "mine"})
        assert set(errors_of(response)) == {"__all__"}
        assert "Changed below: chats." in errors_of(response)["__all__"][0]
        again = {**form_data(response), "base": base_of(response)}
        assert admin_client.post(page, again).status_code == 302
        assert Chat.objects.values_list("pk", "input_uri", "rate").get() == (theirs.pk, "mine", "20/m")

    @pytest.mark.parametrize("was_there", [True, False])
    def test_a_chat_that_was_deleted_here_is_deleted_where_it_was_there(
        self, admin_client: Client, rows: dict[str, Any], was_there: bool
    ) -> None:
        opened = self.with_a_chat(admin_client, rows["workflow"], was_there)
        Chat.objects.create(workflow=rows["workflow"])
        mine = {**opened, "chat-0-DELETE": "on", "base": ""}
        assert admin_client.post(page_of(rows["workflow"]), mine).status_code == 302
        assert Chat.objects.exists() is not was_there

    def test_a_chat_that_somebody_has_added_is_changed_by_nobody_who_may_not(
        self, rows: dict[str, Any]
    ) -> None:
        page = page_of(rows["workflow"])
        client = client_with("view_workflow", "change_workflow", "view_chat", "add_chat")
        opened = self.with_a_chat(client, rows["workflow"], was_there=False)
        Chat.objects.create(workflow=rows["workflow"], input_uri="theirs")
        response = client.post(page, {**opened, "chat-0-input_uri": "mine", "base": ""})
        assert "you may not change it: yours is left out." in response.content.decode()
        assert client.post(page, {**form_data(response), "base": ""}).status_code == 302
        assert Chat.objects.get().input_uri == "theirs"

    def test_a_chat_that_somebody_has_added_is_told_of_to_who_may_not_see_it(
        self, rows: dict[str, Any]
    ) -> None:
        page = page_of(rows["workflow"])
        client = client_with("view_workflow", "change_workflow", "add_chat")
        opened = form_data(client.get(page))
        added = {"chat-TOTAL_FORMS": "1", "chat-0-input_uri": "mine", "chat-0-rate": "20/m", "base": ""}
        Chat.objects.create(workflow=rows["workflow"], input_uri="theirs")
        response = client.post(page, {**opened, **added})
        html = response.content.decode()
        assert "you may not change it: yours is left out." in html and "theirs" not in html
        assert client.post(page, {**form_data(response), "base": ""}).status_code == 302
        assert Chat.objects.get().input_uri == "theirs"

    def with_a_chat(self, client: Client, workflow: Workflow, was_there: bool) -> dict[str, Any]:
        """What a page holds whose chat is gone since, or was added on it."""
        empty = form_data(client.get(page_of(workflow)))
        chat = Chat.objects.create(workflow=workflow)
        opened = form_data(client.get(page_of(workflow)))
        chat.delete()
        new = {"chat-0-id": "", "chat-INITIAL_FORMS": "0", "base": empty["base"]}
        return opened if was_there else {**opened, **new}

    def test_of_a_name_that_somebody_has_given_again_are_told(
        self, admin_client: Client, rows: dict[str, Any]
    ) -> None:
        workflow, page = rows["workflow"], page_of(rows["workflow"])
        opened = form_data(admin_client.get(page))
        workflow.steps.filter(name="details").delete()
        Step.objects.create(workflow=workflow, name="details", root="theirs", position=1)
        mine = {**opened, "steps-1-input": "typed", "base": ""}
        assert set(errors_of(admin_client.post(page, mine))) == {"steps-1-name"}
        assert admin_client.post(page, {**mine, "steps-1-name": "mine"}).status_code == 302
        assert [(step.name, step.root, step.input) for step in workflow.steps.all()] == [
            ("answer", "", "{{ input.q }}"),
            ("details", "theirs", "{{ value }}"),
            ("mine", "details", "typed"),
        ]
        assert [str(each.target) for each in workflow.triggers.all()] == ["mine"]

    def test_a_trigger_cannot_start_a_step_that_is_gone_and_cannot_be_added(
        self, rows: dict[str, Any]
    ) -> None:
        workflow, page = rows["workflow"], page_of(rows["workflow"])
        third = Step.objects.create(workflow=workflow, name="third", root="third", position=2)
        client = client_with(*CHANGES_NONE_ADDED)
        opened = form_data(client.get(page))
        third.delete()
        mine = {**opened, "triggers-0-start_step": str(third.pk), "base": ""}
        (told,) = errors_of(client.post(page, mine))["triggers-0-start_step"]
        assert told.startswith("Select a valid choice.")
        forged = {
            "steps-2-id": "",
            "steps-2-name": "new",
            "steps-TOTAL_FORMS": "3",
            "steps-INITIAL_FORMS": "2",
        }
        mine = {**opened, **forged, "triggers-0-start_step": "name:new", "base": ""}
        assert set(errors_of(client.post(page, mine))) == {"triggers-0-start_step"}

    def test_are_none_where_somebody_has_rolled_back(
        self, admin_client: Client, rows: dict[str, Any]
    ) -> None:
        workflow = rows["workflow"]
        workflow.publish()
        workflow.steps.filter(name="answer").update(input="draft")
        keys = list(workflow.triggers.values_list("pk", flat=True))
        workflow.roll_back(1)
        assert list(workflow.triggers.values_list("pk", flat=True)) == keys


NEW_ROWS: dict[str, tuple[str, dict[str, str], dict[str, str], str]] = {
    "a step": ("workflow", {"steps-name": "x", "steps-root": "x"}, {}, "steps-2-name"),
    "an example": ("workflow", {"examples-name": "x", "examples-input": "1"}, {}, "examples-0-name"),
    "an occasion": (
        "workflow",
        {"occasions-name": "x", "occasions-kind": "greeting"},
        {},
        "occasions-0-name",
    ),
    "a second silence": (
        "workflow",
        {"occasions-name": "x", "occasions-kind": "silence", "occasions-after": "60"},
        {"occasions-0-name": "y"},
        "occasions-0-__all__",
    ),
    "a label": ("prompt", {"labels-name": "x", "labels-version": "v1"}, {}, "labels-1-name"),
}
"""The page, what is typed into a new row, what the second one types instead, and where that is told."""


class TestNames:
    """Each is there once among the rows below a row, which Django asks of those on one page only."""

    @pytest.mark.parametrize("name", NEW_ROWS)
    def test_that_somebody_has_given_meanwhile_are_told_at_their_row(
        self, admin_client: Client, rows: dict[str, Any], name: str
    ) -> None:
        path, typed, instead, told = NEW_ROWS[name]
        page, prefix = page_of(rows[path]), told.partition("-")[0]
        if prefix == "labels":
            typed = {**typed, "labels-version": str(rows["prompt"].newest.pk)}
        mine = self.with_a_new_row(admin_client, page, prefix, typed)
        assert admin_client.post(page, mine).status_code == 302
        stored = list(getattr(rows[path], prefix).values())
        assert [each for each in stored if each["name"] == "x"]
        found = errors_of(admin_client.post(page, {**mine, **instead}))
        assert set(found) == {told}
        assert "There is another one of this name" in found[told][0] or instead
        assert list(getattr(rows[path], prefix).values()) == stored

    @pytest.mark.parametrize(
        ("sent", "names"),
        [
            ({"steps-0-DELETE": "on", "steps-1-name": "answer"}, ["answer"]),
            ({"steps-0-name": "first", "steps-1-name": "answer"}, ["first", "answer"]),
            ({"steps-0-name": "details", "steps-1-name": "answer"}, None),
            ({"steps-0-name": "details", "steps-1-name": "second"}, None),
        ],
    )
    def test_that_are_free_when_their_row_is_stored_may_be_given(
        self, admin_client: Client, rows: dict[str, Any], sent: dict[str, str], names: list[str] | None
    ) -> None:
        changes = {**sent, "triggers-0-DELETE": "on"}
        response = post_page(admin_client, page_of(rows["workflow"]), changes)
        if names is None:
            assert set(errors_of(response)) == {"steps-0-name"}
        else:
            assert response.status_code == 302, errors_of(response)
            assert [step.name for step in rows["workflow"].steps.all()] == names

    @pytest.mark.parametrize(
        ("sent", "names"),
        [
            ({}, None),
            ({"labels-0-name": "gamma"}, ["canary", "gamma", "production"]),
            ({"labels-0-DELETE": "on"}, ["canary", "production"]),
        ],
    )
    def test_that_a_row_has_which_is_not_stored_are_not_free(
        self, admin_client: Client, rows: dict[str, Any], sent: dict[str, str], names: list[str] | None
    ) -> None:
        prompt, page = rows["prompt"], page_of(rows["prompt"])
        label = PromptLabel.objects.create(prompt=prompt, name="beta", version=prompt.newest)
        typed = {"labels-name": "canary", "labels-version": str(prompt.newest.pk)}
        mine = self.with_a_new_row(admin_client, page, "labels", typed)
        PromptLabel.objects.filter(pk=label.pk).update(name="canary")
        response = admin_client.post(page, {**mine, **sent})
        if names is None:
            assert set(errors_of(response)) == {"labels-2-name"}
        else:
            assert response.status_code == 302, errors_of(response)
            assert [label.name for label in prompt.labels.all()] == names

    @pytest.mark.parametrize(
        ("typed", "told"), [({"name": "x"}, "name"), ({"kind": "silence", "after": "60"}, "__all__")]
    )
    def test_are_asked_for_on_a_page_that_does_not_show_whose_they_are(
        self, admin_client: Client, rows: dict[str, Any], typed: dict[str, str], told: str
    ) -> None:
        Occasion.objects.create(workflow=rows["workflow"], kind="silence", name="x", after=60)
        occasion = Occasion.objects.create(workflow=rows["workflow"], kind="greeting", name="hello")
        assert set(errors_of(post_page(admin_client, page_of(occasion), typed))) == {told}
        assert post_page(admin_client, page_of(occasion), {"name": "y"}).status_code == 302

    def test_of_a_step_that_is_deleted_may_be_given_to_one_that_a_trigger_starts(
        self, admin_client: Client, rows: dict[str, Any]
    ) -> None:
        page, workflow = page_of(rows["workflow"]), rows["workflow"]
        mine = self.with_a_new_row(
            admin_client, page, "steps", {"steps-name": "details", "steps-root": "new"}
        )
        mine |= {"steps-1-DELETE": "on", "triggers-0-start_step": "name:details"}
        assert admin_client.post(page, mine).status_code == 302
        assert [each.target.root for each in workflow.triggers.all()] == ["new"]

    def test_what_is_wrong_with_rows_together_is_told_where_that_is_seen(
        self, admin_client: Client, rows: dict[str, Any]
    ) -> None:
        page, silence = page_of(rows["workflow"]), {"occasions-kind": "silence", "occasions-after": "60"}
        mine = self.with_a_new_row(admin_client, page, "occasions", {**silence, "occasions-name": "x"})
        first = {name: value for name, value in mine.items() if name.startswith("occasions-0-")}
        second = {name.replace("-0-", "-1-", 1): value for name, value in first.items()}
        second |= {"occasions-1-name": "y", "occasions-TOTAL_FORMS": "2"}
        response = admin_client.post(page, {**mine, **second})
        group = response.content.decode().partition('id="occasions-group"')[2]
        before, told, _after = group.partition("Expected at most one occasion of silence in a workflow.")
        assert told and "<details" not in before

    def test_a_row_that_is_deleted_does_not_count_where_another_one_is_wrong(
        self, admin_client: Client, rows: dict[str, Any]
    ) -> None:
        page, workflow = page_of(rows["workflow"]), rows["workflow"]
        Occasion.objects.create(workflow=workflow, name="x", kind="silence", after=60)
        Occasion.objects.create(workflow=workflow, name="y", kind="greeting")
        typed = {"occasions-kind": "silence", "occasions-after": "60", "occasions-name": "new"}
        opened = self.with_a_new_row(admin_client, page, "occasions", typed)
        Occasion.objects.create(workflow=workflow, name="theirs", kind="greeting")
        mine = {**opened, "occasions-0-DELETE": "on", "occasions-1-name": "theirs"}
        response = admin_client.post(page, mine)
        assert set(errors_of(response)) == {"occasions-1-name"}
        assert "Expected at most one occasion of silence" not in response.content.decode()

    def with_a_new_row(self, client: Client, page: str, prefix: str, typed: dict[str, str]) -> dict[str, Any]:
        """What a page holds to which a row is added, without its mark."""
        response = client.get(page)
        formsets = [inline.formset for inline in response.context_data["inline_admin_formsets"]]
        (formset,) = (formset for formset in formsets if formset.prefix == prefix)
        place = f"{prefix}-{formset.total_form_count()}"
        values = {bound.name: bound.value() for bound in formset.empty_form}
        values |= {name.removeprefix(f"{prefix}-"): value for name, value in typed.items()}
        empty = {
            f"{place}-{name}": "" if value is None else value
            for name, value in values.items()
            if value is not False
        }
        total = {f"{prefix}-TOTAL_FORMS": str(formset.total_form_count() + 1)}
        return {**form_data(response), **empty, **total, "base": ""}


class TestPrompts:
    def test_a_text_becomes_the_next_version(self, admin_client: Client, rows: dict[str, Any]) -> None:
        prompt = rows["prompt"]
        opened = form_data(admin_client.get(page_of(prompt)))
        post_page(admin_client, page_of(prompt), {"text": "theirs"})
        response = admin_client.post(page_of(prompt), {**opened, "text": "mine"})
        (told,) = errors_of(response)["__all__"]
        assert told.startswith("Version 2 was saved while you were editing")
        assert f'href="{page_of(prompt)}?from=2"' in told
        again = {**opened, "text": "mine", "base": base_of(response)}
        assert admin_client.post(page_of(prompt), again).status_code == 302
        assert list(prompt.versions.values_list("text", flat=True)) == ["mine", "theirs", "Hello."]

    @pytest.mark.parametrize(("text", "lives"), [("Hello.", 1), ("mine", 3)])
    def test_what_has_gone_into_production_meanwhile_is_not_taken_back_in_silence(
        self, admin_client: Client, rows: dict[str, Any], text: str, lives: int
    ) -> None:
        prompt = rows["prompt"]
        second = PromptVersion.objects.create(prompt=prompt, text="Two.")
        opened = form_data(admin_client.get(page_of(prompt))) | {"text": text, "publish": "on"}
        PromptLabel.objects.update(version=second)
        response = admin_client.post(page_of(prompt), opened)
        assert errors_of(response).keys() == {"publish"}
        assert errors_of(response)["publish"][0].startswith("Version 2 went into production while you")
        response = admin_client.post(page_of(prompt), {**opened, "base": base_of(response)}, follow=True)
        assert prompt.labels.get().version.number == lives
        assert any("live" in str(each) for each in response.context["messages"])

    def test_who_leaves_the_text_alone_is_not_told(self, admin_client: Client, rows: dict[str, Any]) -> None:
        prompt = rows["prompt"]
        opened = form_data(admin_client.get(page_of(prompt)))
        post_page(admin_client, page_of(prompt), {"text": "theirs"})
        assert admin_client.post(page_of(prompt), {**opened, "description": "mine"}).status_code == 302

    @pytest.mark.parametrize(("chosen", "lives"), [("", 2), ("v1", 1)])
    def test_a_label_that_nobody_touched_stays_where_somebody_has_put_it(
        self, admin_client: Client, rows: dict[str, Any], chosen: str, lives: int
    ) -> None:
        prompt = rows["prompt"]
        first, second = prompt.newest, PromptVersion.objects.create(prompt=prompt, text="Two.")
        if chosen:
            PromptLabel.objects.update(version=second)
        opened = form_data(admin_client.get(page_of(prompt)))
        if chosen:
            opened["labels-0-version"] = first.pk
        PromptLabel.objects.update(version=second)
        assert admin_client.post(page_of(prompt), {**opened, "description": "mine"}).status_code == 302
        assert prompt.labels.get().version.number == lives
