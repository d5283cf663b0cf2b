"""`python -m pipeline` is `sluice`."""

import sys

from pipeline.cli import program

sys.exit(program())
