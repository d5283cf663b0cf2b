"""The phases of a job on an engine: Beam's options, the run, its progress and its failures.

Imports the phases and the rooms below them.
"""
