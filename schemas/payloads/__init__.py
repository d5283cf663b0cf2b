"""One file an outside format: how its rows become POST columns."""
