"""What is a duplicate among real posts: a sample, and every pair of texts that shares a shingle.

The truth is brute force. Shingles are the code-point 5-grams of the deduplication text as strings,
numbered by a dictionary, so that no hash of the product is in it; every pair of texts that has one
in common is met through an inverted index, its shared shingles are counted, and its Jaccard index
is the quotient of two whole numbers. No prefix, size or frequency filter leaves a pair out.

Shape suffixes: N posts, T distinct texts, M pairs, S shingles.
"""

import hashlib
import math
import os
from array import array
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.real_posts import posts_of, rows_of
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import dedup_text
from sluice.schemas.arrays import Array
from sluice.schemas.kernel import kernel, types

NGRAM = 5
FLOOR = 0.5
"""Pairs below this Jaccard index are counted, not kept."""

BLOCK_TEXTS = 1000


class Posts(NamedTuple):
    """Posts in the order in which they are preferred: the earliest first, those without a time last.

    Attributes:
        raw: (N,) string, as it comes.
        text: (N,) string, what duplicates are compared by; may be empty.
        source: (N,) string, the collection that a post comes from.
        group: (N,) string, the week of a post, or its labelled language where it has no time.
        repeated: rows left out because an earlier row has the same id.
    """

    raw: pa.StringArray
    text: pa.StringArray
    source: pa.StringArray
    group: pa.StringArray
    repeated: int

    def take(self, row_M: Array) -> "Posts":
        """Returns the posts of some rows."""
        at_M = pa.array(row_M)
        return Posts(*(column.take(at_M) for column in self[:4]), self.repeated)


def read_posts(folder: Path) -> Posts:
    """Returns all posts of the firehose, each id once.

    Args:
        folder: that of SLUICE_DATA.
    """
    rows = list(rows_of(posts_of(folder)))
    first = {row["id"]: row for row in reversed(rows)}
    posts = sorted(first.values(), key=lambda row: row["created_at"] or "~")
    columns = ([row["text"] for row in posts], [row["source"] for row in posts], map(_group, posts))
    raw, source, group = (pa.array(column, pa.string()) for column in columns)
    return Posts(raw, dedup_text(normalize(raw)), source, group, len(rows) - len(posts))


def _group(row: dict[str, Any]) -> str:
    try:
        day = date.fromisoformat(row["created_at"][:10])
    except (TypeError, ValueError):
        return str(row["lang"])
    return (day - timedelta(days=day.weekday())).isoformat()


def draw(posts: Posts, num_posts: int) -> Posts:
    """Returns whole weeks of every source, in proportion, with a text to compare.

    Copies are sent close together, and every k-th post would part them. So each source gives whole
    groups, drawn by the hash of the group's name, as many as fit in its share; where none fits, its
    smallest one. Sources of one group are in with all their posts, so there are rather more than
    `num_posts`.
    """
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    names = zip(posts.source.to_pylist(), posts.group.to_pylist(), strict=True)
    for row, (source, group) in enumerate(names):
        groups[source][group].append(row)
    share = min(1.0, num_posts / len(posts.text))
    row_M = np.sort([row for of in groups.values() for row in _some(of, share)])
    some_N = np.asarray(pc.binary_length(posts.text)) > 0
    return posts.take(row_M[some_N[row_M]])


def _some(groups: dict[str, list[int]], share: float) -> list[int]:
    most = math.ceil(share * sum(map(len, groups.values())))
    taken: list[int] = []
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(taken) + len(groups[name]) <= most:
            taken += groups[name]
    return taken or min(groups.values(), key=len)


class Shingles(NamedTuple):
    """The shingles of T texts, by number."""

    starts_T1: Array
    number_S: Array
    num_distinct: int


def number_shingles(texts: list[str]) -> Shingles:
    """Returns the distinct shingles of each text, numbered in the order in which they are met."""
    numbers: dict[str, int] = {}
    number_S, starts = array("i"), array("q", [0])
    for text in texts:
        number_S.extend({numbers.setdefault(s, len(numbers)) for s in shingles(text)})
        starts.append(len(number_S))
    return Shingles(np.array(starts, np.int64), np.array(number_S, np.int32), len(numbers))


def shingles(text: str) -> set[str]:
    """The definition: code-point 5-grams, or the whole text if it is shorter, or nothing."""
    count = max(1, len(text) - NGRAM + 1)
    return {text[i : i + NGRAM] for i in range(count)} if text else set()


class Pairs(NamedTuple):
    """Pairs of distinct texts, left < right, ascending, and their exact Jaccard index.

    Attributes:
        sharing_10: pairs that share a shingle, by tenth of the Jaccard index.
    """

    left_M: Array
    right_M: Array
    jaccard_M: Array
    sharing_10: Array

    def at_least(self, threshold: float) -> "Pairs":
        """Returns the pairs of this Jaccard index or more."""
        keep_M = self.jaccard_M >= threshold
        return Pairs(*(column[keep_M] for column in self[:3]), self.sharing_10)


def true_pairs(texts: list[str]) -> Pairs:
    """Returns every pair of texts whose Jaccard index is FLOOR or more, by brute force.

    Args:
        texts: (T,), distinct and not empty.
    """
    known = number_shingles(texts)
    text_S = np.repeat(np.arange(len(texts), dtype=np.int32), np.diff(known.starts_T1))
    text_S = text_S[np.argsort(known.number_S, kind="stable")]
    counts = np.bincount(known.number_S, minlength=known.num_distinct)
    index = (np.concatenate(([0], np.cumsum(counts))), text_S)
    meet = partial(_block, known, index)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(meet, range(0, len(texts), BLOCK_TEXTS)))
    left_M, right_M, shared_M = np.concatenate([f[0] for f in found]).astype(np.int64).T
    size_T = np.diff(known.starts_T1)
    jaccard_M = shared_M / (size_T[left_M] + size_T[right_M] - shared_M)
    order_M = np.lexsort((right_M, left_M))
    sharing_10 = np.sum([f[1] for f in found], axis=0)
    return Pairs(left_M[order_M], right_M[order_M], jaccard_M[order_M], sharing_10)


