"""What all tests of the admin share: a kind of steps with options of every type."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import translation

from lingstream.core.engine import kinds
from tests.outside.letter import Letter


@pytest.fixture(autouse=True)
def _letter() -> None:
    kinds.register_kind(Letter())


@pytest.fixture
def chinese(admin_client: Client) -> Iterator[Client]:
    """The browser of somebody who reads Chinese; what is lazy is said so, too, when a test looks at it."""
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hans"
    with translation.override("zh-hans"):
        yield admin_client
