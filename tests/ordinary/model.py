"""The model of the ordinary site: answers found by the prompt's text, as fast as the environment says."""

from __future__ import annotations

import os
from typing import Any

from lingstream.providers.scripted import ScriptedProvider
from tests import site

__all__ = ["provider"]

ANSWERS = {"DETAILS": site.DETAILS, "TRANSLATION": site.TRANSLATION, "ANSWER": site.ANSWER}


def provider(plan: Any, key: str) -> ScriptedProvider:
    """The factory of the provider kind ``test``."""
    return ScriptedProvider(ANSWERS, rate=float(os.environ.get("ORDINARY_RATE", "200")))
