"""Workflows and what they need as a document: written from rows, read, compared, and made rows again."""
