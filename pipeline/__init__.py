"""The Beam pipeline: from files to files, one phase a graph."""