def _block(known: Shingles, index: tuple[Array, Array], first: int) -> tuple[Array, ...]:
    last = min(first + BLOCK_TEXTS, len(known.starts_T1) - 1)
    return tuple(_meet(known.starts_T1, known.number_S, *index, first, last, FLOOR))


_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_FOUND = types.Tuple((types.Array(types.int32, 2, "C"), _I64))


@kernel(_FOUND(_I64, _I32, _I64, _I32, types.int64, types.int64, types.float64))
def _meet(
    starts_T1: Any,
    number_S: Any,
    index_starts: Any,
    index_texts: Any,
    first: Any,
    last: Any,
    floor: Any,
) -> Any:
    """Meets each text from `first` to before `last` with all earlier ones that share a shingle.

    Returns (M, 3), left, right and shared shingles of the pairs kept, and (10,), how many met.
    """
    count_T = np.zeros(len(starts_T1) - 1, np.int32)
    met_T = np.empty(len(count_T), np.int32)
    found_M3 = np.empty((1024, 3), np.int32)
    sharing_10 = np.zeros(10, np.int64)
    num = 0
    for right in range(first, last):
        num_met = 0
        for s in range(starts_T1[right], starts_T1[right + 1]):
            at = index_starts[number_S[s]]
            while index_texts[at] < right:
                left = index_texts[at]
                if count_T[left] == 0:
                    met_T[num_met] = left
                    num_met += 1
                count_T[left] += 1
                at += 1
        size = starts_T1[right + 1] - starts_T1[right]
        for m in range(num_met):
            left = met_T[m]
            shared = count_T[left]
            count_T[left] = 0
            jaccard = shared / (size + starts_T1[left + 1] - starts_T1[left] - shared)
            sharing_10[min(9, np.int64(jaccard * 10))] += 1
            if jaccard >= floor:
                if num == len(found_M3):
                    found_M3 = np.concatenate((found_M3, np.empty_like(found_M3)))
                found_M3[num, 0], found_M3[num, 1], found_M3[num, 2] = left, right, shared
                num += 1
    return found_M3[:num], sharing_10


def removed_by_truth(pairs: Pairs, num_texts: int) -> Array:
    """Returns (T,) bool: what leader clustering in the order of the texts removes.

    Args:
        pairs: all that count as duplicates.
        num_texts: T.
    """
    removed_T = np.zeros(num_texts, np.bool_)
    order_M = np.lexsort((pairs.left_M, pairs.right_M))
    lefts, rights = pairs.left_M[order_M].tolist(), pairs.right_M[order_M].tolist()
    for left, right in zip(lefts, rights, strict=True):
        if not removed_T[left]:
            removed_T[right] = True
    return removed_T


class Judgement(NamedTuple):
    """What became of the posts, beside the truth.

    Attributes:
        removed: posts.
        wrong: of them without any kept post of the same text or at the threshold.
        due: posts that leader clustering over the true pairs removes.
        left: posts that it would still remove from those that were kept.
        with_partner: kept posts that have a kept partner.
    """

    removed: int
    wrong: int
    due: int
    left: int
    with_partner: int

    @property
    def precision(self) -> float:
        """Share of the removed posts that have a kept post at the threshold or of the same text."""
        return 1 - self.wrong / max(1, self.removed)

    @property
    def recall(self) -> float:
        """Share of the posts due to go that need not go any more."""
        return 1 - self.left / max(1, self.due)


def judge(removed_N: Array, text_N: Array, pairs: Pairs) -> Judgement:
    """Judges by the truth what was removed.

    Args:
        removed_N: bool, by post.
        text_N: the number of each post's text; texts are numbered as posts come.
        pairs: those at the threshold, of texts.
    """
    num_texts = int(text_N.max()) + 1
    copies_T = np.bincount(text_N[~removed_N], minlength=num_texts)
    beside_T = np.zeros(num_texts, np.bool_)
    beside_T[pairs.left_M[copies_T[pairs.right_M] > 0]] = True
    beside_T[pairs.right_M[copies_T[pairs.left_M] > 0]] = True
    kept_T = copies_T > 0
    both_M = kept_T[pairs.left_M] & kept_T[pairs.right_M]
    still = pairs._replace(left_M=pairs.left_M[both_M], right_M=pairs.right_M[both_M])
    due = len(text_N) - num_texts + int(removed_by_truth(pairs, num_texts).sum())
    left = int(copies_T.sum() - kept_T.sum() + removed_by_truth(still, num_texts).sum())
    wrong = int((~(kept_T | beside_T))[text_N[removed_N]].sum())
    with_partner = int(((copies_T > 1) | beside_T)[text_N[~removed_N]].sum())
    return Judgement(int(removed_N.sum()), wrong, due, left, with_partner)


def distinct(texts: pa.StringArray) -> tuple[pa.StringArray, Array]:
    """Returns the distinct texts in the order in which they come, and (N,) the number of each row's."""
    encoded = texts.dictionary_encode()
    return encoded.dictionary, np.asarray(encoded.indices, np.int64)
