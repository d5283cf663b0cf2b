"""`python -m sluice.pipeline` is `sluice`."""

import sys

from sluice.pipeline.cli import program

sys.exit(program())
