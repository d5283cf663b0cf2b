"""Personal data in texts: where it stands, and texts in which it is masked.

A compiled pass over a column picks the few places where something may stand (`candidates`); what stands
there is then told by checks: check digits, structures of platforms' keys, number plans. `find.py` has the
one function that does it, `masking.py` replaces what was found. Imports the text room.
"""
