"""Conversations: turns and their tree, what bots remember of them, titles, and how they are spoken to."""
