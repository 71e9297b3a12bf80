"""The admin of knowledge: an editor adds a source, looks at what came of it, and asks; others may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.template.defaultfilters import filesizeformat
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lingstream.core.engine.kinds import Services
from lingstream.core.phrases import Phrase
from lingstream.knowledge.due import go_on
from lingstream.knowledge.models import Chunk, Collection, Document, Embedder, Question, Source, Sync
from lingstream.knowledge.sources.port import source_kinds
from lingstream.knowledge.sync import sync
from lingstream.models import Run, Runner, Workflow
from tests.admin.forms import client_with, errors_of, form_data
from tests.site import store_workflow

from .building import collection, document, find
from .meaning import embedder
from .people import groups_of, user, visible

pytestmark = pytest.mark.django_db(transaction=True)  # a pass has a thread of its own

URL = "/admin/lingstream_knowledge/"
PAGE = "# Clouds\n\nA cloud is made of droplets.\n\n## Rain\n\nRain falls out of clouds that are full.\n"


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.LINGSTREAM = {**settings.LINGSTREAM, "KNOWLEDGE_ROOTS": [str(tmp_path)]}
    (tmp_path / "clouds.md").write_text(PAGE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def source(folder: Path) -> Source:
    into = Collection.objects.create(slug="help", access="anyone", chunk_size=100)
    return Source.objects.create(slug="files", collection=into, kind="folder", config={"path": str(folder)})


def one_pass(source: Source) -> None:
    asked = {"services": Services(lambda plan: None), "trigger": "manual"}  # type: ignore[arg-type, return-value]
    assert async_to_sync(sync)(source.pk, uuid4().hex, **asked).status == "finished"


def page(client: Client, path: str, **query: Any) -> str:
    response = client.get(f"{URL}{path}", query)
    assert response.status_code == 200
    return str(response.content.decode())


class TestSources:
    def test_are_of_a_kind_that_is_chosen_first(self, admin_client: Client) -> None:
        for query in ({}, {"kind": "nothing"}):
            html = page(admin_client, "source/add/", **query)
            assert "?kind=folder" in html and "?kind=upload" in html

    def test_are_told_by_what_their_kinds_are_called(self, admin_client: Client, source: Source) -> None:
        """Each with a line of what it is, where one is chosen, and in the list."""
        html = page(admin_client, "source/add/")
        assert "Files of a folder on the server" in html
        offered = [kind for kind in source_kinds().values() if kind.title and kind.kind != "models"]
        assert len(offered) >= 7 and all(kind.config_schema.get("description") for kind in offered)
        shown = admin_client.get(f"{URL}source/").content.decode()
        assert (
            '<td class="field-shown_kind">Folder</td>' in shown and 'href="?kind=folder">Folder</a>' in shown
        )
        for kind, count in (("folder", 1), ("web", 0)):
            found = admin_client.get(f"{URL}source/", {"kind": kind})
            assert found.context["cl"].result_count == count

    def test_have_the_fields_of_their_kind(self, admin_client: Client, folder: Path) -> None:
        into = collection()
        url = f"{URL}source/add/?kind=folder"
        data = form_data(admin_client.get(url))
        sent = {**data, "collection": into.pk, "slug": "files", "options-folder-path": str(folder)}
        response = admin_client.post(url, sent)
        assert response.status_code == 302, errors_of(response)
        made = Source.objects.get(slug="files")
        assert (made.kind, made.config) == ("folder", {"path": str(folder)})

    def test_say_beside_the_field_what_is_wrong(self, admin_client: Client, folder: Path) -> None:
        into = collection()
        url = f"{URL}source/add/?kind=folder"
        data = {**form_data(admin_client.get(url)), "collection": into.pk, "slug": "files"}
        assert "options-folder-path" in errors_of(admin_client.post(url, data))
        outside = errors_of(admin_client.post(url, {**data, "options-folder-path": "/etc"}))
        assert "KNOWLEDGE_ROOTS" in str(outside)
        never = {**data, "options-folder-path": str(folder), "every": 10**15}
        assert errors_of(admin_client.post(url, never)).keys() == {"every"}

    def test_keep_what_is_not_touched(self, admin_client: Client, source: Source) -> None:
        url = f"{URL}source/{source.pk}/change/"
        before = source.config
        response = admin_client.post(url, {**form_data(admin_client.get(url)), "max_documents": 7})
        assert response.status_code == 302, errors_of(response)
        source.refresh_from_db()
        assert (source.config, source.kind, source.max_documents) == (before, "folder", 7)

    def test_say_what_a_pass_has_read_and_left_to_the_next(
        self, admin_client: Client, source: Source, folder: Path
    ) -> None:
        url = f"{URL}source/{source.pk}/change/"
        for number in range(30):
            (folder / f"rain{number}.md").write_text(PAGE)
        response = admin_client.post(url, {**form_data(admin_client.get(url)), "max_bytes": 10})
        assert response.status_code == 302, errors_of(response)
        one_pass(source)
        html = page(admin_client, f"source/{source.pk}/change/")
        row, left = Sync.objects.get(), Document.objects.filter(error_code="put-off")
        assert row.bytes == len(PAGE) * (31 - left.count())
        assert filesizeformat(row.bytes) in html and f"{row.bytes} bytes behind it, and may have 10" in html
        assert "with the next pass" in page(admin_client, f"document/{left[0].pk}/change/")

    def test_show_what_a_pass_would_find(self, admin_client: Client, source: Source, folder: Path) -> None:
        (folder / "gone.md").write_text("Soon gone.")
        one_pass(source)
        (folder / "gone.md").unlink()
        (folder / "new.md").write_text("New.")
        html = page(admin_client, f"source/{source.pk}/dry-run/")
        assert "<summary>new: 1</summary>" in html and "<li>new.md</li>" in html
        assert "<summary>gone: 1</summary>" in html and "<li>gone.md</li>" in html
        assert sorted(source.documents.values_list("key", flat=True)) == ["clouds.md", "gone.md"]

    def test_show_one_document_as_it_would_be_cut(self, admin_client: Client, source: Source) -> None:
        html = page(admin_client, f"source/{source.pk}/try/", key="clouds.md")
        assert "Clouds › Rain" in html and "droplets" in html
        assert not Document.objects.exists()
        assert "gone" in page(admin_client, f"source/{source.pk}/try/", key="none.md")
        assert "errornote" in page(admin_client, f"source/{source.pk}/try/", key="../../etc/passwd")

    def test_of_files_stay_at_where_files_are_taken(self, admin_client: Client) -> None:
        into = collection()
        add = f"{URL}source/add/"
        assert f"?kind=upload&amp;collection={into.pk}" in page(
            admin_client, "source/add/", collection=into.pk
        )
        opened = admin_client.get(add, {"kind": "upload", "collection": into.pk})
        assert "takes the files" in opened.content.decode()
        response = admin_client.post(f"{add}?kind=upload", {**form_data(opened), "slug": "up"}, follow=True)
        assert Source.objects.get(slug="up").collection == into
        assert '<input type="file"' in response.content.decode()

    def test_take_files(self, admin_client: Client) -> None:
        source = Source.objects.create(slug="up", collection=collection(kind="python"), kind="upload")
        files = [SimpleUploadedFile("a.md", b"# A", "text/markdown")]
        response = admin_client.post(f"{URL}source/{source.pk}/upload/", {"file": files}, follow=True)
        assert source.documents.get().key == "a.md"
        told = response.content.decode()
        assert "“a.md” is kept" in told and f'?source__id__exact={source.pk}">Documents</a>' in told
        assert f'Documents: <a href="{URL}document/?source__id__exact={source.pk}">1</a>' in told

    def test_begin_and_stop_a_pass(self, admin_client: Client, source: Source) -> None:
        Runner.objects.create(heartbeat_at=timezone.now())
        command = f"{URL}source/{source.pk}/command/"
        told = admin_client.post(f"{command}sync/", follow=True).content.decode()
        source.refresh_from_db()
        assert "A pass has begun." in told and source.holder
        assert "Stop" in page(admin_client, f"source/{source.pk}/change/")
        admin_client.post(f"{command}stop/")
        source.refresh_from_db()
        assert source.paused and not source.holder
        assert Run.objects.get().cancel_requested_at
        admin_client.post(f"{command}resume/")
        source.refresh_from_db()
        assert not source.paused

    def test_follow_the_run_that_is_at_them_from_its_queueing_on(
        self, admin_client: Client, source: Source
    ) -> None:
        """Each slice of a pass is a run of its own, and begins when a process has room for it."""
        Runner.objects.create(heartbeat_at=timezone.now())
        state = f"source/{source.pk}/state/"
        assert "<ling-stream" not in page(admin_client, state)
        admin_client.post(f"{URL}source/{source.pk}/command/sync/")
        first = Run.objects.get()
        for path in (state, f"source/{source.pk}/change/"):
            assert f'run="{first.pk}"' in page(admin_client, path)
        source.refresh_from_db()
        asked = {"services": Services(lambda plan: None), "seconds": 0.0}  # type: ignore[arg-type, return-value]
        for number in range(40):
            (Path(source.config["path"]) / f"{number}.md").write_text(f"Number {number}.")
        assert async_to_sync(sync)(source.pk, source.holder, **asked).status == "unfinished"
        go_on(source.pk)
        second = Run.objects.exclude(pk=first.pk).get()
        assert f'run="{second.pk}"' in page(admin_client, state)

    def test_try_failures_of_one_sort_again_or_leave_them(self, admin_client: Client, source: Source) -> None:
        failed = {"source": source, "status": Document.Status.FAILED}
        codes = {"a": "http-503", "b": "timed-out"}
        for key, code in codes.items():
            Document.objects.create(key=key, error_code=code, **failed)
        html = page(admin_client, f"source/{source.pk}/change/")
        assert all(code in html for code in codes.values())
        command = f"{URL}source/{source.pk}/command/"
        admin_client.post(f"{command}retry/", {"code": "http-503"})
        admin_client.post(f"{command}discard/", {"code": "timed-out"})
        assert dict(Document.objects.values_list("key", "status")) == {"a": "pending", "b": "skipped"}

    def test_show_how_they_are_to_who_may_only_look(self, admin_client: Client, source: Source) -> None:
        Runner.objects.create(heartbeat_at=timezone.now())
        admin_client.post(f"{URL}source/{source.pk}/command/sync/")
        Source.objects.update(state="degraded", problem="the site does not answer")
        Document.objects.create(source=source, key="a", status="failed", error_code="http-503")
        client = client_with("view_source")
        for path in ("change/", "state/"):
            html = page(client, f"source/{source.pk}/{path}")
            for told in ("not all of it, for now", "the site does not answer", "<progress", "http-503"):
                assert told in html
            assert "ling-commands" not in html and f"{URL}document/" not in html
            assert "data-again" in html and "seen <b>0</b>" in html
            assert "share=" not in html  # what is read names documents that they might not find

    @pytest.mark.parametrize("permission", ["view_source", "change_source"])
    def test_are_asked_for_again_while_no_run_is_at_their_pass(self, source: Source, permission: str) -> None:
        """Between two of its slices, and while the source is left alone."""
        client = client_with(permission)
        state = f"source/{source.pk}/state/"
        assert "data-again" not in page(client, state)
        row = Sync.objects.create(source=source, number=1, seen=4)
        assert "data-again" in page(client, state) and 'max="4"' in page(client, state)
        Sync.objects.filter(pk=row.pk).update(status="finished")
        assert "data-again" not in page(client, state)

    def test_are_shown_as_they_are_after_the_end_of_a_pass(
        self, admin_client: Client, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may end while they are looked at, and then nobody asks again."""

        def ended(asked: Source) -> None:
            Source.objects.update(state="ok")

        monkeypatch.setattr("lingstream.knowledge.admin.sources.run_at", ended)
        Source.objects.update(state="degraded")
        assert "in order" in page(admin_client, f"source/{source.pk}/state/")

    def test_tell_what_is_wrong_in_the_readers_language(self, admin_client: Client, source: Source) -> None:
        gone = Phrase("%(host)s answered %(status)s", host="example.com", status=503)
        problem = Phrase("%(url)s: %(why)s", url="/robots.txt", why=gone)
        Source.objects.update(state="degraded", problem=problem)
        Sync.objects.create(source=source, number=1, status="finished", problem=problem)
        found = Document.objects.create(source=source, key="a", error_code="http-503", error=gone)
        admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hans"
        html = page(admin_client, f"source/{source.pk}/change/")
        assert html.count("/robots.txt：example.com 应答 503") == 2
        assert "http-503：example.com 应答 503" in page(admin_client, f"document/{found.pk}/change/")

    def test_show_their_configuration_to_who_may_only_look(self, source: Source) -> None:
        html = page(client_with("view_source"), f"source/{source.pk}/change/")
        assert source.config["path"] in html and "ptions-folder" not in html

    def test_are_nobody_elses_to_watch(self, source: Source) -> None:
        client = client_with("view_document")
        assert client.get(f"{URL}source/{source.pk}/state/").status_code == 403

    def test_do_nothing_for_who_may_only_look(self, source: Source) -> None:
        client = client_with("view_source")
        assert "ling-commands" not in page(client, f"source/{source.pk}/change/")
        for path in ("command/sync/", "upload/"):
            assert client.post(f"{URL}source/{source.pk}/{path}").status_code == 403
        for path in ("dry-run/", "try/"):
            assert client.get(f"{URL}source/{source.pk}/{path}").status_code == 403
        assert client.get(f"{URL}source/{source.pk}/command/sync/").status_code == 405


