"""An app of somebody else's, which adds to lingstream through its public names only."""
