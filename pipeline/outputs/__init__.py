"""Commands on a finished output: verify, inspect, export, forget.

Imports the phases for the names of their files, and the rooms below them.
"""
