"""Runs as rows and as tasks: how they are made, who owns and executes them, and what is kept of them."""
