"""The client's own tests, run by Node."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from csp.middleware import CheckableLazyObject
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage
from django.core.exceptions import SynchronousOnlyOperation
from django.core.files.storage import FileSystemStorage
from django.http import HttpRequest
from django.template import Context, Engine, RequestContext, TemplateSyntaxError
from django.urls import NoReverseMatch, clear_script_prefix, set_script_prefix

from lingstream.templatetags._modules import PARTS, module_urls
from tests.chaos.patience import scaled
from tests.node import node, peers

HERE = Path(__file__).parents[1]
VECTORS: dict[str, Any] = json.loads((HERE / "cases" / "protocol.json").read_text())
CLIENT = HERE.parent / "lingstream/static/lingstream"
FILES = sorted(
    str(path.relative_to(CLIENT)) for path in [*CLIENT.glob("*.js"), *CLIENT.glob("vendor/**/*.js")]
)
ENTRIES = (
    "index.js",
    "core.js",
    "checksum.js",
    "feed.js",
    "markdown.js",
    "rare.js",
    "announcer.js",
    "chat.js",
    "cite.js",
    "source-note.js",
    "commands.js",
    "conversations.js",
    "embed.js",
    "forms.js",
    "frame.js",
    "iteration.js",
)  # what a page, of another site too, or one of the modules later, asks for

IMPORTED = re.compile(r"""^(?:import|export) .* from ['"](.+)['"];$""", re.MULTILINE)


