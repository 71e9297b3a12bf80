"""The words that are indexed and asked for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingstream.knowledge.text.words import (
    LONGEST_TOKEN,
    LONGEST_WORD,
    MOST_QUERY_WORDS,
    _forms,
    defining,
    query_words,
    words,
)

WORDS = {
    "English": ("The Stream's end: it stops.", "the stream s end it stop"),
    "plurals, which are their singulars": (
        "settings policies boxes classes matches",
        "setting policy box class match",
    ),
    "what only looks like a plural": ("access status redis css is", "access status redis css is"),
    "accents, width and ligatures": ("Cafés ＣＡＦＥ naïve Straße ﬁle", "cafe cafe naive strasse file"),
    "a capital that is two letters when it is small": ("İstanbul", "istanbul"),
    "Cyrillic": ("Ёжик йод", "ежик иод"),
    "Chinese, single and in pairs": ("云朵很轻", "云 云朵 朵 朵很 很 很轻 轻"),
    "one Chinese character": ("云", "云"),
    "Chinese beside Latin": ("用API调用", "用 api 调 调用 用"),
    "Japanese: kana in pairs only": ("雲は軽い", "雲 雲は は軽 軽 軽い"),
    "katakana, of half width too": ("クラウド ｸﾗｳﾄﾞ", "クラ ラウ ウド クラ ラウ ウド"),
    "Korean": ("구름은", "구 구름 름 름은 은"),
    "Hindi, with its vowel signs": ("हिन्दी में", "हिन्दी में"),
    "what stands for a whole phrase": ("a ﷺ b", "a b"),
    "numbers": ("3 apples, v1.2, sha256, x²", "3 apple v1 2 sha256 x2"),
    "snake case": ("PROVIDER_KEYS", "provider key providerkey"),
    "camel case": ("ProviderKeys onRunEnd", "provider key providerkey on run end onrunend"),
    "capitals before a word": (
        "getHTTPResponse OpenAIServer",
        "get http response gethttpresponse open ai server openaiserver",
    ),
    "a plural of capitals": ("URLs APIs", "url api"),
    "underscores around a name": ("__init__ _ ___", "init"),
    "paths and hyphens": ("lingstream.core data-ling-each a/b", "lingstream core data ling each a b"),
    "NUL and halves of characters": ("a\0b\ud800c\udfff", "a b c"),
    "nothing": (" \n—…!", ""),
}

QUERIES = {
    "without words that every text has": ("How do I set the PROVIDER_KEYS?", "set provider key providerkey"),
    "unless nothing else is left": ("what is it?", "what is it"),
    "each once": ("stream, Streams and streams", "stream"),
    "Chinese": ("怎么退款？", "怎 么退 退 退款 款"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("name", WORDS)
def test_words_of(name: str) -> None:
    text, expected = WORDS[name]
    assert words(text) == expected.split()


@pytest.mark.parametrize("name", QUERIES)
def test_a_question_is_asked(name: str) -> None:
    text, expected = QUERIES[name]
    assert query_words(text) == expected.split()


def test_an_identifier_is_found_whole_by_part_and_in_the_other_spelling() -> None:
    indexed = set(words("Set `STARTS_PER_IDENTITY` first."))
    for question in ("STARTS_PER_IDENTITY", "startsPerIdentity", "starts per identity", "startsperidentity"):
        assert set(query_words(question)) <= indexed


def test_of_a_long_question_the_longest_words_are_asked_for_in_its_order() -> None:
    long = [f"elephant{number}" for number in range(MOST_QUERY_WORDS)]
    assert query_words(" ".join(["ant", *long, "bee"])) == long


@pytest.mark.parametrize(
    ("question", "begin"),
    [
        ("What is a workflow?", "a workflow is a"),
        ("What's an OpenAI provider?", "an open ai openai provider is a"),
        ("What is lingstream?", "lingstream is a"),
        ("What are golden questions", "golden question is a"),
        ("Redis", "redis is a"),
    ],
)
def test_who_asks_for_one_thing_alone_asks_what_it_is(question: str, begin: str) -> None:
    assert begin in defining(question)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What is it?",
        "What is the price of tea in China?",
        "Is Redis needed by Django?",
        "什么是知识库？",
        "workflow " + "a " * 20,  # a phrase costs by the word
    ],
)
def test_who_asks_for_more_or_nothing_does_not(question: str) -> None:
    assert defining(question) == []


@pytest.mark.parametrize("question", ["workflow", "the workflow", "a workflow"])
def test_a_name_by_itself_is_no_heading(question: str) -> None:
    """All passages of what is called so have it."""
    assert question not in defining(question) != []


def test_a_long_word_is_cut_off_as_databases_refuse_it() -> None:
    assert words("x" * 5000) == ["x" * LONGEST_WORD]


def test_what_is_kept_of_tokens_is_bounded() -> None:
    given = [f"k{number}{'x' * (number % 300)}" for number in range(40_000)]
    assert words(" ".join(given)) == [token[:LONGEST_WORD] for token in given]
    assert 0 < len(_forms) <= 16_384
    assert max(map(len, _forms)) <= LONGEST_TOKEN


@settings(max_examples=300)
@given(st.text(st.characters(codec=None)))
def test_words_are_folded_letters_and_digits_whatever_the_text(text: str) -> None:
    for word in words(text):
        assert 0 < len(word) <= 2 * LONGEST_WORD
        assert not any(char.isspace() or char in "\0_\"'*" or "\ud800" <= char <= "\udfff" for char in word)


@given(st.text(), st.text())
def test_words_of_two_texts_are_those_of_each(one: str, other: str) -> None:
    assert words(f"{one}\n{other}") == words(one) + words(other)


@pytest.mark.parametrize(
    "piece",
    ["a", "云", "aB", "_", "a_", "\u0300\u0316", "e\u0301", "Hello World ", "\u0900", "ﷺ", "es", "ies"],
)
def test_a_megabyte_takes_time_for_a_megabyte(piece: str) -> None:
    """Sorting marks is quadratic in Python: this took an hour."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        begin = time.process_time()
        words(text)
        return time.process_time() - begin

    small = min(seconds(100_000) for _ in range(3))
    assert seconds(1_000_000) < 40 * max(small, 0.005)
