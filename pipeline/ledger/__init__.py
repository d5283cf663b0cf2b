"""Posts counted by group, histograms of scores, and the limits of what may fail.

Imports no other room of pipeline.
"""