@pytest.mark.parametrize("suite", sorted(path.name for path in (HERE / "client").glob("*.test.mjs")))
def test_node(suite: str) -> None:
    # Clients of the tests that were left alone would go on trying for a minute and a half.
    command = [node(), "--test", "--test-force-exit", "--test-reporter=spec", str(HERE / "client" / suite)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=scaled(120), check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("dialect", VECTORS["dialects"], ids=lambda dialect: dialect["name"])
def test_plain_peer_folds_our_json_lines_with_npm_jsonuri(dialect: Mapping[str, Any]) -> None:
    command = [node(), str(peers() / "fold_jsonl.mjs")]
    result = subprocess.run(
        command, input=dialect["jsonl"].encode(), capture_output=True, timeout=scaled(60), check=True
    )
    case = next(case for case in VECTORS["cases"] if case["name"] == dialect["name"])
    assert json.loads(result.stdout) == case["document"]


def refuse() -> None:
    raise SynchronousOnlyOperation


def request_by(namespace: str) -> HttpRequest:
    """A request that came by one of the includes."""
    request = HttpRequest()
    request.current_app = namespace  # type: ignore[attr-defined]
    return request


class TestScriptTag:
    def render(self, source: str, context: Context) -> str:
        engine = Engine(libraries={"lingstream": "lingstream.templatetags.lingstream"})
        return engine.from_string("{% load lingstream %}" + source).render(context)

    def test_is_a_module_without_inline_code(self, settings: Any) -> None:
        settings.LINGSTREAM = {"BUNDLE": False}
        tag = self.render("{% lingstream_script %}", Context())
        assert tag.endswith(
            '<script type="module" src="/static/lingstream/index.js" data-lingstream '
            'data-base="/ling/" data-socket="/ws/ling/"></script>'
        )
        assert tag.count("<script") == 1

    def test_names_the_modules_before_one_asks_for_the_next(self, settings: Any) -> None:
        settings.DEBUG = True
        tag = self.render('{% lingstream_script nonce="n0" %}', Context())
        named = re.findall(r'<link rel="modulepreload" href="/static/lingstream/([\w.]+)" nonce="n0">', tag)
        reached = closure(CLIENT / "index.js")
        assert sorted(["index.js", *named]) == sorted(path.name for path in reached)

    @pytest.mark.parametrize(
        ("debug", "given"), [(False, {}), (False, {"BUNDLE": None}), (True, {"BUNDLE": True})]
    )
    def test_is_one_file_where_debug_is_off_or_the_site_says_so(
        self, debug: bool, given: Any, settings: Any
    ) -> None:
        settings.DEBUG, settings.LINGSTREAM = debug, given
        tag = self.render("{% lingstream_importmap %}{% lingstream_script %}", Context())
        assert "modulepreload" not in tag
        assert 'src="/static/lingstream/lingstream.min.js"' in tag
        assert '{"lingstream": "/static/lingstream/lingstream.min.js"' in tag

    @pytest.mark.parametrize(
        ("uses", "parts"),
        [
            ("markdown", ["rare", "markdown"]),
            ("form  prop", ["forms", "rare"]),
            ("cite markdown", ["rare", "cite", "markdown"]),
            ("", []),
        ],
    )
    def test_names_what_the_page_uses(self, uses: str, parts: list[str], settings: Any) -> None:
        settings.LINGSTREAM = {"BUNDLE": True}
        tag = self.render(f'{{% lingstream_script preload="{uses}" nonce="n0" %}}', Context())
        named = re.findall(r'<link rel="modulepreload" href="/static/lingstream/([\w.]+)" nonce="n0">', tag)
        assert named == [f"{part}.min.js" for part in parts]

    def test_what_nothing_is_loaded_for_cannot_be_preloaded(self) -> None:
        with pytest.raises(TemplateSyntaxError, match=r"markdown, .* got each, if"):
            self.render('{% lingstream_script preload="each if" %}', Context())

    def test_an_import_map_cannot_end_its_script(self, settings: Any) -> None:
        settings.STATIC_URL = "/</script>/"
        tag = self.render('{% lingstream_importmap nonce="n0" %}', Context())
        assert re.fullmatch(r'<script type="importmap" nonce="n0">[^<]*</script>', tag)

    @pytest.mark.urls("tests.included")
    def test_says_where_the_site_serves_runs(self, settings: Any) -> None:
        settings.LINGSTREAM = {"SOCKET_PATH": "sockets/ai"}
        set_script_prefix("/app/")
        try:
            tag = self.render("{% lingstream_script %}", Context({"request": request_by("first")}))
            other = self.render("{% lingstream_script %}", RequestContext(request_by("second")))
        finally:
            clear_script_prefix()
        assert 'data-base="/app/first/ling/" data-socket="/app/sockets/ai"' in tag
        assert 'data-base="/app/%C3%A4/second/" data-socket="/app/sockets/ai"' in other

    @pytest.mark.urls("django.conf.urls.i18n")
    def test_of_a_site_without_our_urls_is_told_so(self) -> None:
        with pytest.raises(NoReverseMatch, match="lingstream"):
            self.render("{% lingstream_script %}", Context())

    def test_carries_the_csrf_token(self) -> None:
        tag = self.render("{% lingstream_script %}", Context({"csrf_token": "a&b"}))
        assert 'data-csrf="a&amp;b"' in tag

    def test_may_leave_the_csrf_token_out(self) -> None:
        assert "csrf" not in self.render("{% lingstream_script csrf=False %}", Context({"csrf_token": "abc"}))

    def test_carries_a_nonce(self) -> None:
        assert ' nonce="n0"' in self.render('{% lingstream_script nonce="n0" %}', Context())

    def test_carries_a_nonce_that_is_false_until_it_is_written(self) -> None:
        made: list[str] = []

        def make() -> str:
            made.append("n1")
            return made[-1]

        nonce = CheckableLazyObject(make)
        assert not nonce
        assert ' nonce="n1"' in self.render("{% lingstream_script nonce=nonce %}", Context({"nonce": nonce}))
        assert made == ["n1"]


class TestHashedStatics:
    """The modules import each other relatively; hashed storage must leave that intact."""

    @pytest.mark.parametrize("aggregation", [False, True])
    def test_imports_resolve(
        self, tmp_path: Path, aggregation: bool, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.LINGSTREAM = {"BUNDLE": False}
        storage = collect(tmp_path, aggregation=aggregation)
        monkeypatch.setattr(staticfiles_storage, "_wrapped", storage)
        index = tmp_path / storage.stored_name("lingstream/index.js")
        reached = closure(index)
        assert {tmp_path / url.removeprefix("/static/") for url in module_urls()} == reached - {index}
        seen = set(reached)
        for part in PARTS:
            needed = closure(loaded(part, seen))
            seen |= needed
            named = {tmp_path / url.removeprefix("/static/") for url in module_urls([part])}
            assert named == (reached | needed) - {index}
        hashed = [path for path in reached if str(path.relative_to(tmp_path / "lingstream")) not in FILES]
        assert len(hashed) == (len(reached) if aggregation else 1)

    def test_each_module_is_reached(self) -> None:
        reached = set().union(*(closure(CLIENT / name) for name in ENTRIES))
        assert {CLIENT / name for name in FILES if not name.endswith(".min.js")} == reached
        lazily = [re.findall(r'(?<!{)import\("\./([\w.]+)"\)', (CLIENT / name).read_text()) for name in FILES]
        assert {name for names in lazily for name in names if ".min." not in name} <= set(ENTRIES)


def loaded(part: str, modules: set[Path]) -> Path:
    """The module that some of the client's load for a part, by the name under which they ask for it."""
    asks = re.compile(rf"""[^{{]import\(['"](\./{part}[\w.]*\.js)['"]\)""")
    names = {module.parent / name for module in modules for name in asks.findall(module.read_text())}
    (asked,) = {name.resolve() for name in names}
    return asked


def closure(entry: Path) -> set[Path]:
    """The module and all that it imports, directly or through others."""
    reached, pending = set(), {entry}
    while pending:
        module = pending.pop()
        reached.add(module)
        names = IMPORTED.findall(module.read_text())
        pending |= {(module.parent / name).resolve() for name in names} - reached
    return reached


def collect(target: Path, *, aggregation: bool) -> ManifestStaticFilesStorage:
    class Storage(ManifestStaticFilesStorage):
        support_js_module_import_aggregation = aggregation
        max_post_process_passes = 15

    storage = Storage(location=str(target), base_url="/static/")
    source = finders.find("lingstream/index.js")
    assert isinstance(source, str)
    origin = FileSystemStorage(Path(source).parent.parent)
    paths = {f"lingstream/{name}": (origin, f"lingstream/{name}") for name in FILES}
    for name, (files, path) in paths.items():
        with files.open(path) as file:
            storage.save(name, file)
    for _, _, problem in storage.post_process(paths):
        if isinstance(problem, Exception):
            raise problem
    return storage
