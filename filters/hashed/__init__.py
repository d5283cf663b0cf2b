"""One table of hashed words and n-grams that all screens read: its kernel and its file.

May import `sluice.filters.batch`, `sluice.filters.text` and `sluice.schemas`.
"""
