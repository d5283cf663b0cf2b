"""The tombstones of an output: the folder `forgotten/`, a Parquet file for each forget, numbered.

Schema and meaning of the columns: `sluice.schemas.tombstone`.
"""

from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import OutputError
from sluice.schemas.tombstone import KEY_CHECK, TOMBSTONE

FOLDER: Final = "forgotten"
"""Of an output; phases and forgets find the tombstones here."""
PENDING: Final = f"{FOLDER}/pending.json"
"""The journal of a forget that did not end, or is at work."""


class Tombstones(NamedTuple):
    """The tombstones of a folder.

    Attributes:
        rows: of TOMBSTONE, in the order of the forgets.
        key_check: `IdKey.check` of the key of all hashes; None where there is no tombstone.
    """

    rows: pa.Table
    key_check: str | None


def tombstone_name(number: int) -> str:
    """Returns the name of the tombstones of a forget, which are numbered from 0.

    >>> tombstone_name(3)
    'forgotten-00003.parquet'
    """
    return f"forgotten-{number:05d}.parquet"


def tombstone_files(folder: str) -> list[str]:
    """Returns the paths of the tombstones in a folder, in the order of the forgets; none without a folder."""
    return storage.paths(folder, ending=".parquet")


def read_tombstones(folder: str, *, first: int = 0) -> Tombstones:
    """Returns the tombstones of a folder; no rows where it is not there.

    Args:
        folder: `OUTPUT/forgotten`, or its URI.
        first: number of the first forget whose tombstones are read.

    Raises:
        OutputError: a file cannot be read, is of other columns, or its hashes are of another key than those
            of the other files.
    """
    tables, checks = [TOMBSTONE.empty_table()], dict[str, str]()
    for path in tombstone_files(folder)[first:]:
        table = _read(path)
        checks[(table.schema.metadata or {})[KEY_CHECK].decode()] = path
        tables.append(table.replace_schema_metadata())
    if len(checks) > 1:
        raise OutputError(
            f"{folder}: tombstones of different keys: {', '.join(checks.values())}; each output is "
            f"forgotten from with one key"
        )
    return Tombstones(pa.concat_tables(tables), next(iter(checks), None))


def _read(path: str) -> pa.Table:
    try:
        with storage.open_input(path) as file:
            table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read: {error}; see `sluice verify`") from None
    if not table.schema.equals(TOMBSTONE) or KEY_CHECK not in (table.schema.metadata or {}):
        raise OutputError(
            f"{path}: is not a file of tombstones of this version: its columns are "
            f"{', '.join(table.column_names)}"
        )
    return table


def write_tombstones(path: str, rows: pa.Table, *, key_check: str) -> None:
    """Writes tombstones whole: a reader sees all of them or none.

    Args:
        path: in the folder, by `tombstone_name`.
        rows: of TOMBSTONE.
        key_check: `IdKey.check` of the key of their hashes.
    """
    table = rows.cast(TOMBSTONE).replace_schema_metadata({KEY_CHECK: key_check.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    storage.write_bytes(path, sink.getvalue())


def refuse_pending(output: str) -> None:
    """Raises OutputError where a forget of an output did not end: its files are partly changed."""
    if is_pending(output):
        raise OutputError(f"{output}: {pending_told(output)}")


def is_pending(output: str) -> bool:
    """Returns whether a forget of an output did not end, or is at work."""
    return storage.is_file(storage.join(output, PENDING))


def pending_told(output: str) -> str:
    """Returns what is said of an output with a forget that did not end."""
    return (
        f"a `sluice forget` is at work here, or did not end: wait for it, or finish it with "
        f"`sluice forget {output} --resume`"
    )
