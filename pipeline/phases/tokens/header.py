"""What a recipe puts before the text of each post: a template of its columns."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.recipes.template import Field


def with_headers(posts: pa.RecordBatch, template: Sequence[Field]) -> pa.RecordBatch:
    """Returns posts with the template, filled with the values of each, before their texts; a null is nothing.

    >>> from sluice.pipeline.recipes.template import fields_of
    >>> rows = pa.RecordBatch.from_pylist([{"text": "Hello", "platform": "x"}, {"text": "Hi"}])
    >>> with_headers(rows, fields_of("({platform}) ", ["platform"])).column("text").to_pylist()
    ['(x) Hello', '() Hi']
    """
    parts: list[pa.Array | pa.Scalar] = []
    for field in template:
        parts.append(pa.scalar(field.text, pa.string()))
        if field.column is not None:
            parts.append(_written(posts.column(field.column), field.format).fill_null(""))
    texts = pc.binary_join_element_wise(*parts, posts.column("text"), "")
    return posts.set_column(posts.schema.get_field_index("text"), "text", texts)


def _written(values: pa.Array, format: str) -> pa.StringArray:
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("s", "UTC"), safe=False)
        return pc.strftime(values, format or "%Y-%m-%dT%H:%M:%SZ")
    return values.cast(pa.string())
