"""docs/howto.md: its blocks, put where they say that they belong, make a site that does what the page says.

Everything goes through a fresh project in processes of its own, as a reader would have it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "howto.md").read_text(encoding="utf-8")
BLOCKS = [
    (path, code)
    for path, code in re.findall(
        r"```(?:python|html|js)\n(?:# |<!-- |// )([\w./]+?)(?: -->)?\n(.*?)```", PAGE, re.DOTALL
    )
]
# What the page takes for granted, as the README says it.
INSTALLED = 'INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "channels", "lingstream", "shop"]\n'
SERVED = 'ASGI_APPLICATION = "mysite.asgi.application"\nSTATIC_ROOT = BASE_DIR / "static_root"\n'
# About what docs/operations.md has: on a busy machine five seconds are not enough for a lock.
DATABASE = 'DATABASES["default"]["OPTIONS"] = {"timeout": 10, "transaction_mode": "IMMEDIATE"}\n'
URLS = 'from django.urls import include\nurlpatterns += [path("ling/", include("lingstream.urls"))]\n'
CONSUMER = """
from channels.generic.websocket import AsyncWebsocketConsumer


class Stock(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data="stock of " + text_data)
"""


class Project:
    """A fresh Django project with the page's blocks in their files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        unwanted = ("DJANGO", "LINGSTREAM", "PYTEST", "WEB_CONCURRENCY")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        self._environment["PYTHONPATH"] = str(ROOT)
        self.run("-m", "django", "startproject", "mysite", ".")
        self.run("manage.py", "startapp", "shop")
        self.append("mysite/settings.py", INSTALLED + SERVED + DATABASE)
        self.append("mysite/urls.py", URLS)
        self.append("shop/consumers.py", CONSUMER)
        (folder / "mysite/asgi.py").unlink()
        (folder / "shop/tests.py").unlink()
        for path, code in BLOCKS:
            self.append(path, code)

    def append(self, path: str, code: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(code + "\n\n")

    def run(self, *command: str) -> tuple[str, str]:
        """Run Python in the project; return what it said on each stream."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("howto"))


def test_every_block_of_code_says_where_it_belongs() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```(?:python|html|js)$", PAGE, re.MULTILINE))
    assert len({path for path, _ in BLOCKS}) >= 8


def test_the_site_passes_the_checks(project: Project) -> None:
    assert re.findall(r"lingstream\.[EW]\d+", "".join(project.run("manage.py", "check"))) == []


def test_the_pages_test_passes(project: Project) -> None:
    _, output = project.run("-W", "error", "manage.py", "test", "--noinput")
    assert re.search(r"^Ran 1 test", output, re.MULTILINE)
    assert re.search(r"^OK$", output, re.MULTILINE)


def test_modules_are_hashed_and_lie_below_the_prefix(project: Project) -> None:
    project.run("manage.py", "collectstatic", "--noinput", "--verbosity", "0")
    (index,) = (project.folder / "static_root/lingstream").glob("index.*.js")
    imported = re.findall(r'from "\./([\w.]+)"', index.read_text())
    assert imported
    assert all(re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name) for name in imported)
    tag = json.loads(project.run("-c", SCRIPT_TAG)[0])
    (bundle,) = (project.folder / "static_root/lingstream").glob("lingstream.min.*.js")
    assert f'src="/app/static/lingstream/{bundle.name}"' in tag
    assert 'data-base="/app/ling/"' in tag and 'data-socket="/app/ws/ling/"' in tag


def test_the_site_does_what_the_page_says(project: Project) -> None:
    project.run("manage.py", "migrate", "--verbosity", "0")
    told = json.loads(project.run("-c", VISIT)[0])
    assert told["stranger"] == [403, "forbidden"]
    assert told["refused"][0] == 429 and "up to 200000 tokens a day" in told["refused"][1]
    assert told["stock"] == "stock of pens"
    assert told["ling"] == {"type": "pong"}
    assert told["unknown"] is False
    assert told["shown"] == {"ann": True, "nobody": False}
    thoughts = [item["data"] for item in told["riddle"] if item.get("event") == "reasoning"]
    assert "".join(thoughts) == "A piano?"
    assert told["prefix kept"] == told["prefix taken off"] == 202
    assert told["versions"] == ["haggle v1", "haggle v2", "haggle v1", "haggle v1"] * 2
    assert told["outcome"] == [
        {"prompt_version": "haggle v1", "runs": 6, "failed": 0},
        {"prompt_version": "haggle v2", "runs": 2, "failed": 0},
    ]
    since, *messages = told["remembered"]
    assert re.fullmatch(r"A customer since \d{4}\.", since)
    assert messages == [*(text for number in range(1, 6) for text in (f"q{number}", "Yes.")), "q6"]


# The page without a manifest would be refused; collectstatic has run.
SCRIPT_TAG = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
import django
from django.conf import settings
settings.DEBUG = False
django.setup()
from django.template import engines
template = engines["django"].from_string("{% load lingstream %}{% lingstream_script %}")
print(json.dumps(template.render({})))
"""

# Visitors of the site, through its own ASGI application.
VISIT = """
import asyncio, json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
from mysite.asgi import application
from asgiref.testing import ApplicationCommunicator
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
import lingstream
from lingstream.models import BotRun, Prompt, PromptLabel, PromptVersion, Provider, Run, Step, Workflow
from shop.reports import outcome

ANSWERS = {"Solve": "<think>A piano?</think>" + json.dumps({"answer": "A piano."})}
ANSWERS |= {"Answer, as JSON": json.dumps({"answer": "Yes."}), "Haggle": "{}"}
Provider.objects.create(name="default", kind="scripted", options={"answers": ANSWERS, "rate": 0})
ann = User.objects.create_user("ann")
ann.user_permissions.add(Permission.objects.get(codename="start_workflow"))
prompt = Prompt.objects.create(slug="haggle")
for name in ("production", "candidate"):
    version = PromptVersion.objects.create(prompt=prompt, text="Haggle, " + name)
    PromptLabel.objects.create(prompt=prompt, name=name, version=version)
haggle = Workflow.objects.create(slug="haggle")
Step.objects.create(workflow=haggle, name="haggle", prompt=prompt, input="{{ input }}")
browser = Client()
browser.force_login(ann)
cookie = "sessionid=" + browser.cookies["sessionid"].value + "; csrftoken=" + "c" * 32
HEADERS = {"cookie": cookie, "x-csrftoken": "c" * 32}

async def post(slug, prefix="/app", **headers):
    pairs = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    path = prefix + "/ling/workflows/" + slug + "/runs/"
    scope = {"type": "http", "method": "POST", "path": path, "headers": pairs}
    scope |= {"query_string": b"", "http_version": "1.1"}
    app = ApplicationCommunicator(application, scope)
    await app.send_input({"type": "http.request", "body": b'{"input": {"riddle": "?", "question": "?"}}'})
    start = await app.receive_output(20)
    content = b""
    while True:
        part = await app.receive_output(20)
        content += part.get("body", b"")
        if not part.get("more_body"):
            return start["status"], content.decode()

async def socket(path, text):
    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost")]
    call = WebsocketCommunicator(application, path, headers)
    connected, _ = await call.connect(20)
    if not connected:
        return False
    await call.send_to(text_data=text)
    answer = await call.receive_from(20)
    await call.disconnect()
    return answer

async def ended(run):
    async with asyncio.timeout(60):
        while not run.finished_at:
            await asyncio.sleep(0.02)
            await run.arefresh_from_db()
    return run

def shown(user):
    request = RequestFactory().get("/")
    request.user = user
    return "<ling-stream" in render_to_string("advice.html", request=request)

async def main():
    told = {}
    status, body = await post("advice")
    told["stranger"] = [status, json.loads(body)["error"]["code"]]
    _, lines = await post("riddle", accept="application/jsonl", **HEADERS)
    told["riddle"] = [json.loads(line) for line in lines.splitlines() if line]
    told["prefix kept"], _ = await post("riddle", "/app", **HEADERS)
    told["prefix taken off"], _ = await post("riddle", "", **HEADERS)
    people = [ann] + [await User.objects.acreate_user("user" + str(number)) for number in range(3)]
    runs = [await ended(await lingstream.astart("haggle", "?", owner=user)) for user in people * 2]
    told["versions"] = [run.plan["steps"][0]["prompt_version"] for run in runs]
    told["outcome"] = await asyncio.to_thread(outcome, "haggle")
    talk = "new"
    for number in range(7):
        question = {"question": "q" + str(number)}
        run = await ended(await lingstream.astart("chat", question, owner=ann, conversation=talk))
        talk = str(run.conversation_id)
    bot = await BotRun.objects.aget(run=run)
    told["remembered"] = [message["content"] for message in bot.messages[1:]]
    ended_run = await Run.objects.aget(pk=told["riddle"][-1]["run"])
    ended_run.usage = {"total_tokens": 200_001}
    await ended_run.asave(update_fields=["usage"])
    told["refused"] = await post("riddle", **HEADERS)
    told["stock"] = await socket("/ws/stock/", "pens")
    told["ling"] = json.loads(await socket("/app/ws/ling/", '{"type": "ping"}'))
    told["unknown"] = await socket("/ws/nobody/", "x")
    told["shown"] = {"ann": await asyncio.to_thread(shown, ann), "nobody": shown(AnonymousUser())}
    print(json.dumps(told), flush=True)

asyncio.run(main())
"""
