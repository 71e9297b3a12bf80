"""The demo's pages, and the admin beside them, in the language of their reader."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.test import Client
from lxml import html

from lingstream.models import Workflow

PAGES = ["/", "/docs/", "/docs/client.md", "/ling/chat/companion/", "/ling/chat/docs-chat/"]
NAMES = {"JavaScript", "Markdown", "SSE", "WebSocket", "English", "lingstream", "client", "md"}
"""What is called alike in Chinese."""
READ = "//text()[not(ancestor::script or ancestor::code or ancestor::*[@lang = 'en' and not(self::html)])]"
NAMED = " | ".join(
    f"//@{name}" for name in ("aria-label", "placeholder", "title", "data-figures", "data-lanes")
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _demo(db: None) -> None:
    call_command("demo", verbosity=0)


def read(page: html.HtmlElement) -> Iterator[str]:
    """What a page says to people, in sight and out of it."""
    yield from (str(text).strip() for text in page.xpath(f"{READ} | {NAMED}"))


def opened(client: Client, path: str, language: str = "") -> html.HtmlElement:
    return html.fromstring(client.get(path, headers={"accept-language": language}).content.decode())


@pytest.mark.parametrize("path", PAGES)
def test_no_english_is_left_in_chinese(client: Client, path: str) -> None:
    page = opened(client, path, "zh-CN,zh;q=0.9,en;q=0.8")
    assert page.get("lang") == "zh-hans"
    left = [text for text in read(page) if set(re.findall(r"(?<!{)\b[A-Za-z]{2,}", text)) - NAMES]
    assert left == []


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["", "en-GB", "de"])
def test_everybody_else_reads_english(client: Client, path: str, language: str) -> None:
    page = opened(client, path, language)
    assert page.get("lang") == "en"
    assert {text for text in read(page) if re.search(r"[\u4e00-\u9fff]", text)} <= {"简体中文"}


@pytest.mark.parametrize(
    "name", ["%00.md", f"{'a' * 300}.md", "..%2fREADME.md", "%ff.md", "client", "%ed%a0%80.md", "a/" * 3_000]
)
def test_a_page_that_there_is_not_is_not_found(client: Client, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404


def test_where_nothing_can_be_asked_the_page_says_how_to_begin(client: Client) -> None:
    def says(page: html.HtmlElement) -> str:
        return " ".join(read(page))

    page = opened(client, "/")
    assert len(page.xpath("//section[@class='workflow']")) == 4 and not page.find_class("notice")[1:]
    Workflow.objects.filter(slug="outline").delete()
    page = opened(client, "/")
    assert not page.xpath("//*[@id='outline'] | //a[@href='#outline']")
    Workflow.objects.all().delete()
    Workflow.objects.create(slug="of-my-own")
    page = opened(client, "/")
    assert not page.xpath("//section[@class='workflow'] | //nav/a[starts-with(@href, '#')]")
    (_noscript, notice) = page.find_class("notice")
    assert "createsuperuser" in notice.text_content() and "There is nothing to ask here yet." in says(page)
    assert notice.xpath("a/@href") == ["/admin/lingstream/"]


def test_a_form_chooses_the_language_of_the_demo_and_the_admin() -> None:
    client = Client(enforce_csrf_checks=True)
    for language, name, word, title in [
        ("zh-hans", "简体中文", "提问", "登录"),
        ("en", "English", "Ask", "Log in"),
    ]:
        (form,) = opened(client, "/docs/?from=here").find_class("languages")
        assert dict(form.form_values()).keys() == {"csrfmiddlewaretoken", "next"}
        (button,) = form.xpath(f"button[. = '{name}']")
        answer = client.post(form.action, {**dict(form.form_values()), "language": button.get("value")})
        assert (answer.status_code, answer["location"]) == (302, "/docs/?from=here")
        page = opened(client, "/docs/")
        assert page.get("lang") == language and word in read(page)
        assert page.xpath("//button[@aria-current]/text()") == [name]
        assert any(text.startswith(title) for text in read(opened(client, "/admin/login/")))
