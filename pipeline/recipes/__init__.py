"""What a run is asked to do: the tree of settings, how a TOML file becomes one, and the shipped recipes.

Imports no other room of pipeline.
"""
