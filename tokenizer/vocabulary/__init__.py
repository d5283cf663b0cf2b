"""What a finished vocabulary is: its special tokens, the pattern that cuts texts, and how it is loaded.

The lowest room of tokenizer: imports `schemas`.
"""
