"""In which language a text is."""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import Any

__all__ = ["language_of"]

#: Characters that are looked at; more tell no more.
SAMPLE = 2_000
_FEWEST_LETTERS = 20
_SURE = 0.9

_LETTERS = re.compile(r"[^\W\d_]")
_SCRIPTS = (
    ("ja", re.compile("[\u3041-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7a3]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
)


def language_of(text: str) -> str:
    """Return the ISO 639-1 code of ``text``'s language, ``""`` where it is unsure.

    Chinese, Japanese and Korean are seen by their script; for others py3langid is asked, and where that is
    not installed nothing is known. The first of these questions loads its model, for some seconds: not to be
    called on the event loop.
    """
    letters = _LETTERS.findall(text[:SAMPLE])
    for language, script in _SCRIPTS:
        # A Japanese text is half of kana, so that less of them decides than of Chinese characters.
        if len(script.findall(text[:SAMPLE])) * 5 > len(letters) > 0:
            return language
    identifier = _loaded() if len(letters) >= _FEWEST_LETTERS else None
    if identifier is None:
        return ""
    language, probability = identifier.classify(text[:SAMPLE])
    return str(language) if probability >= _SURE else ""


_loading = threading.Lock()


def _loaded() -> Any:
    with _loading:  # `cache` lets threads that come together each load it
        return _identifier()


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
