"""What people read, visitors and staff, in the languages that the wheel has: all of it, and compiled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polib
import pytest
from django.test import Client

from . import site as sites
from .catalogs import APPS, LANGUAGES, catalog_of, said_in

NAMED = re.compile(r"%\(\w+\)[a-z]|%[sd]")


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_translated_and_compiled(app: Path, language: str) -> None:
    path = catalog_of(app, language)
    written = {entry.msgid: entry for entry in polib.pofile(str(path))}
    assert written.keys() == said_in(app).keys(), "make messages"
    assert [text for text, entry in written.items() if not (entry.msgstr or entry.msgstr_plural.get(0))] == []
    compiled = {entry.msgid: entry for entry in polib.mofile(str(path.with_suffix(".mo")))}
    assert compiled == written, "make messages"


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_what_is_filled_in_is_named_alike(app: Path) -> None:
    for entry in polib.pofile(str(catalog_of(app, "zh_Hans"))):
        text = entry.msgstr or entry.msgstr_plural[0]
        assert sorted(NAMED.findall(text)) == sorted(NAMED.findall(entry.msgid_plural or entry.msgid)), text


@pytest.mark.django_db
def test_a_page_is_in_its_readers_language(client: Client, settings: Any) -> None:
    talk = sites.store_workflow("talk", {"answer": "A"})
    talk.name, talk.description = "Conversations", "Of <those> who read."  # one in a catalog, one in none
    talk.save()
    settings.LANGUAGES = [*settings.LANGUAGES, ("ar", "Arabic")]

    def page(language: str) -> str:
        return client.get("/ling/chat/talk/", headers={"accept-language": language}).content.decode()

    chinese = page("zh-CN")
    assert '<html lang="zh-hans" dir="ltr">' in chinese and 'placeholder="写一条消息"' in chinese
    assert '<p class="ling-lead">对话</p>' in chinese and "<p>Of &lt;those&gt; who read.</p>" in chinese
    assert '<html lang="ar" dir="rtl">' in page("ar")
