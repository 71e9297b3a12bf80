"""Try it: what is in the form is started as a trial, what is wrong comes back, and nothing is stored."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.timezone import now

from lingstream.access.identity import Identity
from lingstream.admin.trials.trying import saved
from lingstream.admin.workflows.graphs import last_run
from lingstream.core.engine.plan import BotPlan, Plan
from lingstream.execution.trials import start_trial
from lingstream.models import BotRun, Example, Prompt, Provider, Run, Runner, Step, Trigger, Workflow
from tests.site import store_cloud_facts, store_prompt

from ..forms import client_with, form_data, post_page
from ..workflows.test_workflows import new_step, new_trigger

pytestmark = pytest.mark.django_db

URL = "/admin/lingstream/workflow/"
TRIALS = f"{URL}trials/"
EDITS = [f"{verb}_{model}" for model in ("workflow", "step", "trigger") for verb in ("view", "add", "change")]
INPUT = {"trial-input": '{"question": "Why?"}'}
SAVED = {**INPUT, "trial-version": "saved"}
_TABLES = (Workflow, Step, Trigger, Prompt, Example)


@pytest.fixture(autouse=True)
def _alive(db: None) -> None:
    """A process that executes runs lives, elsewhere."""
    Runner.objects.create()


@pytest.fixture
def workflow() -> Workflow:
    return store_cloud_facts()


def stored() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in _TABLES]


def try_it(client: Client, row: Any, changes: dict[str, Any], **trial: Any) -> Any:
    """Open the page of a row (or of a new one), change some fields, and try it."""
    base = f"/admin/lingstream/{(row if isinstance(row, str) else row._meta.model_name)}/"
    name = "add" if isinstance(row, str) else row.pk
    page = f"{base}add/" if isinstance(row, str) else f"{base}{name}/change/"
    given = {f"trial-{key.replace('_', '-')}": value for key, value in trial.items()}
    data = {**form_data(client.get(page)), **INPUT, **changes, **given}
    return client.post(f"{base}{name}/trial/", data)


def tried(response: Any) -> Run:
    assert response.status_code == 201, response.content
    return Run.objects.get(pk=response.json()["run"])


def plan_of(response: Any) -> Plan:
    return Plan.from_json(tried(response).plan)


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 400, response.content
    found: dict[str, list[str]] = response.json()["errors"]
    return found


#: What is sent, and where which complaint comes back.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"steps-0-input": "{{ nobody }}"}, "steps-0-input", "nobody"),
    ({"steps-0-root": "{{ match[0] }}"}, "steps-0-root", "starts with the run"),
    ({"triggers-0-condition": "value |"}, "triggers-0-condition", ""),
    ({"slug": ""}, "slug", "required"),
    ({"limits": '{"bots": 0}'}, "limits", ""),
    ({"trial-input": "{"}, "trial-input", "not JSON"),
    ({"trial-input": '{"question": ""}'}, "trial-input", "question"),
    ({"trial-temperature": "warm"}, "trial-temperature", "warm"),
    ({"trial-temperature": "-1"}, "trial-temperature", "server takes no such parameter"),
    ({"trial-provider": "none"}, "", "no provider"),
    ({"trial-params": "{"}, "trial-params", "not JSON"),
    ({"trial-params": "5"}, "trial-params", "Expected a JSON object"),
    ({"trial-params": '{"seed": NaN}'}, "trial-params", "Expected numbers"),
    ({"trial-params": '{"top_p": 2}'}, "trial-params", "server takes no such parameter: the option 'top_p'"),
    ({"trial-params": '{"temperature": -1}'}, "trial-params", "temperature"),
    ({"trial-params": '{"stream": false}'}, "trial-params", "stream"),
]


class TestDraftOfAWorkflow:
    def test_is_what_is_in_the_form_and_is_not_stored(self, admin_client: Client, workflow: Workflow) -> None:
        before = stored()
        changes = {
            **new_step(3, "more", root="more", format="text", input="{{ value }}!", model="big"),
            **new_trigger(2, "name:more", str(workflow.steps.get(name="details").pk), pattern="more"),
            **new_trigger(3, str(workflow.steps.get(name="answer").pk), "name:more", pattern="answer"),
            "triggers-TOTAL_FORMS": 4,
            "steps-0-input": "Tell me: {{ input.question }}",
            "limits": '{"bots": 5}',
            "input_schema": "{}",
        }
        response = try_it(admin_client, workflow, changes)
        plan = plan_of(response)
        assert [step.name for step in plan.steps] == ["answer", "details", "translation", "more"]
        assert plan.steps[0].input == "Tell me: {{ input.question }}"
        assert (plan.limits.bots, plan.acts, plan.input_schema) == (5, False, {})
        edges = [(each.source, each.pattern, each.target) for each in plan.triggers]
        assert ("answer", "answer", "more") in edges and ("more", "more", "details") in edges
        assert stored() == before

    def test_of_a_new_one(self, admin_client: Client, workflow: Workflow) -> None:
        before = stored()
        changes = {"slug": "new", **new_step(0, "only", input="{{ input.question }}")}
        run = tried(try_it(admin_client, "workflow", changes))
        assert (run.workflow, run.trial, run.owner.username) == ("new", True, "admin")  # type: ignore[union-attr]
        assert stored() == before

    def test_of_one_that_is_switched_off(self, admin_client: Client, workflow: Workflow) -> None:
        tried(try_it(admin_client, workflow, {"enabled": ""}))

    def test_or_as_it_is_saved(self, admin_client: Client, workflow: Workflow) -> None:
        given = {**SAVED, "steps-0-input": "changed", "slug": ""}
        plan = plan_of(admin_client.post(f"{URL}{workflow.pk}/trial/", given))
        assert (plan.steps[0].input, plan.acts) == ("{{ input.question }}", False)

    def test_or_as_it_is_published(self, admin_client: Client, workflow: Workflow) -> None:
        workflow.publish()
        workflow.steps.filter(name="answer").update(input="saved")
        for version, input in [("saved", "saved"), ("published", "{{ input.question }}")]:
            given = {**INPUT, "trial-version": version}
            plan = plan_of(admin_client.post(f"{URL}{workflow.pk}/trial/", given))
            assert plan.step("answer").input == input

    def test_or_as_a_version_was(self, admin_client: Client, workflow: Workflow) -> None:
        schema = workflow.input_schema
        workflow.publish(note="the first")
        workflow.steps.filter(name="answer").update(input="of v2", prompt=None)
        workflow.input_schema = {"type": "object", "required": ["nothing"]}
        workflow.save()
        workflow.publish()
        workflow.steps.filter(name="answer").update(input="saved")
        page = admin_client.get(f"{URL}{workflow.pk}/change/")
        offered = dict(page.context["trial"]["versions"])
        assert list(offered) == ["", "saved", "published", "1"] and offered["1"] == "v1 the first"
        url = f"{URL}{workflow.pk}/trial/"
        plan = plan_of(admin_client.post(url, {**INPUT, "trial-version": "1"}))
        assert (plan.step("answer").input, plan.published) == ("{{ input.question }}", 1)
        assert (len(plan.steps), len(plan.triggers), plan.input_schema) == (3, 2, schema)
        refused = admin_client.post(url, {**INPUT, "trial-version": "2"})
        assert errors_of(refused).keys() == {"trial-input"}  # v2 has a schema of its own
        assert "no version 9" in str(errors_of(admin_client.post(url, {**INPUT, "trial-version": "9"})))
        Prompt.objects.filter(steps=None).update(slug="another")
        gone = admin_client.post(url, {**INPUT, "trial-version": "1"})
        assert "asks for the prompt" in str(errors_of(gone))

    def test_what_the_page_does_not_show_counts_as_stored(self, workflow: Workflow) -> None:
        client = client_with("view_workflow", "change_workflow")
        plan = plan_of(try_it(client, workflow, {}))
        assert (len(plan.steps), len(plan.triggers)) == (3, 2)

    def test_with_another_model(self, admin_client: Client, workflow: Workflow) -> None:
        given = {"model": "big", "temperature": "0.5", "provider": "demo", "step": "details"}
        data = {**SAVED, **{f"trial-{name}": value for name, value in given.items()}}
        steps = plan_of(admin_client.post(f"{URL}{workflow.pk}/trial/", data)).steps
        found = [(step.model, step.params) for step in steps if isinstance(step, BotPlan)]
        assert found == [("test-model", {}), ("big", {"temperature": 0.5}), ("test-model", {})]

    def test_with_other_parameters(self, admin_client: Client, workflow: Workflow) -> None:
        workflow.steps.filter(name="details").update(params={"seed": 1, "max_tokens": 5})
        data = {**SAVED, "trial-params": '{"seed": 2, "stop": ["."], "own": {"of": "a server"}}'}
        steps = plan_of(admin_client.post(f"{URL}{workflow.pk}/trial/", data)).steps
        given = {"seed": 2, "stop": ["."], "own": {"of": "a server"}}
        found = {step.name: step.params for step in steps if isinstance(step, BotPlan)}
        assert found == {"answer": given, "details": {"max_tokens": 5, **given}, "translation": given}

    def test_what_one_step_differs_in_is_checked_of_that_alone(
        self, admin_client: Client, workflow: Workflow
    ) -> None:
        server = Provider.objects.create(name="server", kind="openai", default_model="any")
        workflow.steps.filter(name="details").update(provider=server)
        url, data = f"{URL}{workflow.pk}/trial/", {**SAVED, "trial-params": '{"top_p": 2}'}
        refused = admin_client.post(url, {**data, "trial-step": "details"})
        assert list(errors_of(refused)) == ["trial-params"]
        tried(admin_client.post(url, {**data, "trial-step": "answer"}))  # of another kind of provider

    def test_acts_where_that_is_ticked(self, admin_client: Client, workflow: Workflow) -> None:
        assert plan_of(admin_client.post(f"{URL}{workflow.pk}/trial/", {**SAVED, "trial-acts": "on"})).acts

    def test_what_a_save_would_refuse_comes_back_at_its_field(
        self, admin_client: Client, workflow: Workflow
    ) -> None:
        server = Provider.objects.create(name="server", kind="openai", default_model="any")
        workflow.steps.update(provider=server)
        data = form_data(admin_client.get(f"{URL}{workflow.pk}/change/"))
        for changes, place, message in REFUSED:
            found = errors_of(admin_client.post(f"{URL}{workflow.pk}/trial/", {**data, **INPUT, **changes}))
            assert list(found) == [place], changes
            assert message in found[place][0]
        assert not Run.objects.exists()

    def test_input_that_does_not_fit_says_where(self, admin_client: Client, workflow: Workflow) -> None:
        data = {**SAVED, "trial-input": '{"question": ""}'}
        assert admin_client.post(f"{URL}{workflow.pk}/trial/", data).json()["uri"] == "question"

    @pytest.mark.parametrize("rights", [[], ["add_provider"]])
    def test_without_a_provider_says_how_to_add_the_one_that_is_asked(
        self, workflow: Workflow, settings: Any, rights: list[str]
    ) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "DEFAULT_PROVIDER": "main & only"}
        Provider.objects.all().delete()
        response = try_it(client_with(*EDITS, *rights), workflow, SAVED)
        (text,) = errors_of(response)[""]
        assert "there is no provider yet: add one called “main & only”" in text
        remedy = response.json()["remedy"]
        assert "Add a provider called “main & only”" in remedy["text"]
        url = "/admin/lingstream/provider/add/?name=main+%26+only"
        assert (remedy["url"], remedy["title"]) == ((url, "Add a provider") if rights else ("", ""))

    def test_where_nobody_executes(self, admin_client: Client, workflow: Workflow) -> None:
        Runner.objects.all().delete()
        assert admin_client.post(f"{URL}{workflow.pk}/trial/", SAVED).json()["code"] == "no-runner"


class TestWhoMayTry:
    @pytest.mark.parametrize(
        ("permissions", "status"),
        [
            (["change_workflow", "view_workflow"], 201),
            (["view_workflow"], 403),
            (["change_prompt", "view_run"], 403),
        ],
    )
    def test_workflows(self, workflow: Workflow, permissions: list[str], status: int) -> None:
        client = client_with(*permissions)
        page = client.get(f"{URL}{workflow.pk}/change/")
        data = form_data(page) if status == 201 else {}
        assert client.post(f"{URL}{workflow.pk}/trial/", {**data, **INPUT}).status_code == status
        assert ('id="trial"' in page.content.decode()) is (status == 201)

    def test_not_by_a_link(self, admin_client: Client, workflow: Workflow) -> None:
        assert admin_client.get(f"{URL}{workflow.pk}/trial/").status_code == 404
        assert Client().post(f"{URL}{workflow.pk}/trial/").status_code == 302  # to the login

    def test_not_without_the_forms_token(self, workflow: Workflow) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_superuser("root"))
        assert client.post(f"{URL}{workflow.pk}/trial/", INPUT).status_code == 403

    def test_a_new_one_needs_the_right_to_add(self, workflow: Workflow) -> None:
        client = client_with("change_workflow", "view_workflow")
        assert client.post(f"{URL}add/trial/", INPUT).status_code == 403


class TestReading:
    """Of trials what is stored, of others the input."""

    @pytest.fixture
    def trial(self, admin_user: User, workflow: Workflow) -> Run:
        run = start_trial(saved(workflow), {"question": "Why?"}, Identity.of(admin_user, None))
        run.refresh_from_db()
        BotRun.objects.create(
            run=run,
            step="answer",
            instance="answer#1",
            digest="d",
            status="finished",
            messages=[{"role": "user", "content": "Why?\ud800"}],
            output="x" * 60_000,
            repairs=[{"kind": "comma", "uri": "answer", "offset": 3}],
        )
        return run

    def test_of_a_trial_its_steps(self, admin_client: Client, trial: Run) -> None:
        told = admin_client.get(f"{TRIALS}{trial.pk}/").json()
        (step,) = told["steps"]
        assert (told["status"], told["ended"]) == ("queued", False)
        assert step["messages"] == [{"role": "user", "content": "Why?\\ud800"}]
        assert (len(step["output"]), step["repairs"][0]["kind"]) == (20_001, "comma")
        later = admin_client.get(f"{TRIALS}{trial.pk}/?after={told['last']}").json()
        assert (later["steps"], later["last"]) == ([], None)
        assert told["created"] == pytest.approx(trial.created_at.timestamp() * 1000)

    def test_of_errors_what_to_do_about_them(self, admin_client: Client, trial: Run) -> None:
        errors = [{"code": "no-json", "message": "none"}, {"code": "own", "message": "?"}]
        Run.objects.filter(pk=trial.pk).update(errors=errors)
        json, own = admin_client.get(f"{TRIALS}{trial.pk}/").json()["errors"]
        assert "set the step's output to text" in json["remedy"]["text"]
        assert json["remedy"]["url"] == ""
        assert own == {"code": "own", "message": "?", "remedy": None}

    @pytest.mark.parametrize(
        ("permissions", "status"),
        [
            (["change_workflow"], 404),
            (["change_workflow", "view_run"], 200),
            (["change_prompt", "view_run"], 200),
            (["view_run"], 403),
        ],
    )
    def test_of_others_only_who_may_see_runs(self, trial: Run, permissions: list[str], status: int) -> None:
        assert client_with(*permissions).get(f"{TRIALS}{trial.pk}/").status_code == status

    def test_of_a_private_workflow_only_who_may_change_it_sees_those_of_others(self, trial: Run) -> None:
        Workflow.objects.update(private=True)
        client, url = client_with("change_prompt", "view_run"), f"{TRIALS}{trial.pk}/"
        again = {"trial-input": '{"question": "2"}'}
        assert client.get(url).status_code == 404
        assert client.post(f"{url}again/", again).status_code == 404
        Run.objects.filter(pk=trial.pk).update(owner=User.objects.get(username="staff"))
        assert client.get(url).status_code == 200  # one's own, whose input one has chosen
        assert client.post(f"{url}again/", again).status_code == 201
        Run.objects.filter(pk=trial.pk).update(owner=None)
        Workflow.objects.update(private=False)
        assert client.get(url).status_code == 200

    def test_not_of_runs_that_are_none(self, admin_client: Client, trial: Run) -> None:
        Run.objects.update(trial=False)
        assert admin_client.get(f"{TRIALS}{trial.pk}/").status_code == 404

    def test_of_another_tenant_there_are_none(self, admin_client: Client, trial: Run, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
        real = Run.objects.create(workflow="cloud-facts", input=1, scope="b", finished_at=trial.created_at)
        Run.objects.filter(pk=trial.pk).update(scope="b")
        Group.objects.create(name="a")
        headers = {"host": "a.example"}
        assert admin_client.get(f"{TRIALS}{trial.pk}/", headers=headers).status_code == 404
        assert admin_client.get(f"{TRIALS}inputs/?run={real.pk}", headers=headers).json() == {"inputs": []}

    def test_again_with_another_input(self, admin_client: Client, trial: Run) -> None:
        run = tried(admin_client.post(f"{TRIALS}{trial.pk}/again/", {"trial-input": '{"question": "2"}'}))
        assert (run.input, run.plan, run.trial) == ({"question": "2"}, trial.plan, True)
        assert errors_of(admin_client.post(f"{TRIALS}{trial.pk}/again/", {"trial-input": "1"}))

    def test_nothing_that_was_asked_for_a_title(self, admin_client: Client, rf: Any, trial: Run) -> None:
        common = {"workflow": "cloud-facts", "status": "finished", "finished_at": trial.created_at}
        turn = Run.objects.create(input="Why?", document="So.", **common)
        common["finished_at"] = now()
        Run.objects.create(input={"text": "User: Why?"}, document={"title": "Why"}, cause="title", **common)
        (found,) = admin_client.get(f"{TRIALS}inputs/?workflow=cloud-facts").json()["inputs"]
        assert found["input"] == "Why?"
        request = rf.get("/")
        request.user = User.objects.get(is_superuser=True)
        assert last_run(request, "cloud-facts") == turn
        assert "title of a conversation" in admin_client.get("/admin/lingstream/run/").content.decode()

    def test_the_last_real_inputs(self, admin_client: Client, trial: Run) -> None:
        for number in range(3):
            Run.objects.create(workflow="cloud-facts", input=number, finished_at=trial.created_at)
        Run.objects.create(workflow="other", input="other", finished_at=trial.created_at)
        told = admin_client.get(f"{TRIALS}inputs/?workflow=cloud-facts&n=2").json()["inputs"]
        assert len(told) == 2 and {each["input"] for each in told} <= {0, 1, 2}
        assert client_with("change_workflow").get(f"{TRIALS}inputs/").status_code == 403

    def test_not_of_a_private_workflow_for_who_may_not_change_it(self, workflow: Workflow) -> None:
        Workflow.objects.update(private=True)
        run = Run.objects.create(workflow="cloud-facts", input="secret", finished_at=now())
        client = client_with("view_run", "view_workflow", "add_example")
        assert client.get(f"{TRIALS}inputs/?workflow=cloud-facts").json() == {"inputs": []}
        assert client.get(f"{TRIALS}inputs/?run={run.pk}").json() == {"inputs": []}
        kept = client.post(f"{TRIALS}examples/", {"workflow": "cloud-facts", "name": "x", "run": str(run.pk)})
        assert kept.status_code == 404


class TestExamples:
    def test_are_kept_from_what_was_typed_or_from_a_run(
        self, admin_client: Client, workflow: Workflow
    ) -> None:
        run = Run.objects.create(workflow="cloud-facts", input={"question": "from a run"})
        for name, source in [("typed", INPUT), ("run", {"run": str(run.pk)})]:
            data = {"workflow": "cloud-facts", "name": name, **source}
            assert admin_client.post(f"{TRIALS}examples/", data).status_code == 201
        kept = {row.name: row.input["question"] for row in workflow.examples.all()}
        assert kept == {"typed": "Why?", "run": "from a run"}
        again = admin_client.post(f"{TRIALS}examples/", {"workflow": "cloud-facts", "name": "typed"})
        assert list(errors_of(again)) == ["trial-name"]

    def test_are_offered_on_the_page(self, admin_client: Client, workflow: Workflow) -> None:
        Example.objects.create(workflow=workflow, name="short", input={"question": "?"})
        page = admin_client.get(f"{URL}{workflow.pk}/change/")
        offered = page.context["trial"]["data"]["examples"]
        assert offered == [{"workflow": "cloud-facts", "name": "short", "input": {"question": "?"}}]
        assert "examples-0-input" in page.content.decode()

    def test_are_a_tenants_own(self, workflow: Workflow, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
        user, page = User.objects.create_superuser("root"), f"{URL}{workflow.pk}/change/"
        clients = {name: Client(headers={"host": f"{name}.example"}) for name in ("a", "b", "all")}
        for name, client in clients.items():
            client.force_login(user)
            if name != "all":
                Group.objects.create(name=name)
                data = {"workflow": "cloud-facts", "name": "same", "trial-input": f'{{"question": "{name}"}}'}
                assert client.post(f"{TRIALS}examples/", data).status_code == 201
                assert errors_of(client.post(f"{TRIALS}examples/", data))
                run = Run.objects.create(workflow="cloud-facts", input={"question": name}, scope=name)
                client.post(f"/admin/lingstream/run/{run.pk}/example/")
                data = {"workflow": "cloud-facts", "name": "of a run", "run": str(run.pk)}
                assert clients["a"].post(f"{TRIALS}examples/", data).status_code == (
                    201 if name == "a" else 404
                )
        seen: dict[str, set[str]] = {}
        for name, client in clients.items():
            context = client.get(page).context
            seen[name] = {each["input"]["question"] for each in context["trial"]["data"]["examples"]}
            formset = next(
                inline.formset
                for inline in context["inline_admin_formsets"]
                if inline.formset.model is Example
            )
            assert {form.instance.input["question"] for form in formset.initial_forms} == seen[name]
            assert ("scope" in formset.empty_form.fields) is (name == "all")
        assert seen == {"a": {"a"}, "b": {"b"}, "all": {"a", "b"}}

    def test_are_written_on_the_page_for_its_tenant(self, workflow: Workflow, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.access.tenants.tenant"}
        Group.objects.create(name="a")
        theirs = Example.objects.create(workflow=workflow, scope="b", name="x", input=1)
        client, page = Client(headers={"host": "a.example"}), f"{URL}{workflow.pk}/change/"
        client.force_login(User.objects.create_superuser("root"))
        added = {"examples-TOTAL_FORMS": 1, "examples-0-name": "x", "examples-0-input": "2"}
        assert post_page(client, page, {**added, "examples-0-workflow": workflow.pk}).status_code == 302
        assert list(Example.objects.values_list("scope", "input")) == [("a", 2), ("b", 1)]
        again = {"examples-TOTAL_FORMS": 2, "examples-1-name": "x", "examples-1-input": "3"}
        refused = post_page(client, page, {**again, "examples-1-workflow": workflow.pk})
        assert refused.status_code == 200 and Example.objects.count() == 2
        post_page(client, page, {"examples-0-id": theirs.pk, "examples-0-input": "4"})
        theirs.refresh_from_db()
        assert (theirs.scope, theirs.input) == ("b", 1)

    @pytest.mark.parametrize(("rights", "count"), [([], 0), (["change_workflow"], 1)])
    def test_of_a_private_workflow_are_for_who_may_change_it(
        self, workflow: Workflow, rights: list[str], count: int
    ) -> None:
        Workflow.objects.update(private=True)
        Example.objects.create(workflow=workflow, name="from a run", input={"question": "SECRET"})
        client = client_with("view_workflow", "view_example", "view_prompt", "change_prompt", *rights)
        prompt = Prompt.objects.get(slug="cloud-facts-details")
        offered = client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").context["trial"]["data"]
        assert len(offered["examples"]) == count
        html = client.get(f"{URL}{workflow.pk}/change/").content.decode()
        assert ("SECRET" in html) is bool(count)

    @pytest.mark.parametrize(("permissions", "status"), [(["change_workflow"], 403), (["add_example"], 201)])
    def test_need_a_right(self, workflow: Workflow, permissions: list[str], status: int) -> None:
        data = {"workflow": "cloud-facts", "name": "x", **INPUT}
        assert client_with(*permissions).post(f"{TRIALS}examples/", data).status_code == status


class TestDraftOfAPrompt:
    """The text in the box takes the place of the one that the label points at."""

    @pytest.fixture
    def prompt(self, workflow: Workflow) -> Prompt:
        prompt = Prompt.objects.get(slug="cloud-facts-details")
        prompt.variables = {"tone": "friendly", "length": 3}
        prompt.save()
        workflow.steps.filter(name="details").update(variables={"length": 9}, root="d")
        return prompt

    @pytest.mark.parametrize(
        ("target", "names"),
        [
            ("cloud-facts", ["answer", "details", "translation"]),
            ("cloud-facts/details", ["details"]),
            (":", ["bot"]),
            (":text", ["bot"]),
        ],
    )
    def test_in_a_workflow_in_a_step_of_it_or_alone(
        self, admin_client: Client, prompt: Prompt, target: str, names: list[str]
    ) -> None:
        before = stored()
        changes = {"text": "Draft {{ tone }}", "variables": '{"tone": "stern", "length": 3}'}
        plan = plan_of(try_it(admin_client, prompt, changes, target=target))
        assert [step.name for step in plan.steps] == names
        texts = {step.name: step.prompt for step in plan.steps if isinstance(step, BotPlan)}
        step = plan.step("bot" if target.startswith(":") else "details")
        assert isinstance(step, BotPlan)
        assert (step.prompt, step.prompt_version) == ("Draft {{ tone }}", f"{prompt.slug} (draft)")
        assert step.variables == {"tone": "stern", "length": 3 if target.startswith(":") else 9}
        assert [text for text in texts.values() if text.startswith("Draft")] == ["Draft {{ tone }}"]
        assert stored() == before

    def test_with_what_it_includes_and_as_several_messages(
        self, admin_client: Client, prompt: Prompt
    ) -> None:
        store_prompt("manners", "Be kind.")
        text = '## system\n{% include "prompt:manners" %}\n## user\nHi?\n## assistant\nHello.'
        bot = plan_of(try_it(admin_client, prompt, {"text": text, "messages": "on"}, target=":")).steps[0]
        assert isinstance(bot, BotPlan)
        assert (bot.prompt.strip(), [each.role for each in bot.messages]) == (
            "Be kind.",
            ["user", "assistant"],
        )

    def test_a_step_alone_starts_with_the_run(self, admin_client: Client, prompt: Prompt) -> None:
        prompt.steps.update(root="x/{{ match[0] }}", quiet=True)
        plan = plan_of(try_it(admin_client, prompt, {}, target="cloud-facts/details"))
        assert (plan.steps[0].root, plan.steps[0].quiet, plan.triggers) == ("", False, ())

    def test_or_a_version_that_is_stored(self, admin_client: Client, prompt: Prompt) -> None:
        store_prompt(prompt.slug, "Second")
        bot = plan_of(try_it(admin_client, prompt, {"text": "{% broken"}, target=":", version="1")).steps[0]
        assert isinstance(bot, BotPlan)
        assert (bot.prompt, bot.prompt_version) == ("DETAILS", f"{prompt.slug} v1")
        errors = errors_of(try_it(admin_client, prompt, {}, target=":", version="7"))
        assert "no version 7" in errors[""][0]

    def test_beside_it_stands_what_is_live(self, admin_client: Client, prompt: Prompt) -> None:
        store_prompt(prompt.slug, "Second")
        panel = admin_client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").context["trial"]
        assert panel["beside"] == "2"
        workflow = Workflow.objects.get()
        panel = admin_client.get(f"{URL}{workflow.pk}/change/").context["trial"]
        assert panel["beside"] == ("published" if workflow.published else "saved")

    def test_asks_for_what_the_steps_read_where_no_schema_says_it(
        self, admin_client: Client, prompt: Prompt
    ) -> None:
        Workflow.objects.update(input_schema={})
        Step.objects.filter(name="answer").update(input="{{ input.topic }} {% if input.tone %}!{% endif %}")
        data = admin_client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").context["trial"]["data"]
        schema = next(each["schema"] for each in data["targets"] if each["value"] == "cloud-facts")
        assert {"topic", "tone"} <= set(schema["properties"]) == set(schema["required"])

    def test_of_a_new_one(self, admin_client: Client, workflow: Workflow) -> None:
        run = tried(try_it(admin_client, "prompt", {"slug": "new", "text": "Say hello."}, target=":text"))
        assert run.workflow == "new" and not Prompt.objects.filter(slug="new").exists()

    def test_what_is_wrong_with_the_text(self, admin_client: Client, prompt: Prompt) -> None:
        found = errors_of(try_it(admin_client, prompt, {"text": "{{ nobody }}"}, target=":"))
        assert list(found) == ["text"]

    def test_who_may_change_prompts_tries_but_lets_nothing_act(self, prompt: Prompt) -> None:
        client = client_with("view_prompt", "change_prompt")
        assert try_it(client, prompt, {}, target="cloud-facts").status_code == 201
        assert try_it(client, prompt, {}, target="cloud-facts", acts="on").status_code == 403

    @pytest.mark.parametrize(("permissions", "may"), [((), False), (("publish_prompt",), True)])
    def test_publishing_is_offered_to_who_may(
        self, prompt: Prompt, permissions: tuple[str, ...], may: bool
    ) -> None:
        client = client_with("view_prompt", "change_prompt", *permissions)
        data = client.get(f"/admin/lingstream/prompt/{prompt.pk}/change/").context["trial"]["data"]
        assert data["may"]["publish"] is may
        assert [value for value, _name in data["versions"]] == ["", "1"]
