"""The view `languages` of a batch, and what a machine that names languages is."""

from typing import Any, Protocol

import pyarrow as pa

from sluice.filters.batch import Batch, Languages, Views
from sluice.filters.fasttext.views import Hiddens, hidden_view, hiddens_of
from sluice.filters.hashed.views import hashed_view


class LanguageIdentifier(Protocol):
    """A machine that names languages; `sluice.filters.language.identify` has the shipped one.

    One that runs fastText models names them in an attribute `classifiers`, so that a batch reads its
    texts for all models at once.
    """

    def __call__(self, texts: pa.StringArray, hidden: Hiddens = ..., /) -> Languages:
        """Returns the language of each text (classifier text), a pure function of that text.

        `hidden` is what models of the machine make of the texts, where that is known already.
        """
        ...


def model_views(identify: LanguageIdentifier, *scorers: Any) -> Views:
    """Returns the views of a batch that models make: `languages`; `hidden` and `hashed` for all at once.

    Args:
        identify: names languages.
        scorers: other machines that may run fastText models, or read a hashed table.
    """

    def languages(batch: Batch) -> Languages:
        return identify(batch.classifier_text, hiddens_of(batch))

    return {**hidden_view(identify, *scorers), **hashed_view(*scorers), "languages": languages}
