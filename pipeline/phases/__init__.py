"""The phases of a run, one a folder: `phase.py` has its steps, its plan and what it depends on.

`run_order.py` is the table of phases and the chain of their fingerprints, `job.py` what is to be done,
`planned.py` what a phase gives to an engine, `results.py` what finished phases counted, `edges.py` the files
between phases. Imports every room below it (recipes, inputs, storage, units, ledger, processes, history), and
is known to the engine, outputs and report rooms.
"""
