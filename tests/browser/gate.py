"""A model that a test holds in the midst of its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

__all__ = ["Gate", "closed_gates", "gates"]


class Gate:
    """Holds a model in the midst of its answer, until the test opens it."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def wait(self) -> None:
        while not self._open.is_set():
            await asyncio.sleep(0.01)  # it is opened by another thread


gates: dict[str, Gate] = {}
"""Those of a test, by what was asked."""


@pytest.fixture(autouse=True)
def closed_gates() -> Iterator[None]:
    """For each test of a module that imports it: none is open before, and none is shut after."""
    gates.clear()
    yield
    for gate in gates.values():
        gate.open()
