"""Counts: how they are made, added and balanced, so that no post is lost unnoticed.

Imports no other room of pipeline.
"""
