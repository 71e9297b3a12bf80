"""``make soak SUITES=fuzz``: what models, model servers and clients send, mutated, through all that reads it.

Targets: ``json``, ``schema``, ``html`` and ``text`` are the parsers, of which no cut may change what comes
out; ``decoder`` is what :mod:`tests.fuzz_decoder` says; ``message`` is what a client may send over the socket
and to ``/ling/events/``, which is read or refused by a typed error that can be sent. What breaks a rule is
made as short as it goes and kept in ``tests/cases/fuzz``, which ``tests/test_fuzz.py`` reads each time::

    python tests/fuzz.py --seconds 1200 --seed 7
    python tests/fuzz.py --only html message
    python tests/fuzz.py tests/cases/fuzz/html-1f2e.json      # once more
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django  # noqa: E402

django.setup()

from lingstream.access.faults import told  # noqa: E402
from lingstream.core.exceptions import LingError, ParseLimitError, UsageError  # noqa: E402
from lingstream.core.parsing import TextParser  # noqa: E402
from lingstream.core.wire.json import dumps, loads  # noqa: E402
from lingstream.core.wire.socket import ref_of  # noqa: E402
from lingstream.execution.start import Start  # noqa: E402
from lingstream.transports.asked import Feed  # noqa: E402
from lingstream.transports.attached import Attach  # noqa: E402
from tests import fuzz_decoder  # noqa: E402
from tests.core.parsing import support, test_html, test_schema  # noqa: E402
from tests.providers.test_dialects import CASES, bytes_of  # noqa: E402

CORPUS = ROOT / "tests" / "cases" / "fuzz"
SECONDS_PER_MEGABYTE = 60.0  # character by character, looking at the value after each: far from quadratic

Cuts: TypeAlias = list[list[str]]


class Case(NamedTuple):
    """One input.

    :param text: what is read; of a decoder, its bytes as Latin-1.
    :param extra: of ``schema`` the name of one in ``test_schema.CASES``, of ``decoder`` the API.
    """

    target: str
    text: str
    extra: str = ""


# -- what each target has to hold ------------------------------------------------------------------


def check(case: Case, dice: random.Random) -> None:
    """Read one input.

    :raises AssertionError: a rule is broken; any other error is one too.
    """
    begun = time.process_time()
    _CHECKS[case.target](case, dice)
    took = time.process_time() - begun
    assert took < 1 + SECONDS_PER_MEGABYTE * len(case.text) / 1e6, f"{took:.1f} s for {len(case.text)}"


def _check_cuts(case: Case, dice: random.Random, read: Callable[[list[str]], Any]) -> None:
    whole = _outcome(read, [case.text])
    for pieces in _cuts(case.text, dice):
        assert _outcome(read, pieces) == whole, pieces


def _outcome(read: Callable[[list[str]], Any], pieces: list[str]) -> Any:
    try:
        return read(pieces)
    except ParseLimitError as error:
        return error.code


def _cuts(text: str, dice: random.Random) -> Iterator[list[str]]:
    yield list(text)
    for longest in (2, 5, 20):
        pieces, at = [], 0
        while at < len(text):
            end = at + dice.randint(0, longest)
            pieces.append(text[at:end])
            at = end
        yield pieces


def _check_json(case: Case, dice: random.Random) -> None:
    _check_cuts(case, dice, lambda pieces: support.parse(pieces).told)


def _check_schema(case: Case, dice: random.Random) -> None:
    schema = test_schema.CASES[case.extra][0]
    _check_cuts(case, dice, lambda pieces: test_schema.parse(pieces, schema))


def _check_html(case: Case, dice: random.Random) -> None:
    _check_cuts(case, dice, test_html.parse)


def _check_text(case: Case, dice: random.Random) -> None:
    _check_cuts(case, dice, lambda pieces: support.parse(pieces, TextParser).told)  # type: ignore[arg-type]


def _check_decoder(case: Case, dice: random.Random) -> None:
    fuzz_decoder.check(case.extra, case.text.encode("latin-1"), dice)


def _check_message(case: Case, dice: random.Random) -> None:
    """Whatever comes is read, or refused by an error that can be sent; so are the parts of a feed."""
    dumps(ref_of(case.text))
    try:
        data = loads(case.text)
    except UsageError as error:
        dumps(told(error))
        return
    readers: list[Callable[[Any], Any]] = [Feed.from_json, Start.from_json, Attach.from_json]
    for read in readers:
        try:
            found = read(data)
        except LingError as error:
            assert isinstance(error, UsageError) and not error.retryable, error
            dumps(told(error))
        else:
            if isinstance(found, Feed):
                _check_feed(found, data)


def _check_feed(feed: Feed, data: dict[str, Any]) -> None:
    dumps(feed.refused)
    assert all("error" in each for each in feed.refused)
    followed = {asked.run for asked in feed.runs}
    assert len(followed) == len(feed.runs)
    for refused in feed.refused:  # a refusal that names a run ends it for the client
        assert refused.get("run") not in followed
    given = len(data.get("runs", [])) + len(data.get("attach", []))
    assert len(feed.runs) + len(feed.attach) + len(feed.refused) <= given


_CHECKS: dict[str, Callable[[Case, random.Random], None]] = {
    "json": _check_json,
    "schema": _check_schema,
    "html": _check_html,
    "text": _check_text,
    "decoder": _check_decoder,
    "message": _check_message,
}
TARGETS = tuple(_CHECKS)

# -- what is read ----------------------------------------------------------------------------------

_NAMES = ("repair", "repair_kinds", "repair_more")
_JSON = [case["input"] for name in _NAMES for case in support.repair_cases(name)]
_RUN = "6f1c1f7e-3b5e-4a3c-9f5e-0d7a2a8f4b11"
_MESSAGES = [
    json.dumps(message)
    for message in (
        {"type": "start", "ref": 1, "workflow": "w", "input": {"question": "hi"}, "key": "k", "ack": True},
        {"type": "start", "workflow": "w", "input": None, "conversation": "new"},
        {"type": "subscribe", "run": _RUN, "after": "1-4", "token": "t", "ack": True},
        {"type": "unsubscribe", "run": _RUN},
        {"type": "cancel", "run": _RUN, "token": "t"},
        {"type": "ack", "run": _RUN, "id": "1-42"},
        {"type": "attach", "conversation": _RUN, "seq": 3},
        {"type": "attach", "all": True},
        {"type": "detach", "conversation": _RUN},
        {"type": "typing", "conversation": _RUN},
        {"type": "hello", "visitor": "v"},
        {"ref": "r", "type": "ping"},
        {"runs": [{"run": _RUN, "after": "1-4+2", "token": "t"}, {"run": "x"}, {"run": "x"}], "wait": 20},
        {"runs": [{"run": _RUN}], "attach": [{"conversation": _RUN, "seq": 0}], "all": False},
        {"attach": [{"conversation": "a"}, {"conversation": "a"}, {}], "all": True, "wait": 0.5},
    )
]
SEEDS: dict[str, list[Case]] = {
    "json": [Case("json", text) for text in _JSON],
    "schema": [Case("schema", row[1], name) for name, row in test_schema.CASES.items()],
    "html": [
        Case("html", text)
        for text in (
            *(row[0] for row in test_html.TREES.values()),
            *(row[0] for row in test_html.AROUND.values()),
            *(row[0] for row in test_html.CODE.values()),
            *(row[0] for row in test_html.DRAFTS.values()),
            *(attack["html"] for attack in test_html.ATTACKS),
        )
    ],
    "text": [
        Case("text", text) for text in ("<think>Hm</think>\nYes", "plain", "Hm\n</think>\nYes", *_JSON[:20])
    ],
    "decoder": [
        Case("decoder", bytes_of(case).decode("latin-1"), api)
        for case in CASES.values()
        for api in fuzz_decoder.DECODERS
    ],
    "message": [Case("message", text) for text in _MESSAGES],
}
_PIECES: dict[str, list[str]] = json.loads((ROOT / "tests" / "cases" / "fuzz_pieces.json").read_text("utf-8"))
_PIECES |= {"schema": _PIECES["json"], "text": _PIECES["json"]}
_LONGEST = 2_000


def mutations(target: str, dice: random.Random) -> Iterator[Case]:
    """Yield inputs of one target for ever."""
    seeds = SEEDS[target]
    while True:
        case = dice.choice(seeds)
        text = case.text
        for _ in range(dice.randrange(1, 6)):
            text = _mutated(case._replace(text=text), dice.choice(seeds).text, dice)
        yield case._replace(text=text[: _LONGEST * (10 if target == "decoder" else 1)])


def _mutated(case: Case, other: str, dice: random.Random) -> str:
    text = case.text
    if case.target == "decoder":
        known = [other.encode("latin-1")]
        return fuzz_decoder.mutated(text.encode("latin-1"), known, dice).decode("latin-1")
    start, end = sorted((dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)))
    pieces = _PIECES[case.target]
    match dice.randrange(7):
        case 0:
            return text[:start] + text[min(end, start + dice.randrange(1, 12)) :]
        case 1 | 2:
            return text[:start] + dice.choice(pieces) + text[start:]
        case 3:
            return text[:end] + text[start:]
        case 4:
            return text[:start] + dice.choice(pieces) + text[start + 1 :]
        case 5:
            return text[:start] + other[dice.randrange(len(other) + 1) :]
        case _:
            return _swapped(text, dice) if case.target == "message" else text[:end]


def _swapped(text: str, dice: random.Random) -> str:
    """A message in which one value has become something else."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    places = [
        (box, key)
        for box in fuzz_decoder.boxes(data)
        for key in (box if isinstance(box, dict) else range(len(box)))
    ]
    if places:
        box, key = dice.choice(places)
        odd: list[Any] = [
            None,
            True,
            0,
            -1,
            1e99,
            "",
            "x" * 600,
            "\x00",
            "\ud83d",
            [],
            {},
            [[]],
            {"run": "x"},
            2**70,
        ]
        box[key] = dice.choice(odd)
    return json.dumps(data)


