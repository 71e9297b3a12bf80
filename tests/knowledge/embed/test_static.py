"""Vectors without a server: what is true of each, and that nobody is asked for anything."""

from __future__ import annotations

import asyncio
import math
import struct
import subprocess
import sys
import time
from operator import mul
from pathlib import Path

import pytest

from lingstream.core.exceptions import ConfigurationError, UsageError
from lingstream.knowledge.embed import EmbeddingPlan, build_embedding
from lingstream.knowledge.embed.static import SLICE, _model

ROOT = Path(__file__).parents[3]


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


async def embed(*texts: str, **options: object) -> list[bytes]:
    return await build_embedding(EmbeddingPlan("static", **options)).embed(texts, "passage")  # type: ignore[arg-type]


@pytest.mark.parametrize("dimensions", [None, 64, 128, 256])
async def test_vectors_are_of_unit_length(dimensions: int | None) -> None:
    made = build_embedding(EmbeddingPlan("static", dimensions=dimensions))
    for vector in await made.embed(
        ["The cloud is light.", "云朵很轻", "a\0b\ud800c", "x" * 5_000], "passage"
    ):
        assert len(numbers(vector)) == made.dimensions == (dimensions or 256)
        assert math.hypot(*numbers(vector)) == pytest.approx(1, abs=1e-6)


async def test_what_says_the_same_is_alike() -> None:
    cat, kitten, contract = map(
        numbers, await embed("A cat sleeps.", "The kitten is asleep.", "The contract ends in May.")
    )
    assert sum(map(mul, cat, kitten)) > sum(map(mul, cat, contract)) + 0.2


async def test_a_vector_depends_on_its_text_alone() -> None:
    """Not on what is beside it, on the order, on the thread or the time."""
    texts = [f"Passage {number} is about clouds." for number in range(100)]
    together = await embed(*texts)
    apart = await asyncio.gather(*(embed(text) for text in reversed(texts)))
    assert [vector for (vector,) in apart][::-1] == together


async def test_nothing_is_like_nothing() -> None:
    assert await embed("") == [bytes(4 * 256)]
    assert await embed() == []


async def test_a_prefix_is_a_part_of_the_text() -> None:
    plan = EmbeddingPlan("static", query_prefix="query: ", passage_prefix="passage: ")
    made = build_embedding(plan)
    assert await made.embed(["x"], "query") == await embed("query: x")
    assert await made.embed(["x"], "passage") == await embed("passage: x")


async def test_a_long_text_is_summed_in_parts() -> None:
    text = "the cloud is light and " * 2_000
    model = _model()
    tokens = model.tokenizer.encode(text[:40_000], add_special_tokens=False).ids
    assert len(tokens) > SLICE
    total = model.vectors[tokens].sum(axis=0, dtype="float64")
    (vector,) = await embed(text)
    assert numbers(vector) == pytest.approx(tuple(total / model.np.linalg.norm(total)), abs=1e-6)


async def test_a_megabyte_without_spaces_takes_no_long_time() -> None:
    begin = time.process_time()
    await embed("x" * 1_000_000)
    assert time.process_time() - begin < 5


async def test_the_model_is_loaded_once_whoever_asks() -> None:
    models = await asyncio.gather(*(asyncio.to_thread(_model) for _ in range(8)))
    assert all(model is models[0] for model in models)


def test_nobody_is_asked_for_anything_and_the_package_itself_is_not_imported() -> None:
    """Its import sets up logging for the whole process, and its loader downloads."""
    script = f"""
import asyncio, logging, sys
sys.path.insert(0, {str(ROOT)!r})
from lingstream.knowledge.embed import EmbeddingPlan, build_embedding

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        raise PermissionError(event)

sys.addaudithook(refuse)
made = build_embedding(EmbeddingPlan("static"))
assert len(asyncio.run(made.embed(["x"], "query"))[0]) == 1024
assert "wordllama" not in sys.modules and "django" not in sys.modules
assert not logging.getLogger().handlers
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=False, env={}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["numpy", "safetensors", "tokenizers", "wordllama"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"need {package}: pip install 'lingstream\[know") as caught:
        build_embedding(EmbeddingPlan("static"))
    assert caught.value.code == "package-missing"


def test_dimensions_that_the_vectors_cannot_have_are_refused() -> None:
    with pytest.raises(UsageError, match=r"expected dimensions among \(64, 128, 256\), got 100"):
        build_embedding(EmbeddingPlan("static", dimensions=100))
