"""`sluice sample`: synthetic multilingual posts with planted faults, and the truth about each.

Imports no other room of pipeline.
"""