class TestDocuments:
    def test_show_their_text_with_the_borders_of_passages(self, admin_client: Client, source: Source) -> None:
        one_pass(source)
        made = Document.objects.get()
        html = page(admin_client, f"document/{made.pk}/change/")
        assert html.count("<figure id=") == Chunk.objects.count() > 1
        assert "Clouds › Rain" in html

    def test_are_text_and_never_html(self, admin_client: Client, source: Source, folder: Path) -> None:
        (folder / "clouds.md").write_text("<script>alert(1)</script> and so on")
        one_pass(source)
        html = page(admin_client, f"document/{Document.objects.get().pk}/change/")
        assert "<script>alert" not in html and "&lt;script&gt;alert(1)" in html

    @pytest.mark.parametrize(
        ("access", "who", "told"),
        [
            ("anyone", "", "finds it"),
            ("anyone", "ann", "finds it"),
            ("authenticated", "", "may not search"),
            ("authenticated", "ann", "finds it"),
            ("permission", "ann", "may not search"),
            ("groups", "ann", "finds it"),
            ("groups", "bob", "may not search"),
            ("own", "ann", "somebody else"),
            ("own", "owner", "finds it"),
            ("anyone", "nobody-knows", "Expected the name of a user"),
        ],
    )
    def test_say_who_finds_them(self, admin_client: Client, access: str, who: str, told: str) -> None:
        ann, _, owner = (User.objects.create(username=name) for name in ("ann", "bob", "owner"))
        into = collection(access=access)
        team = Group.objects.create(name="team")
        team.user_set.add(ann)
        into.groups.add(team)
        document(into, "Text.", owner=owner if access == "own" else None)
        html = page(admin_client, f"document/{Document.objects.get().pk}/change/", who=who)
        assert told in html.partition("<output>")[2].partition("</output>")[0]

    def test_without_a_passage_in_their_collection_are_found_by_nobody(self, admin_client: Client) -> None:
        into = collection()
        document(into, "Text.", key="moved")
        Document.objects.create(source=Source.objects.get(), key="left", status=Document.Status.SKIPPED)
        Source.objects.update(collection=Collection.objects.create(slug="other", access="anyone"))
        for row in Document.objects.all():
            html = page(admin_client, f"document/{row.pk}/change/", who="")
            assert "<output>does not find it: it has no passages" in html

    def test_say_so_to_who_may_try_searches_as_others(self) -> None:
        into = collection()
        document(into, "Text.")
        path = f"document/{Document.objects.get().pk}/change/"
        asked = {"question": "text", "who": ""}
        for name, may in (("change_collection", True), ("change_source", False)):
            client = client_with("view_document", name)
            assert ("<output>finds it" in page(client, path, who="")) is may
            assert (client.get(f"{URL}collection/{into.pk}/trial/", asked).status_code == 200) is may
            User.objects.all().delete()

    def test_of_rows_that_no_app_declares_any_more_are_found_by_nobody(self, admin_client: Client) -> None:
        document(collection(kind="models"), "Text.", key="7")
        html = page(admin_client, f"document/{Document.objects.get().pk}/change/", who="")
        assert "the site hides the row" in html.partition("<output>")[2].partition("</output>")[0]
        assert "0 documents" in page(client_with("view_document"), "document/")

    def test_are_indexed_again_by_who_may(self, admin_client: Client, source: Source) -> None:
        one_pass(source)
        made = Document.objects.get()
        url = f"{URL}document/{made.pk}/command/reindex/"
        assert client_with("view_document").post(url).status_code == 403
        admin_client.post(url)
        made.refresh_from_db()
        assert (made.status, made.raw_hash) == ("pending", "")
        one_pass(source)
        made.refresh_from_db()
        assert made.status == "indexed" and made.raw_hash

    def test_are_paged_without_reading_what_is_on_other_pages(
        self, admin_client: Client, source: Source
    ) -> None:
        rows = [Document(source=source, key=f"{number:04}") for number in range(1_300)]
        Document.objects.bulk_create(rows)
        document(source.collection, "One.", "Two.", key="last")
        first = page(admin_client, "document/")
        assert "more than 1000 documents" in first and '<td class="field-passages">2</td>' in first
        with CaptureQueriesContext(connection) as queries:
            older = admin_client.get(f"{URL}document/{re.findall('href=.([^ ]*before=[^ ]*). ', first)[0]}")
        [link] = re.findall("class=.field-__str__.*?>([0-9]{4})<", older.content.decode())[:1]
        assert link == "1200"
        executed = [each["sql"] for each in queries.captured_queries]
        assert not [sql for sql in executed if "OFFSET" in sql or ("GROUP BY" in sql and " IN (" not in sql)]

    def test_that_have_failed_are_left_out_one_by_one(self, admin_client: Client, source: Source) -> None:
        status = Document.Status
        rows = [("a", status.FAILED), ("b", status.FAILED), ("c", status.FAILED), ("d", status.INDEXED)]
        for key, each in rows:
            Document.objects.create(source=source, key=key, status=each)
        made = {row.key: row.pk for row in Document.objects.all()}
        assert "Leave out" in page(admin_client, f"document/{made['a']}/change/")
        assert "Leave out<" not in page(admin_client, f"document/{made['d']}/change/")
        url = f"{URL}document/{made['a']}/command/leave_out/"
        assert client_with("view_document").post(url).status_code == 403
        admin_client.post(url)
        chosen = {"action": "leave_out", "_selected_action": [made["b"], made["d"]]}
        admin_client.post(f"{URL}document/", chosen)
        found = dict(Document.objects.values_list("key", "status"))
        assert found == {"a": "skipped", "b": "skipped", "c": "failed", "d": "indexed"}
        assert admin_client.post(f"{URL}document/{made['c']}/command/delete/").status_code == 404

    def test_are_for_who_only_looks_those_that_they_would_find(self) -> None:
        owner = User.objects.create(username="owner")
        document(collection("open"), "One.", key="open.md")
        document(collection("secret", access="permission"), "Two.", key="secret.md")
        document(Collection.objects.get(slug="open"), "Three.", key="of-somebody.md", owner=owner)
        client = client_with("view_document")
        html = page(client, "document/")
        assert "open.md" in html and "secret.md" not in html and "of-somebody.md" not in html
        for hidden in Document.objects.exclude(key="open.md"):
            assert client.get(f"{URL}document/{hidden.pk}/change/").status_code == 302
        editor = Client()
        editor.force_login(User.objects.create_superuser("editor"))
        assert "of-somebody.md" in page(editor, "document/")


