"""The filters, one per file: one score, one threshold, one reason.

A rule may import the contract (`base`, `batch`), the text room, and the language and screens rooms for
what a model says; never another rule. `bounds.py` has what the bounds of rules have in common.
"""
