"""Rows that cross machines arrive once, in their partition, in order."""

import tempfile
from unittest.mock import patch

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given
from hypothesis import strategies as st

from sluice.pipeline.engine.beam.graph import Regroup
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.counts import NoCounts

SCHEMA = pa.schema([("value", pa.int64()), ("text", pa.string())])
NUM_PARTITIONS = 5
batches_of_units = st.lists(
    st.lists(st.lists(st.integers(0, NUM_PARTITIONS - 1), max_size=12), max_size=5),
    min_size=1,
    max_size=4,
)


def write_unit(folder: str, name: str, batches: list[list[int]], start: int) -> Done:
    attempt = Attempt(folder, name)
    path = attempt.path("rows")
    with exchange.Writer(
        path, schema=SCHEMA, num_partitions=NUM_PARTITIONS, compression="lz4"
    ) as writer:
        for partitions in batches:
            values = pa.array(range(start, start + len(partitions)), pa.int64())
            rows = pa.RecordBatch.from_arrays([values, values.cast(pa.string())], schema=SCHEMA)
            writer.write(rows, np.array(partitions, np.int64))
            start += len(partitions)
    attempt.add("rows", path, ranges=writer.ranges)
    attempt.commit(NoCounts())
    return Done(folder, name)


@pytest.mark.parametrize("run_bytes", [1, 100, 1 << 20])
@given(units=batches_of_units)
def test_every_row_arrives_once(units: list[list[list[int]]], run_bytes: int) -> None:
    """Whatever the size of the runs, a partition reads its rows in the order of units and rows."""
    with (
        patch.multiple(exchange, RUN_BYTES=run_bytes, RANGE_BYTES=0),
        tempfile.TemporaryDirectory() as folder,
    ):
        expected: dict[int, list[int]] = {}
        found: dict[int, list[list]] = {}
        start = 0
        for u, batches in enumerate(units):
            done = write_unit(folder, f"unit-{u}", batches, start)
            for partition in (p for b in batches for p in b):
                expected.setdefault(partition, []).append(start)
                start += 1
            for partition, source in exchange.sources(done, "rows"):
                found.setdefault(partition, []).append(source)
        for partition, ranges in found.items():
            unit = exchange.reduce_unit(partition, ranges[::-1], name="p")
            rows = [r for _, b in exchange.read(unit) for r in b.to_pylist()]
            assert [r["value"] for r in rows] == expected.pop(partition)
            assert all(r["text"] == str(r["value"]) for r in rows)
        assert not expected


def test_ranges_stay_worth_a_request() -> None:
    """With many partitions a unit holds more before it writes, up to a bound, so that ranges stay few."""
    assert exchange.run_bytes(8) == 16 << 20
    assert exchange.run_bytes(2048) == 2048 * (64 << 10)
    assert exchange.run_bytes(1 << 20) == 256 << 20


def test_one_units_file_gives_each_partition_a_unit(tmp_path) -> None:
    """One unit's file becomes a reduce unit for each partition that has rows, by either engine."""
    done = write_unit(str(tmp_path), "all", [[0, 3], [3]], 0)

    way = exchange.Exchange("rows", name="shard")

    def check(units: list[Unit]) -> None:
        first, second = sorted(units, key=lambda unit: unit.name)
        assert (first.name, second.name) == ("shard-00000", "shard-00003")
        assert [b.num_rows for _, b in exchange.read(second)] == [2]

    check(exchange.units_of(way, [done]))
    with beam.Pipeline() as pipeline:
        assert_that(pipeline | beam.Create([done]) | Regroup(way), check)
