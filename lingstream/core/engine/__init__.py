"""The engine: a plan and an input become frames of a run log."""
