"""A fastText model ready to predict: its arrays laid out for the kernel, and a call a batch."""

import numpy as np
import pyarrow as pa

from filters.fasttext_kernel import (
    END_OF_LINE,
    NO_LABEL,
    SIGMOID,
    SIGMOID_END,
    SIGMOID_STEPS,
    SOFTMAX,
    TREE,
    Buckets,
    Layers,
    Output,
    Words,
    classify,
    fill_slots,
)
from filters.fasttext_model import Array, FastTextModel
from schemas.kernel import utf8_view

HEAVY = 10**15  # the count of a tree node that is not built yet


class FastTextClassifier:
    """A fastText model ready to predict: holds its arrays, and no GIL while it runs.

    Attributes:
        model: what it was made of.
        labels: L labels, in the order of the label indices.
    """

    def __init__(self, model: FastTextModel):
        self.model = model
        self.labels = model.labels
        self._words = _words(model)
        self._buckets = _buckets(model)
        self._layers = Layers(
            _fixed(model.input_RD), _fixed(model.output_LD), _fixed(model.output_norms_L)
        )
        self._outputs = {NO_LABEL: _output(model, target=NO_LABEL)}

    def predict(self, texts: pa.StringArray) -> tuple[Array, Array]:
        """Returns the best label of each text.

        Args:
            texts: (N,) string; a null reads as an empty text.

        Returns:
            (N,) int32 indices into `labels`, -1 where the library predicts nothing (no word, subword
            or n-gram of the text is known), and (N,) float32 probabilities, as the library gives them
            but at most 1, and 0 where there is no label.
        """
        return self._run(texts, NO_LABEL)

    def probability_of(self, texts: pa.StringArray, *, label: str) -> Array:
        """Returns (N,) float32, the probability of one label; 0 where nothing of a text is known.

        Raises:
            ValueError: the model has no such label.
        """
        if label not in self.labels:
            raise ValueError(f"{self.model.path}: no label {label!r}; has {', '.join(self.labels)}")
        target = self.labels.index(label)
        if target not in self._outputs:
            self._outputs[target] = _output(self.model, target=target)
        return self._run(texts, target)[1]

    def _run(self, texts: pa.StringArray, target: int) -> tuple[Array, Array]:
        data_B, offsets_N1 = utf8_view(texts)
        label_N = np.empty(len(texts), np.int32)
        probability_N = np.empty(len(texts), np.float32)
        parts = (self._words, self._buckets, self._layers, self._outputs[target])
        classify(data_B, offsets_N1, *parts, target, label_N, probability_N)
        return label_N, probability_N


def _fixed(array: Array) -> Array:
    """Returns the array contiguous and read-only, as the kernel's signature has it."""
    fixed = np.ascontiguousarray(array).view()
    fixed.flags.writeable = False
    return fixed


def _words(model: FastTextModel) -> Words:
    entries = model.words + model.label_names
    slots_S = np.full(1 << (2 * len(entries)).bit_length(), NO_LABEL, np.int32)
    hashes_V = np.empty(len(entries), np.uint32)
    spelling = _fixed(np.frombuffer(b"".join(entries), np.uint8))
    starts_V1 = _fixed(np.cumsum([0, *map(len, entries)], dtype=np.int64))
    fill_slots(spelling, starts_V1, hashes_V, slots_S)
    end = END_OF_LINE.tobytes()
    return Words(
        _fixed(slots_S),
        _fixed(hashes_V),
        spelling,
        starts_V1,
        num_words=len(model.words),
        end_of_line=model.words.index(end) if end in model.words else NO_LABEL,
    )


def _buckets(model: FastTextModel) -> Buckets:
    set_B = np.zeros(-(-model.num_buckets // 64) * 64, np.bool_)
    set_B[model.kept_B] = True
    bits_K = np.packbits(set_B, bitorder="little").view("<u8").astype(np.uint64)
    before_K = np.zeros(len(bits_K), np.int32)
    np.cumsum(set_B.reshape(-1, 64).sum(axis=1)[:-1], out=before_K[1:])
    if not len(model.kept_B):  # nothing to look for: no bitmap, and the kernel hashes no subword
        bits_K, before_K = bits_K[:0], before_K[:0]
    return Buckets(
        _fixed(bits_K),
        _fixed(before_K),
        modulus=model.num_buckets,
        first_row=len(model.words),
        shortest=model.min_subword,
        longest=model.max_subword,
        word_ngrams=model.word_ngrams,
    )


def _output(model: FastTextModel, *, target: int) -> Output:
    steps = np.arange(SIGMOID_STEPS + 1, dtype=np.float32)
    x = steps * np.float32(2 * SIGMOID_END) / np.float32(SIGMOID_STEPS) - np.float32(SIGMOID_END)
    sigmoid = (1.0 / (1.0 + np.exp(-x).astype(np.float64))).astype(np.float32)
    left_T, right_T = _tree(model.label_counts_L.tolist()) if model.loss == "hs" else ([], [])
    path, turns = _path(left_T, right_T, target=target)
    return Output(
        loss={"hs": TREE, "softmax": SOFTMAX, "ns": SIGMOID, "ova": SIGMOID}[model.loss],
        left_T=_integers(left_T),
        right_T=_integers(right_T),
        sigmoid=_fixed(sigmoid),
        path_P=_integers(path),
        turns_P=_integers(turns),
    )


def _integers(numbers: list[int]) -> Array:
    return _fixed(np.array(numbers, np.int32))


def _tree(counts: list[int]) -> tuple[list[int], list[int]]:
    """Returns the children of each node of the library's Huffman tree, -1 at the leaves.

    Labels stand in the order of falling counts, so the two lightest nodes are always among the last
    leaf not yet used and the first inner node not yet used.
    """
    num_leaves = len(counts)
    weights = counts + [HEAVY] * (num_leaves - 1)
    children: tuple[list[int], list[int]] = ([-1] * num_leaves, [-1] * num_leaves)
    leaf, inner = num_leaves - 1, num_leaves
    for node in range(num_leaves, 2 * num_leaves - 1):
        weight = 0
        for side in children:
            if leaf >= 0 and weights[leaf] < weights[inner]:
                lightest, leaf = leaf, leaf - 1
            else:
                lightest, inner = inner, inner + 1
            side.append(lightest)
            weight += weights[lightest]
        weights[node] = weight
    return children


def _path(left_T: list[int], right_T: list[int], *, target: int) -> tuple[list[int], list[int]]:
    """Returns the inner nodes from the root to a leaf, and 1 where the way turns right."""
    if target < 0 or not left_T:
        return [], []
    num_leaves = (len(left_T) + 1) // 2
    above = {c: (n, t) for t, side in enumerate((left_T, right_T)) for n, c in enumerate(side)}
    way = []
    node = target
    while node != len(left_T) - 1:
        node, turn = above[node]
        way.append((node - num_leaves, turn))
    way.reverse()
    return [inner for inner, _ in way], [turn for _, turn in way]
