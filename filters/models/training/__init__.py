"""How the shipped models are trained and measured, and their cards written: `make models`.

Needs the extra `models`, SLUICE_DATA and a venv with fastText's own package. May import all rooms of
filters.
"""
