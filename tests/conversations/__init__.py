"""Conversations: turns, history, who may, and their API."""
