"""In which language a text is."""

from __future__ import annotations

import sys

import pytest

from lingstream.knowledge.text import language
from lingstream.knowledge.text.language import language_of

TEXTS = {
    "en": "A workflow is a set of steps that write into one shared document while the model still talks.",
    "de": "Die Ergebnisse werden gespeichert, sobald die Datenbank wieder erreichbar ist und antwortet.",
    "fr": "Les réponses du modèle arrivent pendant que la page est déjà affichée chez le visiteur.",
    "zh": "退款会在三个工作日内原路退回，请使用 API 查询。",
    "ja": "返金は三営業日以内に行われます。",
    "ko": "환불은 영업일 기준 3일 이내에 처리됩니다.",
}


@pytest.mark.parametrize("code", TEXTS)
def test_it_is_known(code: str) -> None:
    assert language_of(TEXTS[code]) == code


ENGLISH = "The rest of this page is about runs that are not yours, and about what you see of them by the way."


def test_plain_english_is_known_by_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_loaded", lambda: pytest.fail("py3langid is asked"))
    assert language_of(ENGLISH) == "en"


@pytest.mark.parametrize("code", ["de", "fr"])
def test_a_quotation_makes_no_text_english(code: str) -> None:
    assert language_of(f"{TEXTS[code] * 8}\n\n> {ENGLISH}") == code


def test_of_a_long_text_all_parts_count() -> None:
    code = "\n".join(f"INSTALLED_APPS += ['lingstream.part{number}']" for number in range(8))
    assert language_of(f"{code}\n\n{TEXTS['de'] * 30}") == "de"


@pytest.mark.parametrize(
    "text", ["", "ok", "1234 5678 9012 3456 7890 1234", "\0\ud800", "x1 y2 z3", "()[]{}" * 9]
)
def test_or_nothing_is_said(text: str) -> None:
    assert language_of(text) == ""


def test_without_the_package_only_what_the_script_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    language._identifier.cache_clear()
    try:
        assert [language_of(text) for text in TEXTS.values()] == ["", "", "", "zh", "ja", "ko"]
    finally:
        language._identifier.cache_clear()
