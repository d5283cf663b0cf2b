"""What a recipe puts before the text of each post: a template of its columns."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.privacy.masking import Masking
from sluice.filters.text.media import without_placeholders
from sluice.pipeline.recipes.template import Field


def with_headers(
    posts: pa.RecordBatch, template: Sequence[Field], masking: Masking | None = None
) -> pa.RecordBatch:
    """Returns posts with the template, filled with the values of each, before their texts; a null is nothing.

    Values are masked as texts are; they hold no placeholder of their own.

    >>> from sluice.pipeline.recipes.template import fields_of
    >>> rows = pa.RecordBatch.from_pylist([{"text": "Hello", "platform": "x"}, {"text": "Hi"}])
    >>> with_headers(rows, fields_of("({platform}) ", ["platform"])).column("text").to_pylist()
    ['(x) Hello', '() Hi']
    """
    parts: list[pa.Array | pa.Scalar] = []
    for field in template:
        parts.append(pa.scalar(field.text, pa.string()))
        if field.column is not None:
            value = _written(posts.column(field.column), field.format, masking)
            parts.append(value.fill_null(""))
    texts = pc.binary_join_element_wise(*parts, posts.column("text"), "")
    return posts.set_column(posts.schema.get_field_index("text"), "text", texts)


def _written(values: pa.Array, format: str, masking: Masking | None) -> pa.StringArray:
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("s", "UTC"), safe=False)
        return pc.strftime(values, format or "%Y-%m-%dT%H:%M:%SZ")
    if not pa.types.is_string(values.type):
        return values.cast(pa.string())
    encoded = without_placeholders(values).dictionary_encode()
    known = encoded.dictionary
    if masking is not None:
        known = masking(known, pa.nulls(len(known), pa.string())).texts
    return known.take(encoded.indices)
