"""Where passages are found: by words (:mod:`.words`), and by vectors in one of the stores (:mod:`.port`)."""