def test_a_webhook_shows_its_secret_to_who_may_change_it(admin_client: Client) -> None:
    source = Source.objects.create(slug="hook", collection=collection(), kind="webhook")
    before = source.secret()
    assert before in page(admin_client, f"source/{source.pk}/change/")
    assert before not in page(client_with("view_source"), f"source/{source.pk}/change/")
    url = f"{URL}source/{source.pk}/change/"
    admin_client.post(url, {**form_data(admin_client.get(url)), "renew": "on"})
    source.refresh_from_db()
    assert source.secret() != before


class TestTrial:
    def test_shows_what_is_found_and_what_is_not_and_why(self, admin_client: Client) -> None:
        owner = User.objects.create(username="owner")
        into = collection()
        document(into, "Clouds are made of droplets.", title="Open")
        document(into, "Clouds of mine.", title="Mine", owner=owner)
        html = page(admin_client, f"collection/{into.pk}/trial/", question="clouds")
        found, hidden = html.split("Not found, and why")
        assert "Open" in found and "Mine" not in found and "Mine" in hidden and "owner" in hidden
        found = page(admin_client, f"collection/{into.pk}/trial/", question="clouds", who="owner")
        assert "Mine" in found and "Not found, and why" not in found

    def test_weighs_words_against_vectors(self, admin_client: Client) -> None:
        into = collection(embedder=embedder())
        document(into, "The cat sleeps.", title="By words")
        document(into, "Dogs bark.", title="By meaning")
        asked = {"question": "hound sleeps", "words": "", "vectors": ""}
        path = f"collection/{into.pk}/trial/"
        shown = page(admin_client, path)
        assert 'name="words"' in shown and 'placeholder="1"' in shown
        for weight, first in (({"words": 0}, "By meaning"), ({"vectors": 0}, "By words")):
            html = page(admin_client, path, **{**asked, **weight}).partition("<tbody>")[2]
            assert html.index(first) < html.index("details")
        assert "errorlist" in page(admin_client, path, **{**asked, "words": -1})

    def test_shows_what_a_model_would_be_sent(self, admin_client: Client) -> None:
        into = collection()
        document(into, "Clouds are made of <droplets>.", title="Clouds")
        asked = {"question": "What are clouds made of?"}
        html = page(admin_client, f"collection/{into.pk}/trial/", **asked)
        sent = html.partition('<details class="ling-sent">')[2].partition("</details>")[0]
        assert "Answer the question from the numbered passages" in sent
        assert "[1] Clouds\n```\nClouds are made of &lt;droplets&gt;.\n```" in sent
        assert asked["question"] in sent
        assert "ling-sent" not in page(admin_client, f"collection/{into.pk}/trial/", question="wind")
        store_workflow("docs-chat", {"answer": "Say it in rhyme: {{ passages }}"})
        html = page(admin_client, f"collection/{into.pk}/trial/", **asked)
        assert "Say it in rhyme: [1] Clouds" in html and "numbered passages" not in html
        Workflow.objects.update(enabled=False)
        assert "is switched off" in page(admin_client, f"collection/{into.pk}/trial/", **asked)

    def test_begins_as_who_tries_it_and_says_why_others_find_nothing(self, admin_client: Client) -> None:
        into = collection(access="authenticated")
        document(into, "Clouds are made of droplets.")
        told = "see “Who may search”"
        asked = {"question": "clouds"}
        mine = admin_client.get(f"{URL}collection/{into.pk}/trial/").context["form"]["who"].value()
        assert told not in page(admin_client, f"collection/{into.pk}/trial/", **asked, who=mine)
        assert told in page(admin_client, f"collection/{into.pk}/trial/", **asked)

    def test_says_what_is_wrong(self, admin_client: Client) -> None:
        into = collection()
        html = page(admin_client, f"collection/{into.pk}/trial/", question="x", who="nobody-knows")
        assert "Expected the name of a user" in html

    def test_is_for_who_may_change_the_collection(self) -> None:
        into = collection()
        client = client_with("view_collection", "view_document")
        assert client.get(f"{URL}collection/{into.pk}/trial/", {"question": "x"}).status_code == 403


