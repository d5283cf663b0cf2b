"""Where the repository is that the tests run in, and what its folders are called."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "filters", "tokenizer", "pipeline")
"""The source folders; to Python they are the sub-packages of `sluice`."""
