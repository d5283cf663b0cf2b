"""Posts that hold an item of an evaluation set, beside the item: what a person judges the rule by."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow.dataset as ds

from sluice.pipeline.outputs.finished import read_manifest
from sluice.pipeline.storage import files as storage
from sluice.schemas.errors import OutputError


class Hit(NamedTuple):
    """A row of `contaminated/` (`sluice.filters.decontamination.decide.REVIEW`), with its columns.

    Attributes:
        post_id: of the post.
        set: name of the evaluation set.
        item: what names the item.
        share: how much of the item's text the post holds, in (0, 1].
        text: of the post.
        item_text: the question or the answer that it holds.
        source_file: of the post.
        source_row: of the post.
    """

    post_id: str
    set: str
    item: str
    share: float
    text: str
    item_text: str
    source_file: str
    source_row: int


def review(output: str, *, post_id: str | None = None) -> list[Hit]:
    """Returns the posts that were rejected as contaminated, or those with an id, in the order of the input.

    Raises:
        OutputError: the folder holds no finished run, or one that was not asked for a review.
    """
    read_manifest(output)
    files = storage.paths(storage.join(output, "contaminated"), ending=".parquet")
    if not files:
        raise OutputError(
            f"{output}: holds no review: its run had no evaluation sets, or not `review = true` in "
            f"[decontamination]"
        )
    only = None if post_id is None else ds.field("post_id") == post_id
    rows: list[dict[str, Any]] = storage.dataset(files).to_table(filter=only).to_pylist()
    return [Hit(*(row[name] for name in Hit._fields)) for row in rows]


def lines(hits: Iterable[Hit]) -> Iterator[str]:
    """Yields hits as the terminal shows them, each text after the item that it holds."""
    for hit in hits:
        where = f"{hit.source_file} row {hit.source_row}"
        yield f"{hit.set}:{hit.item}  share {hit.share:.2f}  post {hit.post_id}  {where}"
        yield f"  item  {_in_line(hit.item_text)}"
        yield f"  post  {_in_line(hit.text)}"


def _in_line(text: str) -> str:
    return " ".join(text.split())
