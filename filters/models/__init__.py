"""The models that are shipped, with their calibrations and cards, and the code that makes them.

Nothing in a run imports `training/`; `make models` runs it.
"""
