"""The process of a worker: `python -m sluice.pipeline.engine.worker DESCRIPTOR`, see `workers`."""

import sys
from multiprocessing.connection import Connection

from sluice.pipeline.engine.workers import serve

if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
