"""Units of work: what one worker finishes and commits alone, and how rows change machines between them.

A unit's manifest, written last, says that it is done. Imports the storage and ledger rooms.
"""
