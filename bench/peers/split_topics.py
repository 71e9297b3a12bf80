"""Splits the topics of Python's manual, in its own interpreter: ``split_topics.py lingstream|llamaindex``.

Prints one JSON object: passages, and the CPU seconds of the best of five rounds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

SIZE = 1_200  # characters, or as many tokens as these are


def lingstream() -> Callable[[str], list[object]]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from lingstream.knowledge.text.split import split

    return lambda text: split(text, SIZE)


def llamaindex() -> Callable[[str], list[object]]:
    from llama_index.core.node_parser import SentenceSplitter

    return SentenceSplitter(chunk_size=SIZE // 4, chunk_overlap=0).split_text


def main(name: str) -> None:
    split = {"lingstream": lingstream, "llamaindex": llamaindex}[name]()
    texts = [text if isinstance(text, str) else "\n".join(text) for text in topics.values()]
    rounds = []
    for _ in range(5):
        began = time.process_time()
        pieces = sum(len(split(text)) for text in texts)
        rounds.append(time.process_time() - began)
    print(json.dumps({"pieces": pieces, "cpu": min(rounds)}))


if __name__ == "__main__":
    main(sys.argv[1])
