"""What of a whole text is new: the bounds. What servers send is in the table of dialects."""

import time

from lingstream.providers.openai.wholes import MOST_PLACES, WholeTexts


def test_deltas_of_more_places_than_are_kept_are_known() -> None:
    texts = WholeTexts(10**6)
    for number in range(MOST_PLACES + 1000):
        texts.add(number, "word ")
    whole = "word " * (MOST_PLACES + 1000)
    assert texts.rest(-1, whole + "!", "text") == "!"
    assert texts.rest(-2, whole + "!", "part") == ""
    assert len(texts._shown) == MOST_PLACES


def test_past_its_bound_no_whole_text_is_taken_or_kept() -> None:
    texts = WholeTexts(10)
    for _ in range(1000):
        texts.add(0, "0123456")
    assert texts.rest(1, "more", "text") == ""
    assert "".join(texts._since) == "0123456"


def test_many_whole_texts_behind_a_long_one_take_no_longer_for_its_length() -> None:
    def seconds(before: str) -> float:
        texts = WholeTexts(10**8)
        texts.add(0, before)
        begun = time.process_time()
        for number in range(5000):
            texts.add(0, "x")
            texts.rest(number % 2, "y", "text")
        return time.process_time() - begun

    assert seconds("word " * 2_000_000) < 20 * seconds("word ") + 0.5
