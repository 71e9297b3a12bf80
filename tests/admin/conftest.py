"""What all tests of the admin share: a kind of steps with options of every type."""

from __future__ import annotations

import pytest

from lingstream.core.engine import kinds
from tests.outside.letter import Letter


@pytest.fixture(autouse=True)
def _letter() -> None:
    kinds.register_kind(Letter())
