"""Phase clean: input units -> clean posts with scores, rejects, and the keys that duplicates meet by."""
