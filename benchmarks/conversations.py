"""What the one global step of the phase conversations takes: time, and memory for each linked post.

    python -m benchmarks.conversations --posts 2000000

Posts are invented: of five four answer one of the fifty before them, so that chains are some posts deep;
with `--chain` each answers the one before it. Edges are as the stage `match` writes them, a partition after
the other; they are files that are mapped there, and are not counted.
"""

import argparse
import time
import tracemalloc

import numpy as np
import pyarrow as pa

from sluice.pipeline.phases.conversations.match import EDGE, EdgeKind
from sluice.pipeline.phases.conversations.resolve import resolve

PARTITIONS = 64


def edges_of(num_posts: int, *, chain: bool) -> pa.Table:
    """Returns EDGE rows of invented posts, in the order of partitions."""
    draw = np.random.default_rng(7)
    post_E = np.arange(1, num_posts, dtype=np.uint32)
    back_E = np.ones(len(post_E), np.int64) if chain else draw.integers(1, 51, len(post_E))
    if not chain:
        answers_E = draw.random(len(post_E)) < 0.8
        post_E, back_E = post_E[answers_E], back_E[answers_E]
    to_E = np.maximum(post_E.astype(np.int64) - back_E, 0).astype(np.uint32)
    time_N = np.arange(num_posts) * 1_000_000 + draw.integers(0, 100_000_000, num_posts)
    order_E = np.argsort(to_E % PARTITIONS, kind="stable")
    post_E, to_E = post_E[order_E], to_E[order_E]
    kinds = np.full(len(post_E), EdgeKind.REPLY, np.uint8)
    return pa.Table.from_arrays(
        [pa.array(c) for c in (kinds, post_E, to_E, time_N[post_E], time_N[to_E])], schema=EDGE
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=2_000_000)
    parser.add_argument("--chain", action="store_true")
    args = parser.parse_args()
    edges = edges_of(args.posts, chain=args.chain)
    start = time.process_time()
    counts = resolve(edges, lambda posts: pa.nulls(len(posts), pa.string())).counts
    seconds = time.process_time() - start
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    resolve(edges, lambda posts: pa.nulls(len(posts), pa.string()))
    peak = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    print(f"{counts.linked:,} linked posts, {counts.answers:,} answers, depths {counts.depths}")
    print(
        f"{1e9 * seconds / counts.linked:.0f} ns and {peak / counts.linked:.0f} bytes per linked post"
    )


if __name__ == "__main__":
    main()
