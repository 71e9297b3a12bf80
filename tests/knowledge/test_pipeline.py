"""What becomes of a document's text, in memory."""

from __future__ import annotations

from lingstream.knowledge.pipeline import Prepared, Rules, cut_anew
from lingstream.knowledge.sources.port import Failed
from lingstream.knowledge.text.split import MOST_PIECES


async def test_a_document_of_more_passages_than_are_kept_is_refused_and_not_cut_off() -> None:
    paragraphs = [f"{number:05}{' word' * 18}" for number in range(MOST_PIECES + 1)]
    rules = Rules(size=100)
    whole = await cut_anew(Prepared("\n\n".join(paragraphs[1:]) + "\n"), rules)
    assert isinstance(whole, Prepared) and (whole.status, len(whole.pieces)) == ("indexed", MOST_PIECES)
    refused = await cut_anew(Prepared("\n\n".join(paragraphs)), rules)
    assert refused == Failed("too-large", "expected up to 5,000 passages, got more")
