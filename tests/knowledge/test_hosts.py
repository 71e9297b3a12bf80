"""Which hosts are believed when they say that their documents have changed."""

from __future__ import annotations

import pytest

from lingstream.knowledge.hosts import HostDates, host_of

HOST = "https://a.example"

# What was known (wrong, right); how often a document that is as before was said to have changed, and to have
# not; what is known then, and whether the host is believed.
CASES: dict[str, tuple[tuple[int, int] | None, int, int, tuple[int, int] | None, bool]] = {
    "nothing": (None, 0, 0, None, True),
    "four wrong ones": (None, 4, 0, (4, 0), True),
    "five": (None, 5, 0, (5, 0), False),
    "and a right one": (None, 5, 1, (5, 1), True),
    "nine times as many wrong ones": (None, 9, 1, (9, 1), False),
    "not quite": (None, 17, 2, (17, 2), True),
    "over several passes": ((3, 0), 2, 0, (5, 0), False),
    "mended": ((5, 0), 0, 1, (5, 1), True),
    "a hundred are remembered": ((100, 0), 0, 25, (80, 20), True),
    "what is long ago counts for less": ((90, 10), 100, 0, (95, 5), False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_host_is_believed(case: str) -> None:
    known, wrong, right, then, is_believed = CASES[case]
    dates = HostDates({"a.example": known} if known else None)
    for number, changed in enumerate([True] * wrong + [False] * right):
        dates.hear(str(number), f"{HOST}/{number}", changed)
        dates.judge(str(number), False)
    learned = dates.learned()
    assert (learned and {host: tuple(told) for host, told in learned.items()}) == (
        {"a.example": then} if then else None
    )
    assert dates.distrusted == ([] if is_believed else ["a.example"])
    assert HostDates(learned).distrusted == dates.distrusted


def test_what_has_changed_judges_nobody_and_each_word_counts_once() -> None:
    dates = HostDates()
    dates.hear("changed", HOST, True)
    dates.judge("changed", True)
    dates.judge("changed", False)
    dates.judge("nobody has spoken of it", False)
    dates.hear("of no host", "file", True)
    dates.judge("of no host", False)
    assert dates.learned() is None
    dates.hear("changed", HOST, True)
    dates.judge("changed", False)
    assert dates.learned() == {"a.example": [1, 0]}
    assert dates.learned() is None  # nothing since


def test_twenty_hosts_are_remembered_those_judged_last() -> None:
    dates = HostDates({f"h{number}.example": (1, 1) for number in range(20)})
    for host in ("h0.example", "new.example"):
        dates.hear(host, f"https://{host}/", False)
        dates.judge(host, False)
    learned = dates.learned()
    assert learned is not None
    assert [*learned][-2:] == ["h0.example", "new.example"]
    assert len(learned) == 20 and "h1.example" not in learned


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://A.example:8443/b", "a.example"), ("file.md", ""), ("", ""), ("https://[", "")],
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host
