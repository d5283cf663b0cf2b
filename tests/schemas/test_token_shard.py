import pyarrow as pa
import pytest

from sluice.schemas.errors import VerifyError
from sluice.schemas.token_shard import ShardFormat, shard_name

FORMAT = ShardFormat(sequence_length=8, vocabulary_size=100, pad_id=0, eod_id=2)


def test_schema_is_the_contract() -> None:
    """The columns have the names and types that readers rely on, and the metadata only numbers."""
    assert FORMAT.schema.names == ["tokens", "doc_ends"]
    assert FORMAT.schema.types == [pa.list_(pa.int32(), 8), pa.list_(pa.int32())]
    assert FORMAT.schema.metadata == {
        b"sluice.token_shard": b"1",
        b"sluice.sequence_length": b"8",
        b"sluice.vocabulary_size": b"100",
        b"sluice.pad_id": b"0",
        b"sluice.eod_id": b"2",
    }


def test_format_reads_back() -> None:
    """The numbers survive the schema."""
    assert ShardFormat.of(FORMAT.schema) == FORMAT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"sluice.token_shard": None}, r"no sluice\.token_shard"),
        ({b"sluice.token_shard": b"2"}, "version 1, got '2'"),
        ({b"sluice.pad_id": None}, r"sluice\.pad_id must be a number, got nothing"),
        ({b"sluice.eod_id": b"two"}, r"sluice\.eod_id must be a number, got 'two'"),
        ({b"sluice.sequence_length": b"9"}, "must have the columns"),
    ],
)
def test_other_schemas_are_refused(change: dict[bytes, bytes | None], message: str) -> None:
    """A schema of another version, or whose numbers are missing or wrong, is a VerifyError."""
    merged = {**FORMAT.schema.metadata, **change}
    kept = {key: value for key, value in merged.items() if value is not None}
    with pytest.raises(VerifyError, match=message):
        ShardFormat.of(FORMAT.schema.with_metadata(kept))


def test_names_sort_as_they_count() -> None:
    """File names have fixed width, so that their order is that of the shards."""
    assert shard_name(3, num_shards=16) == "tokens-00003-of-00016.arrow"
    names = [shard_name(i, num_shards=200) for i in range(200)]
    assert names == sorted(names)
