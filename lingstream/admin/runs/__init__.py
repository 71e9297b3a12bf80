"""Runs: a list that no number of rows slows down, the page of each with its steps as bars, the dashboard.

They are read, searched, stopped and repeated, never edited. The pages are :mod:`.admin`'s and :mod:`.steps`'.
"""
