"""Row-wise edits and decisions on Arrow columns."""
