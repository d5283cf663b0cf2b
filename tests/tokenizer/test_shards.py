import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from sluice.schemas.errors import VerifyError
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat
from sluice.tokenizer.packing.plan import Packed, pack, plan
from sluice.tokenizer.shards import ShardReader, ShardWriter, verify_shard
from tests.tokenizer.shard_files import write_shard

LENGTH, SIZE, PAD, EOD = 16, 50, 0, 2
FORMAT = ShardFormat(LENGTH, SIZE, PAD, EOD)


def packed_sequences(num_documents: int, *, seed: int = 0) -> Packed:
    """Returns packed documents of random ids, each with its end-of-document token."""
    random = np.random.default_rng(seed)
    lengths_D = random.integers(1, 24, num_documents)
    offsets_D1 = np.cumsum([0, *lengths_D])
    tokens_T = random.integers(3, SIZE, int(offsets_D1[-1])).astype(np.int32)
    tokens_T[offsets_D1[1:] - 1] = EOD
    return pack(plan(lengths_D, sequence_length=LENGTH), tokens_T, offsets_D1[:-1], pad_id=PAD)


def written(path: Path, packed: Packed) -> Path:
    """Writes all sequences as one shard."""
    write_shard(path, [(packed.tokens_SL, packed.doc_ends)], format=FORMAT)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Tokens and ends come back, as a whole and one sequence at a time, and the shard is valid."""
    packed = packed_sequences(1000)
    path = written(tmp_path / "s.arrow", packed)
    shard = ShardReader(path)
    assert shard.format == FORMAT
    assert len(shard) == len(packed.tokens_SL) > 2 * ROWS_PER_BATCH
    np.testing.assert_array_equal(
        np.concatenate([batch.tokens_SL for batch in shard.batches()]), packed.tokens_SL
    )
    ends = packed.doc_ends.to_pylist()
    assert [e for batch in shard.batches() for e in batch.doc_ends.to_pylist()] == ends
    for i in (0, ROWS_PER_BATCH - 1, ROWS_PER_BATCH, len(shard) - 1):
        tokens_L, doc_ends_K = shard.sequence(i)
        np.testing.assert_array_equal(tokens_L, packed.tokens_SL[i])
        assert doc_ends_K.tolist() == ends[i]
    assert verify_shard(path, vocabulary_size=SIZE, sequence_length=LENGTH) == []


def test_plain_arrow_reads_it(tmp_path: Path) -> None:
    """Any Arrow reader opens the file: an IPC file of uncompressed batches of 256 rows."""
    packed = packed_sequences(800)
    path = written(tmp_path / "s.arrow", packed)
    with pa.memory_map(str(path)) as source:
        reader = ipc.open_file(source)
        sizes = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
        table = reader.read_all()
    assert set(sizes[:-1]) == {ROWS_PER_BATCH}
    assert table["tokens"].to_pylist() == packed.tokens_SL.tolist()
    assert path.stat().st_size < packed.tokens_SL.nbytes * 1.6


def test_tokens_are_views_of_the_file(tmp_path: Path) -> None:
    """Reading copies nothing: the tokens are read-only views of mapped memory."""
    packed = packed_sequences(50)
    shard = ShardReader(written(tmp_path / "s.arrow", packed))
    before = pa.total_allocated_bytes()
    tokens_SL = shard.batch(0).tokens_SL
    assert pa.total_allocated_bytes() == before
    assert not tokens_SL.flags.owndata
    assert not tokens_SL.flags.writeable


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(cuts=[1, 257])
@given(cuts=st.lists(st.integers(0, 700), max_size=6))
def test_cuts_of_the_input_do_not_show(tmp_path: Path, cuts: list[int]) -> None:
    """The same sequences in other portions give the same bytes."""
    packed = packed_sequences(1000)
    whole = write_shard(
        tmp_path / "whole.arrow", [(packed.tokens_SL, packed.doc_ends)], format=FORMAT
    )
    bounds = sorted({0, len(packed.tokens_SL), *(min(c, len(packed.tokens_SL)) for c in cuts)})
    portions = [
        (packed.tokens_SL[a:b], packed.doc_ends.slice(a, b - a))
        for a, b in itertools.pairwise(bounds)
    ]
    cut = write_shard(tmp_path / "cut.arrow", portions, format=FORMAT)
    assert (tmp_path / "cut.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()
    assert cut.sha256 == whole.sha256


def test_the_writer_counts_what_it_wrote(tmp_path: Path) -> None:
    """Bytes and hash are those of the file."""
    packed = packed_sequences(300)
    path = tmp_path / "s.arrow"
    done = write_shard(path, [(packed.tokens_SL, packed.doc_ends)], format=FORMAT)
    assert done.num_bytes == path.stat().st_size
    assert done.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_no_sequences_make_an_empty_shard(tmp_path: Path) -> None:
    """A shard of nothing is a valid file of no rows."""
    write_shard(tmp_path / "s.arrow", [], format=FORMAT)
    assert len(ShardReader(tmp_path / "s.arrow")) == 0
    assert verify_shard(tmp_path / "s.arrow", vocabulary_size=SIZE, sequences=0) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """Where the block raises, neither the shard nor its temporary file stays."""
    packed = packed_sequences(600)

    def fail() -> None:
        with ShardWriter(tmp_path / "s.arrow", format=FORMAT) as writer:
            writer.write(packed.tokens_SL, packed.doc_ends)
            assert len(list(tmp_path.iterdir())) == 1
            assert not (tmp_path / "s.arrow").exists()
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    """Sequences of another length, or without their ends, are a ValueError."""
    packed = packed_sequences(20)
    for tokens_SL, ends in (
        (packed.tokens_SL[:, :-1], packed.doc_ends),
        (packed.tokens_SL, packed.doc_ends.slice(1)),
    ):
        with pytest.raises(ValueError, match="tokens must have the shape"):
            write_shard(tmp_path / "s.arrow", [(tokens_SL, ends)], format=FORMAT)


ROW = [5, 6, EOD, 7, 8, 9, EOD] + [PAD] * 9


@pytest.mark.parametrize(
    ("row", "ends", "problem"),
    [
        ([5, SIZE, EOD, *ROW[3:]], [3, 7], "hold an id outside the vocabulary"),
        ([5, -1, EOD, *ROW[3:]], [3, 7], "hold an id outside the vocabulary"),
        (ROW, [], "have doc_ends that are missing"),
        (ROW, [3, 3, 7], "do not increase"),
        (ROW, [0, 7], "do not increase"),
        (ROW, [7, 3], "do not increase"),
        (ROW, [3, 7, 17], "outside the sequence"),
        (ROW, [3], "not padding behind the last document"),
        ([*ROW[:-1], 5], [3, 7], "not padding behind the last document"),
        (ROW, [3, 8], "padding inside a document"),
        (ROW, [7], "end-of-document token inside a document"),
    ],
)
def test_broken_sequences_are_found(
    tmp_path: Path, row: list[int], ends: list[int], problem: str
) -> None:
    """One broken sequence among good ones in the second batch is named by number and fault."""
    good = packed_sequences(1000)
    tokens_SL = np.vstack([good.tokens_SL[:300], [row], good.tokens_SL[300:]]).astype(np.int32)
    doc_ends = good.doc_ends.to_pylist()
    doc_ends = pa.array([*doc_ends[:300], ends, *doc_ends[300:]], pa.list_(pa.int32()))
    write_shard(tmp_path / "s.arrow", [(tokens_SL, doc_ends)], format=FORMAT)
    found = verify_shard(tmp_path / "s.arrow", vocabulary_size=SIZE)
    assert any(problem in p for p in found)
    assert all(p.startswith("1 sequences, the first 300, ") for p in found)


def test_numbers_that_differ_from_the_manifest_are_found(tmp_path: Path) -> None:
    """The vocabulary, the length and the number of sequences are compared with what is expected."""
    path = written(tmp_path / "s.arrow", packed_sequences(40))
    problems = verify_shard(path, vocabulary_size=99, sequence_length=8, sequences=1)
    assert [problem.split(",")[0] for problem in problems] == [
        "vocabulary_size must be 99",
        "sequence_length must be 8",
        "must hold 1 sequences",
    ]


@pytest.mark.parametrize("keep", [0, 7, 500, -20])
def test_cut_files_are_found(tmp_path: Path, keep: int) -> None:
    """A file that was cut off anywhere is one problem, not an exception."""
    path = written(tmp_path / "s.arrow", packed_sequences(100))
    path.write_bytes(path.read_bytes()[:keep])
    problems = verify_shard(path, vocabulary_size=SIZE)
    assert len(problems) == 1
    assert "must be an Arrow IPC file" in problems[0]


def test_foreign_and_missing_files_are_found(tmp_path: Path) -> None:
    """Another Arrow file, and none, are said to be no shard."""
    with ipc.new_file(tmp_path / "other.arrow", pa.schema([("a", pa.int32())])):
        pass
    (problem,) = verify_shard(tmp_path / "other.arrow", vocabulary_size=SIZE)
    assert problem.startswith("must be a token shard")
    (problem,) = verify_shard(tmp_path / "absent.arrow", vocabulary_size=SIZE)
    assert problem.startswith("must be an Arrow IPC file")
    with pytest.raises(VerifyError, match=r"other\.arrow: must be a token shard"):
        ShardReader(tmp_path / "other.arrow")


def foreign(path: Path, batches: list[list[Any]]) -> Path:
    """Writes record batches of rows of ROW with the right schema, by plain Arrow."""
    with ipc.new_file(path, FORMAT.schema) as file:
        for rows in batches:
            tokens = pa.array(rows, FORMAT.schema.field("tokens").type)
            ends = pa.array([[3, 7]] * len(rows), pa.list_(pa.int32()))
            file.write_batch(pa.record_batch([tokens, ends], schema=FORMAT.schema))
    return path


def test_nulls_and_short_batches_are_found(tmp_path: Path) -> None:
    """Null rows, null ids and batches that break random access are faults of the format."""
    row: list[Any] = list(ROW)
    path = foreign(tmp_path / "a.arrow", [[row] * 10, [row]])
    assert verify_shard(path, vocabulary_size=SIZE) == ["record batch 0 must have 256 rows, got 10"]
    for bad in (None, [None, *row[1:]]):
        path = foreign(tmp_path / "b.arrow", [[row, bad]])
        assert verify_shard(path, vocabulary_size=SIZE) == ["record batch 0 has nulls"]


def test_verifying_is_bounded_in_memory(tmp_path: Path) -> None:
    """A shard is verified without being read into memory."""
    packed = packed_sequences(20_000)
    path = written(tmp_path / "s.arrow", packed)
    before = pa.default_memory_pool().max_memory()
    assert verify_shard(path, vocabulary_size=SIZE) == []
    assert pa.default_memory_pool().max_memory() - before < path.stat().st_size / 4
