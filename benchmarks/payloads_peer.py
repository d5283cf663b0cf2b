"""Reads a file of payloads with libraries that are installed, and prints rows and CPU seconds as JSON.

    PYTHON benchmarks/payloads_peer.py FILE

`pandas.json_normalize` of the decoded lines, `datasets`, and twarc-csv, which knows pages of X's API v2. It
imports nothing of Sluice's, so that a virtual environment of theirs can run it.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec


def _records(path: str) -> list[object]:
    records = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
    return records


def with_json(path: str) -> int:
    """Decodes the lines with the standard library."""
    return len(_records(path))


def with_pandas(path: str) -> int:
    """Decodes the lines and flattens the objects into a table."""
    import pandas

    return len(pandas.json_normalize(_records(path)))


def with_datasets(path: str) -> int:
    """Reads the lines as a data set."""
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        return int(
            datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache).num_rows
        )


def with_twarc(path: str) -> int:
    """Writes the posts of pages as CSV; 0 where it finds none."""
    from csv_writer import CSVConverter
    from dataframe_converter import DataFrameConverter

    with open(path, encoding="utf-8") as lines, tempfile.TemporaryFile("w+") as out:
        converter = DataFrameConverter("tweets")
        CSVConverter(infile=lines, outfile=out, converter=converter, hide_progress=True).process()
        return int(converter.counts["rows"])


READERS: dict[str, tuple[str, Callable[[str], int]]] = {
    "json": ("json", with_json),
    "pandas": ("pandas", with_pandas),
    "datasets": ("datasets", with_datasets),
    "twarc-csv": ("csv_writer", with_twarc),
}
"""Name -> the module that must be installed, and the reader."""


def figures(path: str) -> dict[str, object]:
    """Returns rows and CPU seconds of each reader, or what it raised."""
    found: dict[str, object] = {}
    for name, (module, read) in READERS.items():
        if find_spec(module) is None:
            continue
        import_module(module)
        start = time.process_time()
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                rows = read(path)
            found[name] = [rows, time.process_time() - start]
        except Exception as error:
            found[name] = type(error).__name__
    return found


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1])))