# -- findings --------------------------------------------------------------------------------------


def stored() -> dict[str, Case]:
    """What was found once, by name."""
    return {path.stem: _load(path) for path in sorted(CORPUS.glob("*.json"))}


def _load(path: Path) -> Case:
    return Case(**json.loads(path.read_text("utf-8")))


def _keep(case: Case) -> Path:
    small = minimised(case, lambda each: _fails(each))
    CORPUS.mkdir(parents=True, exist_ok=True)
    path = CORPUS / f"{case.target}-{crc32(small.text.encode('utf-8', 'surrogatepass')):08x}.json"
    path.write_text(json.dumps(small._asdict()) + "\n", "utf-8")
    return path


def _fails(case: Case) -> bool:
    try:
        check(case, random.Random(0))
    except Exception:
        return True
    return False


def minimised(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a shorter input that fails too: pieces are left out, ever smaller ones."""
    size = len(case.text) // 2
    while size:
        at = 0
        while at < len(case.text):
            shorter = case._replace(text=case.text[:at] + case.text[at + size :])
            if fails(shorter):
                case = shorter
            else:
                at += size
        size //= 2
    return case


def main() -> int:
    parser = argparse.ArgumentParser(description="mutate what models, model servers and clients send")
    parser.add_argument("cases", nargs="*", type=Path, help="look at these only")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=1200, help="of CPU time")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    asked = parser.parse_args()
    for path in asked.cases:
        check(_load(path), random.Random(0))
    if asked.cases:
        return 0
    print(f"seed {asked.seed}", flush=True)
    dice = random.Random(asked.seed)
    sources = [mutations(target, dice) for target in asked.only]
    counts: Counter[str] = Counter()
    found: set[Path] = set()
    end = time.process_time() + asked.seconds
    while time.process_time() < end and len(found) < 20:
        for source in sources:
            case = next(source)
            counts[case.target] += 1
            try:
                check(case, dice)
            except Exception as error:
                path = _keep(case)
                if path not in found:
                    print(f"{case.target} {counts[case.target]}: {path}: {error!r:.300}", flush=True)
                found.add(path)
    print(f"{dict(counts)}: {len(found)} findings in {time.process_time():.0f} s of CPU")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
