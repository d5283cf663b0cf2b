"""A filter of datatrove as a scorer of Sluice: its verdicts on the posts of a batch."""

from typing import TYPE_CHECKING

from sluice import Batch, Scorer
from sluice.filters.base import on_grid
from sluice.filters.batch import Scores

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter


def verdicts(made: "BaseFilter") -> Scorer:
    """Returns a scorer: (N,) float32, 1 where a filter of datatrove keeps the post, else 0.

    datatrove looks at one document at a time, in Python, which is slower than work on columns: put it last in
    a recipe, where there are fewest posts, with `costly = True`.
    """
    from datatrove.data import Document  # here: to list filters needs no datatrove
    from datatrove.pipeline.filters.base_filter import get_filter_result

    def keeps(text: str) -> bool:
        kept, _ = get_filter_result(made.filter(Document(text=text, id="")))
        return bool(kept)

    def score(batch: Batch) -> Scores:
        return on_grid([keeps(text) for text in batch.text.to_pylist()])

    return score
