"""What a client's ``Accept`` wants most of what there is (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.http.request import MediaType

__all__ = ["preferred"]


def preferred(header: str | None, offers: Sequence[str]) -> str | None:
    """Return the media type of ``offers`` that ``header`` wants most, ``None`` where it wants none of them.

    The most specific range that names an offer gives its weight; of equals that wins which is named first,
    and within one range (``*/*``) the first offer. (Django's ``get_preferred_type`` forgets ranges with
    ``q=0`` first, so that ``*/*`` lets in what they exclude.)
    """
    ranges = [_Range.parse(text) for text in (header or "*/*").split(",")]
    wanted: list[tuple[float, int, int, int, str]] = []
    for place, offer in enumerate(offers):
        fitting = [
            (found.precision, -order, found.quality)
            for order, found in enumerate(ranges)
            if found is not None and found.admits(offer)
        ]
        precision, order, quality = max(fitting, default=(0, 0, 0.0))
        if quality > 0:
            wanted.append((quality, precision, order, -place, offer))
    return max(wanted)[-1] if wanted else None


class _Range(NamedTuple):
    """One entry of the header, such as ``text/*;q=0.5``; parameters other than ``q`` are passed over."""

    main: str
    sub: str
    quality: float

    @classmethod
    def parse(cls, text: str) -> _Range | None:
        try:
            found = MediaType(text)
            return cls(found.main_type, found.sub_type, found.quality)
        except ValueError:  # longer than Django reads
            return None

    @property
    def precision(self) -> int:
        return (self.main != "*") + (self.sub != "*")

    def admits(self, offer: str) -> bool:
        main, _, sub = offer.partition("/")
        return self.main in (main, "*") and self.sub in (sub, "*")
