"""The phases of a job on an engine: the choice, the run, worker processes, progress and failures.

Imports the phases and the rooms below them.
"""
