"""Filters of datatrove for Sluice."""
