"""What comes out of a file, and why nothing does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from lingstream.core.exceptions import LingError
from lingstream.core.phrases import Phrase

__all__ = ["MOST_BYTES", "MOST_HTML", "MOST_TEXT", "Extracted", "ExtractionError", "bounded"]

#: Bytes of a file.
MOST_BYTES = 20_000_000
#: Bytes of a web page.
MOST_HTML = 5_000_000
#: Characters of what was extracted.
MOST_TEXT = 2_000_000


class ExtractionError(LingError):
    """A file gave no text: the same file never will, unless a package is installed or it is made smaller.

    :param code: ``unknown-type``, ``no-text-layer``, ``too-large``, ``timed-out``, ``crashed`` or
        ``package-missing``.
    """

    code = "extraction"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, code=code)


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a file.

    :param text: as Markdown.
    :param language: as the file itself names it: ``de``, ``zh-Hans``.
    :param canonical: the address under which a page wants to be known.
    :param noindex: a page that does not want to be found; ``nofollow``: nor that its links are followed.
    :param links: where a page leads to: absolute, each once, without fragments.
    """

    text: str
    title: str = ""
    language: str = ""
    canonical: str = ""
    noindex: bool = False
    nofollow: bool = False
    links: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, fields: dict[str, Any]) -> Self:
        """Return what :func:`dataclasses.asdict` and JSON made of one.

        :raises LookupError: a field is missing; :raises TypeError: it is of no such type.
        """
        return cls(
            bounded(str(fields["text"])),
            title=str(fields["title"]),
            language=str(fields["language"]),
            canonical=str(fields["canonical"]),
            noindex=bool(fields["noindex"]),
            nofollow=bool(fields["nofollow"]),
            links=tuple(map(str, fields["links"])),
        )


def bounded(text: str) -> str:
    """Return ``text``.

    :raises ExtractionError: ``too-large``.
    """
    if len(text) > MOST_TEXT:
        message = Phrase(
            "expected up to %(most)s characters of text, got %(got)s", most=MOST_TEXT, got=len(text)
        )
        raise ExtractionError("too-large", message)
    return text
