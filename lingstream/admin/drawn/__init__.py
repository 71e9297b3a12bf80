"""Runs as they are drawn, on their own pages and on those of workflows: as bars, and as graphs."""
