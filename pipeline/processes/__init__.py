"""The processes of a run: children that die with it, signals, watched workers, and the costs.

Imports no other room of pipeline.
"""
