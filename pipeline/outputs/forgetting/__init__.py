"""`sluice forget`: posts are taken out of a finished output, in place and for good.

What is to be done is found first and written to a journal, by places and keyed hashes; then each file is
replaced by one without the posts. Whatever ends a forget, the journal says what is left to do.
"""
