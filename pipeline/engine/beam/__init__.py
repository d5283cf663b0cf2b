"""Phases as Beam pipelines, on whatever engine Beam's flags name. The one place that imports Beam.

Imports the rest of the engine room, the phases and the rooms below them.
"""