class TestRefusals:
    @pytest.fixture
    def chinese(self, admin_client: Client) -> Client:
        admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hans"
        return admin_client

    def test_of_files_are_told_in_the_reader_s_language(self, chinese: Client) -> None:
        up = Source.objects.create(
            slug="up", collection=collection(kind="python"), kind="upload", max_documents=1
        )
        files = [SimpleUploadedFile(name, b"# A", "text/markdown") for name in ("a.md", "b.md")]
        response = chinese.post(f"{URL}source/{up.pk}/upload/", {"file": files}, follow=True)
        assert "中最多 1 个文档" in response.content.decode()

    def test_so_are_those_of_forms(self, chinese: Client, folder: Path) -> None:
        into = collection()
        url = f"{URL}source/add/?kind=folder"
        data = {**form_data(chinese.get(url)), "collection": into.pk, "slug": "files"}
        assert "之内的文件夹" in str(errors_of(chinese.post(url, {**data, "options-folder-path": "/etc"})))
        url = f"{URL}collection/{into.pk}/change/"
        data = {**form_data(chinese.get(url)), "pipeline": '[{"kind": 1}]'}
        assert "应为形如" in str(errors_of(chinese.post(url, data)))

    def test_so_are_those_of_trials(self, chinese: Client, source: Source) -> None:
        asked = {"question": "clouds", "mode": "vector"}
        told = page(chinese, f"collection/{source.collection_id}/trial/", **asked)
        assert "应为有向量模型的知识库" in told
        assert "此名称下没有内容" in page(chinese, f"source/{source.pk}/try/", key="none.md")

    def test_so_is_what_a_search_does_without(self, chinese: Client) -> None:
        made = embedder()
        into = collection(embedder=made)
        document(into, "Clouds are made of droplets.")
        Collection.objects.update(embedded_by="another")
        told = page(chinese, f"collection/{into.pk}/trial/", question="clouds")
        assert "只按词语搜索" in told and "它的向量属于另一个向量模型" in told


