"""A site with a workflow that is talked to."""
