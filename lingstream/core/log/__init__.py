"""The log of a run: its frames, the state that they give, and who keeps it."""
