"""Filters for Sluice about prices."""