def test_an_embedder_is_of_a_kind_that_there_is(admin_client: Client) -> None:
    url = f"{URL}embedder/add/"
    opened = admin_client.get(url)
    assert ">e5: a model of a hundred languages, offline</option>" in opened.content.decode()
    data = {**form_data(opened), "slug": "many", "kind": "e5"}
    assert admin_client.post(url, data).status_code == 302
    made = Embedder.objects.get()
    assert (made.slug, made.kind) == ("many", "e5")
    assert "kind" in errors_of(admin_client.post(url, {**data, "slug": "other", "kind": "moon"}))
    Embedder.objects.update(kind="moon")  # whose app is gone
    url = f"{URL}embedder/{made.pk}/change/"
    assert '<option value="moon" selected>moon</option>' in admin_client.get(url).content.decode()


def test_a_collection_leads_to_its_sources_for_who_may_see_them(admin_client: Client, source: Source) -> None:
    path = f"collection/{source.collection_id}/change/"
    links = f"/source/{source.pk}/change/", f"/source/add/?collection={source.collection_id}"
    assert all(link in page(admin_client, path) for link in links)
    html = page(client_with("change_collection"), path)
    assert not any(link in html for link in links)


def test_a_collection_says_how_large_it_is_and_whose_vectors_it_has(
    admin_client: Client, source: Source, settings: Any
) -> None:
    one_pass(source)
    path = f"collection/{source.collection_id}/change/"

    def told(client: Client = admin_client) -> str:
        html = page(client, path).partition("field-shown_size")[2].partition("</fieldset>")[0]
        return html.replace("\xa0", " ")

    assert re.search(r"texts \d+ bytes, compressed; 0 vectors, 0 bytes<", told())
    into = collection("embedded", embedder=embedder())
    document(into, "One.", "Two.", vectors=[bytes(8), bytes(8)])
    path = f"collection/{into.pk}/change/"
    assert "2 vectors, 16 bytes, all of " in told()
    Collection.objects.filter(pk=into.pk).update(embedded_by="another")
    assert "until a pass over each source" in told()
    Collection.objects.filter(pk=into.pk).update(embedder=None)
    assert "of which no search asks" in told()
    Collection.objects.filter(pk=into.pk).update(store="nowhere")
    assert "expected a store among" in told()
    settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.knowledge.test_admin.tenant_a"}
    assert told(client_with("view_collection")) == ""


