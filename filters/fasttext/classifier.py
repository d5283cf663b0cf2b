"""fastText models ready to predict: one alone, or several over the same texts."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from sluice.filters.fasttext.hidden import hidden_layers
from sluice.filters.fasttext.join import ModelInput, ReadingPlan, plan
from sluice.filters.fasttext.kernels.output import Hidden, fill_all, fill_one, fill_top
from sluice.filters.fasttext.layout import buckets_of, output_of, path_to, table_of, words_of
from sluice.filters.fasttext.model import FastTextModel
from sluice.schemas.arrays import Array

PLANS = 8
"""Sets of models whose joined tables are held; a table costs some megabytes, and 80 msec to make."""


class FastTextClassifier:
    """A fastText model ready to predict: holds its arrays, and no GIL while it runs.

    Every method takes texts or, where other models share the work on them, what `read_together` returns.

    Attributes:
        model: what it was made of.
        labels: L labels, in the order of the label indices.
    """

    def __init__(self, model: FastTextModel):
        self.model = model
        self.labels = model.labels
        self._input = ModelInput(words_of(model), buckets_of(model), table_of(model))
        self._alone = plan([self._input])
        self._output = output_of(model)

    def predict(self, texts: pa.StringArray | Hidden) -> tuple[Array, Array]:
        """Returns the best label of each text.

        Args:
            texts: (N,) string; a null reads as an empty text.

        Returns:
            (N,) int32 indices into `labels`, -1 where the library predicts nothing (no word, subword
            or n-gram of the text is known), and (N,) float32 probabilities, as the library gives them
            but at most 1, and 0 where there is no label.
        """
        label_N1, probability_N1 = self.predict_top(texts, k=1)
        return label_N1[:, 0], probability_N1[:, 0]

    def predict_top(
        self, texts: pa.StringArray | Hidden, *, k: int, threshold: float = 0.0
    ) -> tuple[Array, Array]:
        """Returns the k best labels of each text, best first.

        Args:
            texts: (N,) string; a null reads as an empty text.
            k: how many labels, at least 1.
            threshold: the least probability of a label.

        Returns:
            (N, k) int32 indices into `labels`, and (N, k) float32 probabilities, as the library gives
            them but at most 1; -1 and 0 where there are no more labels.

        Raises:
            ValueError: k is less than 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, is {k}")
        hidden = self._hidden(texts)
        label_NK = np.empty((len(hidden.num_rows_N), k), np.int32)
        probability_NK = np.empty((len(hidden.num_rows_N), k), np.float32)
        fill_top(hidden, self._output, np.float32(threshold), label_NK, probability_NK)
        return label_NK, probability_NK

    def probability_of(self, texts: pa.StringArray | Hidden, *, label: str) -> Array:
        """Returns (N,) float32, the probability of one label; 0 where nothing of a text is known.

        Raises:
            ValueError: the model has no such label.
        """
        if label not in self.labels:
            raise ValueError(f"{self.model.path}: no label {label!r}; has {', '.join(self.labels)}")
        target = self.labels.index(label)
        hidden = self._hidden(texts)
        probability_N = np.empty(len(hidden.num_rows_N), np.float32)
        fill_one(hidden, self._output, target, *path_to(self._output, target), probability_N)
        return probability_N

    def probabilities(self, texts: pa.StringArray | Hidden) -> Array:
        """Returns (N, L) float32, the probability of every label; 0 where nothing of a text is known.

        They are the output layer itself: the library adds 0.00001 to a probability before it lists it
        (for `hs` to each turn on the way to a label), which `predict` and the others do too.
        """
        hidden = self._hidden(texts)
        probability_NL = np.empty((len(hidden.num_rows_N), len(self.labels)), np.float32)
        fill_all(hidden, self._output, probability_NL)
        return probability_NL

    def _hidden(self, texts: pa.StringArray | Hidden) -> Hidden:
        return texts if isinstance(texts, Hidden) else hidden_layers(texts, self._alone)[0]


def read_together(
    texts: pa.StringArray, classifiers: Sequence[FastTextClassifier]
) -> tuple[Hidden, ...]:
    """Reads texts for several models at once: what each makes of them, for its methods to answer from.

    Words are split, hashed and cut into subwords once for all models, so that a model more costs its own
    look-ups and sums alone. Two models of one dimension that look the same subwords up are read as one.
    Answers are, bit for bit, those of each model on the texts themselves.

    What a choice in training costs, in us per post of 90 bytes (batches of 16,000; trust the ratios):
    splitting and numbering words 0.9 and hashing subwords 0.5, once for all models; then, for each model
    with 50,000 rows, look-ups 0.35 and sums 0.2 (4 or 8 numbers), 0.35 (16), 0.8 (32), 1.9 (64). 5,000 rows
    in place of 50,000 save 0.3. Subwords of 2-6 characters in place of 2-4 cost 0.2, 1-4 the same; word
    pairs cost 0.15. The answer costs 0.1 for 2 labels, 0.5 for 61, 1.4 for 200, 0.25 for 176 in a tree
    as lid.176 is. Another number of buckets costs 0.15 once.

    Args:
        texts: (N,) string; a null reads as an empty text.
        classifiers: M models of any kind. Those with as many buckets (`bucket` in training) share most.

    Returns:
        For each model, in their order, the hidden layers of the N texts.
    """
    return hidden_layers(texts, _plan(tuple(classifiers)))


@lru_cache(maxsize=PLANS)
def _plan(classifiers: tuple[FastTextClassifier, ...]) -> ReadingPlan:
    return plan([classifier._input for classifier in classifiers])
