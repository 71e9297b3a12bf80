"""The wheel in an empty environment, in a fresh Django project, by the README's own words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from .catalogs import LANGUAGES, PACKAGES, catalog_of

ROOT = Path(__file__).resolve().parent.parent
CATALOGS = [catalog_of(app, language).with_suffix(".mo") for app in PACKAGES for language in LANGUAGES]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from this tree."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


def readme_blocks() -> dict[str, str]:
    """The README's code blocks that name their file in the first line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"```\w+\n(?:# |<!-- )([\w./]+?)(?: -->)?\n(.*?)```", text, re.DOTALL)
    return dict(found)


def test_it_has_what_a_site_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "lingstream/py.typed",
        "lingstream/static/lingstream/index.js",
        "lingstream/migrations/0001_initial.py",
        "lingstream/templatetags/lingstream.py",
        "lingstream/management/commands/ling.py",
        *(str(catalog.relative_to(ROOT)) for catalog in CATALOGS),
    ):
        assert needed in names
    static = ROOT / "lingstream" / "static"
    minified = {f"lingstream/static/{path.relative_to(static)}" for path in static.rglob("*.min.js")}
    assert "lingstream/static/lingstream/lingstream.min.js" in minified and minified <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "lingsite/", "bench/"))]


def test_the_readme_leads_to_a_streaming_site(wheel: Path, tmp_path: Path) -> None:
    blocks = readme_blocks()
    assert set(blocks) >= {"settings.py", "urls.py", "asgi.py", "templates/page.html", "workflows.py"}
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTHON"))
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [str(python), *command],
            cwd=tmp_path / "site",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "site").mkdir()
    run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    run("-m", "django", "startproject", "mysite", ".")
    run("manage.py", "startapp", "pages")
    site = tmp_path / "site"
    settings = site / "mysite" / "settings.py"
    with settings.open("a") as file:
        file.write(blocks["settings.py"] + 'INSTALLED_APPS += ["pages"]\n')
    with (site / "mysite" / "urls.py").open("a") as file:
        file.write("from django.urls import include\nfrom django.views.generic import TemplateView\n")
        file.write(blocks["urls.py"])
        file.write('urlpatterns += [path("", TemplateView.as_view(template_name="page.html"))]\n')
    with (site / "mysite" / "asgi.py").open("a") as file:
        file.write(blocks["asgi.py"])
    (site / "pages" / "templates").mkdir()
    (site / "pages" / "templates" / "page.html").write_text(blocks["templates/page.html"])
    (site / "pages" / "workflows.py").write_text(blocks["workflows.py"])
    run("manage.py", "migrate", "--verbosity", "0")
    run("manage.py", "check")
    run("manage.py", "shell", "-c", PROVIDER)
    output = run("manage.py", "ling", "hello", '{"question": "Can I lie on a cloud?"}')
    assert json.loads(output.splitlines()[-1])["done"]["status"] == "finished"
    streamed = json.loads(run("-c", ASGI).splitlines()[-1])
    assert streamed["page"] == 200 and "lingstream/" in streamed["script"]
    assert streamed["document"]["answer"] == streamed["document"]["details_cn"] == "No."


PROVIDER = """
from lingstream.models import Provider
Provider.objects.create(name="default", kind="scripted", options={"script": "no", "rate": 0})
open("pages/scripts.py", "w").write('''
import json
from lingstream.providers.scripted import script
@script("no")
def answer(messages, options):
    key = "details_cn" if "Chinese" in messages[0]["content"] else "answer"
    return json.dumps({key: "No."})
''')
"""

# The page and a stream, through the site's own ASGI application.
ASGI = """
import asyncio, json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
from mysite.asgi import application
from asgiref.testing import ApplicationCommunicator

async def call(method, path, body=b"", **headers):
    pairs = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs}
    scope |= {"query_string": b"", "http_version": "1.1"}
    app = ApplicationCommunicator(application, scope)
    await app.send_input({"type": "http.request", "body": body})
    start = await app.receive_output(20)
    content = b""
    while True:
        part = await app.receive_output(20)
        content += part.get("body", b"")
        if not part.get("more_body"):
            return start["status"], content.decode()

async def main():
    status, page = await call("GET", "/")
    body = json.dumps({"input": {"question": "x"}}).encode()
    _, lines = await call("POST", "/ling/workflows/hello/runs/", body, accept="application/jsonl")
    from lingstream.core.document.ops import fold, from_wire
    document = None
    for line in lines.splitlines():
        item = json.loads(line) if line else {}
        if "uri" in item and "event" not in item:
            document = fold(document, from_wire(item))
    print(json.dumps({"page": status, "script": page, "document": document}))

asyncio.run(main())
"""
