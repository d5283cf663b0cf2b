"""How documents become sequences of one length, and how many a training run wants: no files.

Imports the vocabulary room.
"""
