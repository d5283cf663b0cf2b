"""From files to files, phase by phase: the only package that imports Beam.

`cli.py` is the command line and `api.py` the commands as functions, both over `commands.py`;
`preflight.py` says what a run would do. May import `filters`, `tokenizer` and `schemas`.
"""
