"""Frames as data and as text, one module for each form in which they travel."""

from . import ling  # noqa: F401  (registers its dialects)
