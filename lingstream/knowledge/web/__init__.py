"""The web as a source: pages are fetched within bounds, and read for where they lead. It knows no Django."""