def test_lists_count_without_multiplying(admin_client: Client) -> None:
    into = collection()
    document(into, "One.", "Two.")
    document(into, "Three.")
    Question.objects.create(collection=into, text="?", expected=["0.md"])
    html = page(admin_client, "collection/")
    assert f'source__collection__id__exact={into.pk}">2</a>' in html
    assert '<td class="field-passages">3</td>' in html


def test_the_list_of_documents_reads_no_more_of_them_than_it_shows(admin_client: Client) -> None:
    into = collection()
    for number in range(6):
        document(into, f"{number}.")
    for number, pk in enumerate(list(Document.objects.values_list("pk", flat=True)[:4])):
        told = {"error_code": f"http-50{number % 2}", "language": ("de", "fr")[number % 2]}
        Document.objects.filter(pk=pk).update(**told)
    with CaptureQueriesContext(connection) as queries:
        html = page(admin_client, "document/")
    asked = [each["sql"] for each in queries if "lingstream_knowledge_document" in each["sql"]]
    assert asked and not any("DISTINCT" in sql for sql in asked)
    for query in ("error_code=http-500", "error_code=http-501", "language=de", "language=fr"):
        assert f"?{query}" in html
        assert admin_client.get(f"{URL}document/?{query}").context["cl"].result_count == 2
    for column in ("error_code", "language", "scope"):
        values = Document.objects.exclude(**{column: ""}).filter(**{f"{column}__gt": ""}).order_by(column)
        assert "lingstream_document_" in values.values_list(column)[:1].explain()


