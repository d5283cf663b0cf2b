"""Measurements of Sluice beside the limit of the machine and beside a peer; RESULTS.md has the figures."""
