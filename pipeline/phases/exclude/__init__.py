"""Phase exclude: clean posts, notices -> posts that were deleted, superseded, or too many of their author."""
