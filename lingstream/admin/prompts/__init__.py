"""Prompts: what is live is edited, compared, previewed, tried and published, with how each version has done.

The pages are :mod:`.admin`'s; each other module is a part of them, and none knows workflows or runs.
"""
