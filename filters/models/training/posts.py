"""The files of posts that models are trained and measured on, and how posts are split."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from sluice.filters.language.codes import UNDETERMINED
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text

SPLIT_SEED = 1
HELD_OUT = 10
"""One post in so many, by a hash of its text under SPLIT_SEED, is held out of training."""

_COLUMNS = pa.schema(
    [(n, pa.string()) for n in ("text", "lang", "source")] + [("label", pa.int64())]
)


def read_posts(data: Path, patterns: Sequence[str]) -> pa.Table:
    """Returns the posts of the files of some patterns below a folder.

    Returns:
        Columns `text` (classifier text), `lang`, `source`, `label` (null if none), `whole` (normalised).
    """
    options = pj.ParseOptions(explicit_schema=_COLUMNS, unexpected_field_behavior="ignore")
    files = [file for p in patterns for file in sorted(data.glob(p)) or [data / p]]
    tables = [pj.read_json(pa.input_stream(str(file)), parse_options=options) for file in files]
    table = pa.concat_tables(tables).combine_chunks()
    whole = normalize(table["text"].combine_chunks())
    langs = pc.fill_null(table["lang"], UNDETERMINED)
    table = table.set_column(1, "lang", langs).set_column(0, "text", classifier_text(whole))
    return table.append_column("whole", whole)
