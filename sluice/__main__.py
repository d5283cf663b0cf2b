"""`python -m sluice` is `sluice`."""

import sys

from sluice.pipeline.cli import program

if __name__ == "__main__":
    sys.exit(program())
