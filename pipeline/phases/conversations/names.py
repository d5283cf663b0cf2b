"""The stage `names`: roots of a unit -> the names of their documents, for all posts that are in them.

Shape suffixes: N posts, D roots, M posts of documents.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.phases.conversations.numbers import PostNumbers
from sluice.pipeline.phases.conversations.resolve import QUOTED, ROOT_ALONE, ROOT_SHARES_ID
from sluice.pipeline.phases.edges import exchanged_edge, rows_of, take_kept
from sluice.pipeline.units import exchange
from sluice.pipeline.units.attempt import Attempt
from sluice.pipeline.units.manifest import Done, Unit
from sluice.schemas.arrays import Uint8s, Uint32s, Uint64s
from sluice.schemas.counts import NoCounts

PLACE = pa.schema(
    [
        ("row", pa.uint32()),
        ("order", pa.uint64()),
        ("name", pa.uint64()),
        ("time", pa.int64()),
        ("depth", pa.int32()),
        ("quoted", pa.bool_()),
    ]
)
"""The `named` and `places` edges: a post of a clean unit by its row, two hashes of the name of its document
(see `DocumentHashes`), and its place there: by `time`, then by `depth`, then by its id."""

NAME_COLUMNS = ("post_id", "conversation_id")
"""What a document is named by."""
_ALONE = "\0"
"""Begins the names of documents that no conversation's id is."""
_SECOND_SEED = 1 << 32


class DocumentHashes(NamedTuple):
    """Two hashes of the name of the document of each post.

    Attributes:
        order_N: (N,) uint64, by which documents are dealt and ordered.
        name_N: (N,) uint64, which tells documents of equal order.
    """

    order_N: Uint64s
    name_N: Uint64s


def document_hashes(names: pa.StringArray, *, seed: int) -> DocumentHashes:
    """Returns the hashes of names; `seed` is below 2^32."""
    return DocumentHashes(hash_texts(names, seed=seed), hash_texts(names, seed=seed + _SECOND_SEED))


def document_names(posts: pa.RecordBatch) -> pa.StringArray:
    """Returns (N,) string, the conversation of each post, or its id: the name of what it begins."""
    return pc.coalesce(posts.column("conversation_id"), posts.column("post_id"))


def root_names(posts: pa.RecordBatch, number_D: Uint32s, flags_D: Uint8s) -> pa.StringArray:
    """Returns (D,) string, the names of the documents of roots.

    A root that answers what did not survive has a name of its own, and so has one without a conversation
    whose id a survivor before it has.

    Args:
        posts: NAME_COLUMNS of the roots.
        number_D: (D,) uint32, their dense numbers.
        flags_D: (D,) uint8, of MEMBER.
    """
    is_alone_D = (flags_D & ROOT_ALONE) != 0
    is_shared_D = (flags_D & ROOT_SHARES_ID) != 0
    is_own_D = is_alone_D | (is_shared_D & np.asarray(posts.column("conversation_id").is_null()))
    numbers = pc.if_else(pa.array(is_shared_D), pa.array(number_D).cast(pa.string()), "")
    own = pc.binary_join_element_wise(_ALONE, posts.column("post_id"), numbers, _ALONE)
    return pc.if_else(pa.array(is_own_D), own, document_names(posts))


@dataclass(frozen=True)
class NameDocuments:
    """Roots of a clean unit -> PLACE rows of all posts in their documents, by the clean unit of the post."""

    folder: str
    posts: PostNumbers
    seed: int
    name: str = "conversations_names"
    counts: ClassVar = NoCounts

    def do(self, unit: Unit, attempt: Attempt) -> NoCounts:
        """Names the documents of a unit's roots."""
        members = pa.concat_batches([batch for _, batch in exchange.read(unit)])
        root_M, post_M, flags_M = (np.asarray(members.column(n)) for n in ("root", "post", "flags"))
        number_D, first_D, of_M = np.unique(root_M, return_index=True, return_inverse=True)
        row_D = number_D.astype(np.int64) - self.posts.first[unit.index]
        done = Done(self.posts.folder, self.posts.units[unit.index])
        roots = pa.concat_batches(take_kept(done, row_D, columns=NAME_COLUMNS))
        names = root_names(roots, number_D, flags_M[first_D])
        order_D, name_D = document_hashes(names, seed=self.seed)
        unit_M = self.posts.unit_of(post_M)
        row_M = post_M - np.asarray(self.posts.first, np.uint32)[unit_M]
        time, depth = members.column("time"), members.column("depth")
        quoted = pa.array((flags_M & QUOTED) != 0)
        rows = rows_of(PLACE, row_M, order_D[of_M], name_D[of_M], time, depth, quoted)
        shape = PLACE, len(self.posts.units)
        with exchanged_edge(attempt, "named", *shape, compressed=True) as writer:
            writer.write(rows, unit_M)
        return NoCounts()
