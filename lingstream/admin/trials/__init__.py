"""Trials: what stands in the form of a prompt or a workflow is executed, and nothing of it is stored.

What both pages share; which plan a page's form amounts to is said by the ``trying`` of that page's room.
"""