def test_what_has_moved_is_found_by_nobody_until_it_is_looked_at(
    admin_client: Client, source: Source
) -> None:
    one_pass(source)
    assert find("help", "droplets")
    other = Collection.objects.create(slug="other", access="permission")
    url = f"{URL}source/{source.pk}/change/"
    admin_client.post(url, {**form_data(admin_client.get(url)), "collection": other.pk})
    assert find("help", "droplets") == []
    source.refresh_from_db()
    one_pass(source)
    assert find("help", "droplets") == [] and Chunk.objects.filter(collection=other).exists()


def test_confirmed_deletions_are_done(admin_client: Client, source: Source, folder: Path) -> None:
    Runner.objects.create(heartbeat_at=timezone.now())
    for number in range(30):
        (folder / f"{number}.md").write_text(f"Number {number}.")
    one_pass(source)
    for number in range(30):
        (folder / f"{number}.md").unlink()
    one_pass(source)
    source.refresh_from_db()
    assert (source.state, source.documents.count()) == ("needs-confirmation", 31)
    admin_client.post(f"{URL}source/{source.pk}/command/confirm/")
    source.refresh_from_db()
    assert source.holder and not Run.objects.get(workflow="knowledge-sync").input["full"]
    asked = {"services": Services(lambda plan: None), "full": False}  # type: ignore[arg-type, return-value]
    async_to_sync(sync)(source.pk, source.holder, **asked)
    assert source.documents.count() == 1


