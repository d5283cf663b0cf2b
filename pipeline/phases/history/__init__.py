"""Phase history: survivors -> a segment of the history, for later runs to compare with."""
