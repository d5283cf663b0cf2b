"""Names of phases and columns that an output is read by, apart from the code that writes it."""

PHRASES = "phrases"
EXCLUDE = "exclude"
CLASSIFY = "classify"
CONVERSATIONS = "conversations"
TOKENS = "tokens"
SCORE = "score."
"""Begins the name of a column of the `kept` edge that holds a filter's scores; the filter's name follows."""
