"""Viewers of real servers: long documents, many streams, any process of several."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .harness import Cluster, reply


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_document_longer_than_a_message_may_be_reaches_a_socket(
    embedded: Cluster, server: str
) -> None:
    """daphne drops the connection over a message of more than 1 MiB: for ever, as each snapshot is one."""
    document: dict[str, Any] = {"answer": "云 is water. " * 110_000, "list": ["x" * 100] * 3_000}
    embedded.says(ANSWER=reply(json.dumps(document, ensure_ascii=False), chunk=20_000))
    (web,) = await embedded.web(server)
    first = await embedded.watch(web, "text")
    await embedded.agree(document, first)
    late = await embedded.viewer(first).connect(web)
    await embedded.agree(document, late)
    assert len(late.frames) > 3 and late.frames[0].id.part
