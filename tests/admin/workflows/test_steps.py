"""A step's kind and its options on the workflow's page, posted as a browser does."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from lingstream.execution.plans import load_plan
from lingstream.models import Prompt, PromptLabel, PromptVersion, Provider, Step, Workflow

from ..forms import errors_of, form_data, is_chinese, post_page
from .test_graphs import who_may
from .test_workflows import URL, new_step

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow() -> Workflow:
    workflow = Workflow.objects.create(slug="post")
    options = {
        "to": "Ada",
        "paper": 4,
        "text": "Dear {{ value }},\n…",
        "headers": {"a": "b"},
        "sealed": False,
    }
    Step.objects.create(workflow=workflow, name="send", kind="letter", options=options)
    return workflow


@pytest.fixture
def page(workflow: Workflow) -> str:
    return f"{URL}{workflow.pk}/change/"


def step(workflow: Workflow, name: str = "send") -> Step:
    return workflow.steps.get(name=name)


def letter(index: int, **options: Any) -> dict[str, Any]:
    """What the fields of a letter send."""
    options = {"to": "Ada", "paper": "white", "sealed": "on", **options}
    return {f"steps-{index}-options-letter-{name}": value for name, value in options.items()}


class TestKind:
    def test_is_chosen_among_those_that_there_are(self, admin_client: Client, page: str) -> None:
        choices = form_of(admin_client.get(page)).fields["kind"].choices
        assert choices[0] == ("bot", "Bot: ask a model")
        assert ("compute", "Compute values") in choices and ("letter", "Write a letter") in choices

    def test_that_there_is_not_cannot_be_chosen(self, admin_client: Client, page: str) -> None:
        found = errors_of(post_page(admin_client, page, {"steps-0-kind": "gone"}))
        assert list(found) == ["steps-0-kind"]

    def test_of_a_step_becomes_another(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        changes = {"steps-0-kind": "compute", "steps-0-options-compute-set": '{"a": "1 + 1"}'}
        assert post_page(admin_client, page, changes).status_code == 302
        assert (step(workflow).kind, step(workflow).options) == ("compute", {"set": {"a": "1 + 1"}})

    def test_of_a_bot_has_no_options(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        assert post_page(admin_client, page, {"steps-0-kind": "bot"}).status_code == 302
        assert (step(workflow).kind, step(workflow).options) == ("bot", {})

    def test_takes_what_only_a_bot_has(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        prompt = Prompt.objects.create(slug="p")
        version = PromptVersion.objects.create(prompt=prompt, text="Be brief.")
        PromptLabel.objects.create(prompt=prompt, name="production", version=version)
        provider = Provider.objects.create(name="demo", kind="scripted")
        bot = {
            "steps-0-prompt": prompt.pk,
            "steps-0-provider": provider.pk,
            "steps-0-model": "m",
            "steps-0-params": '{"temperature": 0}',
            "steps-0-variables": '{"a": 1}',
            "steps-0-history": "on",
        }
        assert post_page(admin_client, page, {"steps-0-kind": "bot", **bot}).status_code == 302
        assert step(workflow).prompt == prompt
        changes = {"steps-0-kind": "letter", **letter(0)}
        assert post_page(admin_client, page, changes).status_code == 302
        now, new = step(workflow), Step()
        columns = ("prompt", "label", "provider", "model", "params", "variables", "history")
        assert [getattr(now, name) for name in columns] == [getattr(new, name) for name in columns]

    @pytest.mark.parametrize(
        ("column", "value"), [("label", ""), ("params", "{"), ("variables", "[1]"), ("prompt", "999")]
    )
    def test_does_not_look_at_what_only_a_bot_has(
        self, admin_client: Client, page: str, column: str, value: str
    ) -> None:
        changes = {f"steps-0-{column}": value}
        as_bot = {**changes, "steps-0-kind": "bot"}
        assert list(errors_of(post_page(admin_client, page, as_bot))) == [*changes]
        assert post_page(admin_client, page, changes).status_code == 302


class TestOptions:
    def test_are_shown_with_what_the_schema_says(self, admin_client: Client, page: str) -> None:
        html = admin_client.get(page).content.decode()
        assert "Options: Write a letter" in html
        assert "A name, &lt;b&gt;not&lt;/b&gt; an address." in html
        assert '<label class="required" for="id_steps-0-options-letter-to">Addressee:</label>' in html
        assert 'placeholder="{{ value }}"' in html
        assert "Dear {{ value }},\n…</textarea>" in html

    def test_of_a_page_saved_as_it_is_stay(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        before = step(workflow).options
        assert post_page(admin_client, page, {}).status_code == 302
        assert step(workflow).options == before
        assert list(step(workflow).options) == list(before)

    def test_are_written(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        Provider.objects.create(name="demo", kind="scripted")
        written = letter(
            1,
            text="",
            postscript="PS\r\n{{ value }}",
            ink="black",
            registered="on",
            copies="1",
            weight="1.5",
            stamp="red",
            headers='{"a": "{{ value }}"}',
            pages="[3]",
            enclosed="{{ input.file }}",
        )
        changes = {**new_step(1, "new", kind="letter"), **written}
        assert post_page(admin_client, page, changes).status_code == 302
        assert load_plan("post").step("new").options == {
            "to": "Ada",
            "postscript": "PS\n{{ value }}",
            "paper": "white",
            "ink": "black",
            "registered": True,
            "copies": 1,
            "weight": 1.5,
            "stamp": "red",
            "headers": {"a": "{{ value }}"},
            "pages": [3],
            "enclosed": "{{ input.file }}",
        }

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("to", "", "This field is required."),
            ("to", "{{ valu }}", "Line 1: unknown variable “valu”; did you mean “value”?"),
            ("to", "100 % {% if %}", "Line 1"),
            ("headers", '{"a": "{{ valu }}"}', "a: Line 1: unknown variable"),
            ("headers", '{"a": 1}', "a: "),
            ("headers", "{", "This is not JSON"),
            ("copies", "many", "Expected a number"),
            ("copies", "10", ""),
            ("stamp", "RED", ""),
            ("ink", "red", "Expected one of blue, black"),
        ],
    )
    def test_that_are_wrong_are_told_at_their_field(
        self, admin_client: Client, page: str, option: str, value: str, message: str, workflow: Workflow
    ) -> None:
        response = post_page(admin_client, page, {f"steps-0-options-letter-{option}": value})
        found = errors_of(response)
        assert list(found) == [f"steps-0-options-letter-{option}"]
        assert found[f"steps-0-options-letter-{option}"][0].startswith(message)
        assert step(workflow).options["to"] == "Ada"
        assert form_data(response).get(f"steps-0-options-letter-{option}", "") == value

    @pytest.mark.parametrize(
        ("options", "place", "message"),
        [
            (
                {"registered": "on", "copies": "2"},
                "options-letter-copies",
                "expected one copy of a registered letter, not 100 %",
            ),
            (
                {"sealed": "", "enclosed": "1"},
                "__all__",
                "expected a seal where something is enclosed",
            ),
        ],
    )
    def test_that_make_no_sense_together_are_told_where_the_kind_says(
        self, admin_client: Client, page: str, options: dict[str, str], place: str, message: str
    ) -> None:
        found = errors_of(post_page(admin_client, page, letter(0, **options)))
        assert found == {f"steps-0-{place}": [message]}

    @pytest.mark.parametrize(
        ("slug", "message"),
        [("none", "Expected the slug of a workflow"), ("post", "Expected no circle, got post → post.")],
    )
    def test_that_name_a_workflow_are_looked_at(
        self, admin_client: Client, page: str, slug: str, message: str
    ) -> None:
        field = "steps-0-options-workflow-workflow"
        found = errors_of(post_page(admin_client, page, {"steps-0-kind": "workflow", field: slug}))
        assert list(found) == [field]
        assert found[field][0].startswith(message)

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("url", "ftp://example.com", "expected an address that begins with"),
            ("url", "http://10.0.0.1/", "10.0.0.1"),
            ("key", "SECRET_KEY", "a step names the key 'SECRET_KEY'"),
        ],
    )
    def test_of_requests_are_looked_at(
        self, admin_client: Client, page: str, option: str, value: str, message: str
    ) -> None:
        options = {"url": "https://api.example.com/", "idempotency_key": "on", option: value}
        request = {f"steps-0-options-http-{name}": each for name, each in options.items()}
        found = errors_of(post_page(admin_client, page, {"steps-0-kind": "http", **request}))
        assert list(found) == [f"steps-0-options-http-{option}"]
        assert message in found[f"steps-0-options-http-{option}"][0]

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("http", {"url": "ftp://example.com"}),
            ("http", {"url": "http://10.0.0.1/"}),
            ("http", {"url": "https://a@example.com/"}),
            ("http", {"url": "https://example.com/", "key": "SECRET_KEY"}),
            ("compute", {}),
            ("compute", {"set": '{"a": "1 +"}'}),
            ("workflow", {"workflow": "none"}),
        ],
    )
    def test_are_refused_in_the_readers_language(
        self, chinese: Client, page: str, kind: str, options: dict[str, str]
    ) -> None:
        given = {f"steps-0-options-{kind}-{name}": each for name, each in options.items()}
        found = errors_of(post_page(chinese, page, {"steps-0-kind": kind, **given}))
        texts = [text for each in found.values() for text in each]
        assert texts and [text for text in texts if not is_chinese(text)] == []

    def test_of_kinds_that_are_not_chosen_are_not_looked_at(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        changes = {"steps-0-options-compute-set": "{", **new_step(1, "bot"), **letter(1, copies="many")}
        assert post_page(admin_client, page, changes).status_code == 302
        assert step(workflow, "bot").options == {}

    def test_of_kinds_that_are_not_chosen_are_typed_still(self, admin_client: Client, page: str) -> None:
        changes = {"steps-0-options-compute-set": "{", "steps-0-options-letter-copies": "many"}
        data = form_data(post_page(admin_client, page, changes))
        assert {name: data[name] for name in changes} == changes

    def test_of_a_row_that_nobody_has_filled_in_do_not_matter(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        added = {**new_step(1, ""), "steps-1-position": 0, "steps-1-input": "{{ value }}", **letter(1, to="")}
        assert post_page(admin_client, page, added).status_code == 302
        assert workflow.steps.count() == 1

    def test_that_change_are_in_the_history_by_their_names(
        self, admin_client: Client, page: str, workflow: Workflow
    ) -> None:
        changes = {"steps-0-options-letter-to": "Bob", "steps-0-options-compute-set": "{}"}
        post_page(admin_client, page, changes)
        html = admin_client.get(page.replace("change", "history")).content.decode()
        assert "Changed Addressee for step" in html

    def test_are_shown_to_who_may_only_look(self, page: str) -> None:
        client = who_may("view_workflow", "view_step")
        html = client.get(page).content.decode()
        assert "&quot;to&quot;: &quot;Ada&quot;" in html
        assert "options-letter" not in html
        assert client.post(page, {}).status_code == 403

    def test_are_asked_of_who_may_only_add(self, page: str, workflow: Workflow) -> None:
        client = who_may("view_workflow", "change_workflow", "view_step", "add_step")
        assert "&quot;to&quot;: &quot;Ada&quot;" in client.get(page).content.decode()
        changes = {**new_step(1, "new", kind="letter"), **letter(1), **letter(0, to="Eve")}
        assert post_page(client, page, changes).status_code == 302
        assert step(workflow, "new").options == {"to": "Ada", "paper": "white"}
        assert step(workflow).options["paper"] == 4


class TestAKindThatIsNotKnownHere:
    """A step of a process that has more apps, or the next version of one."""

    @pytest.fixture(autouse=True)
    def _gone(self, workflow: Workflow) -> None:
        workflow.steps.update(kind="gone", options={"a": ["b"]})

    def test_is_shown_as_such(self, admin_client: Client, page: str) -> None:
        html = admin_client.get(page).content.decode()
        assert '<option value="gone" selected>gone (not known here)</option>' in html
        assert 'data-ling-unknown="gone"' in html
        assert "&quot;a&quot;: [" in html

    def test_is_kept_with_its_options(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        changes = {"steps-0-root": "elsewhere", **new_step(1, "more"), **letter(0)}
        assert post_page(admin_client, page, changes).status_code == 302
        kept = step(workflow)
        assert (kept.kind, kept.options, kept.root) == ("gone", {"a": ["b"]}, "elsewhere")

    def test_is_looked_at_as_far_as_it_can_be(self, admin_client: Client, page: str) -> None:
        found = errors_of(post_page(admin_client, page, {"steps-0-input": "{{ valu }}"}))
        assert list(found) == ["steps-0-input"]

    def test_is_not_for_other_steps(self, admin_client: Client, page: str) -> None:
        found = errors_of(post_page(admin_client, page, new_step(1, "more", kind="gone")))
        assert list(found) == ["steps-1-kind"]

    def test_becomes_another(self, admin_client: Client, page: str, workflow: Workflow) -> None:
        assert post_page(admin_client, page, {"steps-0-kind": "letter", **letter(0)}).status_code == 302
        assert step(workflow).options == {"to": "Ada", "paper": "white"}


def test_tries_have_their_fields(admin_client: Client, page: str, workflow: Workflow) -> None:
    changes = {"steps-0-timeout": "2.5", "steps-0-retries": "3"}
    assert post_page(admin_client, page, changes).status_code == 302
    assert (step(workflow).timeout, step(workflow).retries) == (2.5, 3)
    found = errors_of(post_page(admin_client, page, {"steps-0-timeout": "0", "steps-0-retries": "6"}))
    assert list(found) == ["steps-0-timeout", "steps-0-retries"]


def form_of(response: Any, index: int = 0) -> Any:
    return response.context["inline_admin_formsets"][0].formset.forms[index]
