"""Workflows: steps and triggers judged and drawn as one graph, versions, export, and what starts them.

The pages are :mod:`.admin`'s, :mod:`.occasions`' and :mod:`.schedules`'; the other modules are parts of them.
"""
