"""Frames as data and as text, one module for each form in which they travel."""
