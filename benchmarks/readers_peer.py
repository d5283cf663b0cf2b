"""Reads a file with pandas and `datasets`, where they are installed, and prints their CPU seconds as JSON.

    PYTHON benchmarks/readers_peer.py KIND FILE

It imports nothing of Sluice's, so that a virtual environment of theirs can run it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec


def _with_pandas(kind: str, path: str) -> Callable[[], object] | None:
    import pandas

    readers: dict[str, Callable[[], object]] = {
        "lines": lambda: pandas.read_json(path, lines=True, dtype=False, convert_dates=False),
        "array": lambda: pandas.read_json(path, dtype=False, convert_dates=False),
        "csv": lambda: pandas.read_csv(path, dtype=str),
        "parquet": lambda: pandas.read_parquet(path),
    }
    return readers.get(kind)


def _with_datasets(kind: str, path: str) -> Callable[[], object] | None:
    import datasets

    datasets.disable_progress_bars()
    name = {"lines": "json", "array": "json", "csv": "csv", "parquet": "parquet"}.get(kind)
    if name is None:
        return None

    def read() -> object:
        with tempfile.TemporaryDirectory() as cache:
            return datasets.load_dataset(
                name, data_files=path, split="train", cache_dir=cache
            ).num_rows

    return read


def figures(kind: str, path: str) -> Iterator[tuple[str, float]]:
    """Yields the libraries that read the kind, and the CPU seconds that each took."""
    for library, prepared in (("pandas", _with_pandas), ("datasets", _with_datasets)):
        if find_spec(library) is None:
            continue
        read = prepared(kind, path)
        if read is not None:
            start = time.process_time()
            read()
            yield library, time.process_time() - start


if __name__ == "__main__":
    print(json.dumps(dict(figures(sys.argv[1], sys.argv[2]))))
