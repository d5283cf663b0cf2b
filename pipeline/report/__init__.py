"""The report of a run: report.json, manifest.json, the page and the terminal.

Imports the phases and the rooms below them.
"""
