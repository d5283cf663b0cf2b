"""A batch of posts, and the views that filters derive from it once and share.

A view is anything with a row for each post: a text made of the text, counts, a predicted language. It has
a name, is computed when a filter first asks for it, and follows the rows when some are taken out. The
views of the text are here; those that need a model are given to a batch when it is made
(`sluice.filters.language.views`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Self

import pyarrow as pa

from sluice.filters.text.features import TextFeatures, text_features
from sluice.filters.text.views import classifier_text, dedup_text
from sluice.schemas.arrays import Bools, Float32s
from sluice.schemas.post import POST

Mask = Bools
Scores = Float32s


class Languages(NamedTuple):
    """The predicted language of N texts.

    Attributes:
        language: (N,) string, ISO 639-1 where there is one, else 639-3; never null.
        language_group: (N,) string, the macrolanguage (ar, no, zh) or the language itself.
        confidence_N: (N,) float32 in [0, 1], the probability of `language`.
    """

    language: pa.StringArray
    language_group: pa.StringArray
    confidence_N: Scores

    def filter(self, mask_N: Mask) -> "Languages":
        """Returns the rows where the mask is true."""
        mask = pa.array(mask_N)
        return Languages(
            self.language.filter(mask), self.language_group.filter(mask), self.confidence_N[mask_N]
        )


class Batch:
    """A POST batch and what is derived from it: computed when first asked for, shared by all filters.

    Attributes:
        posts: the rows, of POST schema, with text already normalised.

    Args:
        views: more views by name, beside those of the text. A view is a function of the batch; what it
            returns is an Arrow array, or has a method `filter` that takes a (N,) bool mask and returns the
            rows where it is true.
    """

    def __init__(self, posts: pa.RecordBatch, views: "Views | None" = None):
        self.posts = posts
        self._views: Views = {**TEXT_VIEWS, **(views or {})}
        self._derived: dict[str, Any] = {}

    def __len__(self) -> int:
        return int(self.posts.num_rows)

    def has(self, name: str) -> bool:
        """Returns whether the batch has a view of this name, computed or not."""
        return name in self._views

    def view(self, name: str) -> Any:
        """Returns a view by its name; it is computed once.

        Raises:
            TypeError: the batch was made without a view of this name.
        """
        if name not in self._derived:
            if name not in self._views:
                known = ", ".join(sorted(self._views))
                raise TypeError(
                    f"this batch has no view {name!r}: pass it to Batch(); it has {known}"
                )
            self._derived[name] = self._views[name](self)
        return self._derived[name]

    @property
    def text(self) -> pa.StringArray:
        """(N,) string, the normalised text."""
        return self.posts.column("text")

    @property
    def features(self) -> TextFeatures:
        """Counts of characters, words and signs, from one pass over the text."""
        features: TextFeatures = self.view("features")
        return features

    @property
    def classifier_text(self) -> pa.StringArray:
        """(N,) string, what language, spam and toxicity models read."""
        return self.view("classifier_text")

    @property
    def dedup_text(self) -> pa.StringArray:
        """(N,) string, the text that duplicates are compared by."""
        return self.view("dedup_text")

    @property
    def languages(self) -> Languages:
        """The predicted language of each text."""
        languages: Languages = self.view("languages")
        return languages

    def with_text(self, texts: pa.StringArray) -> Self:
        """Returns the posts with other texts, and of what was derived the languages."""
        at = self.posts.schema.get_field_index("text")
        changed = type(self)(self.posts.set_column(at, POST.field("text"), texts), self._views)
        changed._derived = {n: of for n, of in self._derived.items() if n == "languages"}
        return changed

    def filter(self, mask_N: Mask) -> Self:
        """Returns the rows where the mask is true, with what was already derived."""
        mask = pa.array(mask_N)
        kept = type(self)(self.posts.filter(mask), self._views)
        for name, derived in self._derived.items():
            is_array = isinstance(derived, pa.Array)
            kept._derived[name] = derived.filter(mask if is_array else mask_N)
        return kept


View = Callable[[Batch], Any]
Views = Mapping[str, View]

TEXT_VIEWS: Final[Views] = {
    "classifier_text": lambda batch: classifier_text(batch.text),
    "dedup_text": lambda batch: dedup_text(batch.text),
    "features": lambda batch: text_features(batch.text),
}
"""The views that every batch has."""
