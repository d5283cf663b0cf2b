import argparse
import itertools

import numpy as np
import pytest

from benchmarks import loader
from tests.tokenizer.loader.test_files import numbers_of, write_output


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> argparse.Namespace:
    output = write_output(tmp_path_factory.mktemp("bench") / "out", num_shards=2, each=64)
    return argparse.Namespace(output=output, batches=5, peers=None)


def test_every_way_reads_every_sequence(options: argparse.Namespace) -> None:
    """What is compared reads the same: each way gives each of 128 sequences once, 4 at a time."""
    for name, way in loader._ways(options).items():
        if "0 workers" in name or name.startswith("plain"):
            batches = way()
            got = np.concatenate([numbers_of(next(batches)) for _ in range(32)]).tolist()
            assert sorted(got) == list(range(128)), name
            in_order = got == sorted(got)
            assert in_order == (name == "plain read, order of the files" or "`none`" in name), name


def test_every_way_has_a_cost(options: argparse.Namespace) -> None:
    """Rounds time each way; without workers none of the CPU time is theirs."""
    ways = {name: way for name, way in loader._ways(options).items() if "2 workers" not in name}
    costs = loader.rounds(ways, options)
    assert list(costs) == list(ways)
    assert all(cost.here > 0 and cost.workers == 0 for cost in costs.values())
    assert len(loader._page(costs, options)) > len(ways)


def test_workers_are_counted_apart(options: argparse.Namespace) -> None:
    """CPU seconds of living children are seen, and none where there are none."""
    assert loader._cpu_of_workers() == 0
    batches = loader.ours(options, num_workers=1, shuffle="none", columns=())
    assert any(loader._cpu_of_workers() > 0 for _ in itertools.islice(batches, 5000))