class TestTenants:
    @pytest.fixture(autouse=True)
    def _of_a(self, settings: Any) -> None:
        settings.LINGSTREAM = {**settings.LINGSTREAM, "SCOPE": "tests.knowledge.test_admin.tenant_a"}

    def test_see_sources_and_counts_of_their_own(self, source: Source) -> None:
        document(source.collection, "Ours.", scope="a")
        document(source.collection, "Theirs.", scope="b")
        into = Source.objects.create(slug="of-a", scope="a", kind="upload", collection=source.collection)
        client = client_with("change_source", "change_collection", "view_document")
        html = page(client, "source/")
        assert "of-a" in html and ">files<" not in html
        assert client.get(f"{URL}source/{source.pk}/dry-run/").status_code == 404
        assert page(client, f"source/{into.pk}/dry-run/")
        assert '<td class="field-passages">1</td>' in page(client, "collection/")

    @pytest.mark.parametrize("what", ["collection", "source"])
    def test_delete_nothing_of_others_with_what_is_theirs_and_are_named_none(self, what: str) -> None:
        into = collection("ours")
        Source.objects.update(scope="a")
        document(into, "Ours.", scope="a", title="Our clouds")
        document(into, "Theirs.", scope="b", title="Their clouds")
        if what == "collection":
            Source.objects.create(slug="their-source", collection=into, kind="upload", scope="b")
        models = ("collection", "source", "document")
        client = client_with(*(f"{verb}_{model}" for verb in ("view", "delete") for model in models))
        pk = {"collection": into.pk, "source": Source.objects.get(slug="ours").pk}[what]
        asked: list[tuple[str, dict[str, Any]]] = [
            (f"{URL}{what}/{pk}/delete/", {}),
            (f"{URL}{what}/", {"action": "delete_selected", "_selected_action": [pk]}),
        ]
        for url, data in asked:
            for sent in (data, {**data, "post": "yes"}):
                html = client.post(url, sent).content.decode()
                assert "heir" not in html and "documents of other tenants: 1" in html
                assert ("sources of other tenants: 1" in html) is (what == "collection")
        assert Document.objects.count() == 2
        Document.objects.filter(scope="b").delete()
        Source.objects.filter(scope="b").delete()
        html = client.post(*asked[0]).content.decode()
        assert "Our clouds" in html and "of other tenants" not in html
        assert client.post(asked[0][0], {"post": "yes"}).status_code == 302
        assert not Document.objects.exists()

    def test_see_no_passage_of_another_in_a_trial(self, source: Source) -> None:
        document(source.collection, "Clouds are ours.", scope="a", title="Ours")
        document(source.collection, "Clouds are theirs.", scope="b", title="Theirs")
        client = client_with("change_collection", "view_document")
        html = page(client, f"collection/{source.collection_id}/trial/", question="clouds", scope="b")
        assert "Ours" in html and "Theirs" not in html and "theirs" not in html

    def test_are_offered_no_source_or_collection_of_others_to_filter_by(self) -> None:
        """By a relation: those of whose rows some are in the list."""
        for slug, scope in (("ours", "a"), ("also-ours", "a"), ("theirs", "b")):
            document(into := collection(slug, access="authenticated"), "Clouds.", scope=scope)
            Question.objects.create(collection=into, text="Clouds?", expected=["0.md"])
            Source.objects.update_or_create(slug=slug, defaults={"scope": scope})
        empty = Source.objects.create(slug="empty", collection=into, kind="upload", scope="a")
        collection("without-a-row")
        client = client_with("view_document", "view_source", "view_question")
        for path, named in (
            ("document/", {"theirs": False, "empty": False}),
            ("source/", {"theirs": True, "without-a-row": False}),  # which one of ours is in
            ("question/", {"theirs": True, "without-a-row": False}),
        ):
            html = page(client, path).partition('id="changelist-filter"')[2]
            offered = {"ours": True, "also-ours": True, **named}
            assert {each: f">{each}</a>" in html for each in offered} == offered, path
        Document.objects.filter(source__slug="also-ours").delete()  # one choice is none
        for chosen, count in ((empty.pk, 0), (Source.objects.get(slug="ours").pk, 1)):
            found = client.get(f"{URL}document/", {"source__id__exact": chosen})
            assert found.context["cl"].result_count == count

    def test_see_of_others_in_a_shared_collection_what_everybody_finds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And not what is somebody's there, who is the same person in each tenant, or what the site hides."""
        into = collection(shared=True)
        ben, row = user("ben"), Group.objects.create(name="row")
        ben.groups.add(row)
        visible(monkeypatch, "rows", Group, groups_of)
        document(into, "Clouds are ours.", scope="a", title="Ours")
        document(into, "Clouds of ben.", scope="a", title="BenHere", owner=ben)
        document(into, "Clouds of all.", scope="b", title="TheirsPublic")
        document(into, "Clouds of ben, private.", scope="b", title="BenThere", owner=ben)
        document(into, "Clouds of a row.", scope="b", title="BenRow", key=str(row.pk))
        rows = Source.objects.create(slug="rows", collection=into, kind="models")
        Document.objects.filter(title="BenRow").update(source=rows)
        client = client_with("change_collection", "view_document")
        asked = {"question": "clouds", "who": "ben"}
        for k in (8, 1):  # those behind are shown, too
            html = page(client, f"collection/{into.pk}/trial/", **asked, k=k)
            assert all(title in html for title in ("Ours", "BenHere", "TheirsPublic"))
            assert not any(each in html for each in ("BenThere", "private", "BenRow", "of a row"))


def tenant_a(request: Any) -> str:
    return "a"


def test_odd_input_is_told_and_no_fault_of_ours(admin_client: Client, source: Source) -> None:
    source.collection.pipeline = [{"kind": "gone"}]
    source.collection.save()
    assert "gone" in page(admin_client, f"source/{source.pk}/dry-run/")
    assert "gone" in page(admin_client, f"source/{source.pk}/try/", key="clouds.md")
