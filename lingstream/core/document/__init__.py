"""One JSON document, its addresses and its changes: what a run's frames are made of."""
