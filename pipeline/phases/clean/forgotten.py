"""Posts that were forgotten are left out where they are read, before anything of them is written.

So an intermediate file holds nothing of them, whatever later phases do. Posts that repeat one go with it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.privacy.keyed_ids import IdKey
from sluice.pipeline.inputs.forgotten import ForgottenPosts
from sluice.pipeline.phases.clean.batches import PHASE
from sluice.schemas.arrays import Bools
from sluice.schemas.payloads.columns import ReadBatch
from sluice.schemas.reject import FORGOTTEN, POLICY, REJECT, rejects_of


def without_forgotten(read: ReadBatch, forgotten: ForgottenPosts, key: IdKey) -> ReadBatch:
    """Returns what was read, with a reject row in the place of each post that was forgotten, or repeats one.

    Its id, and that of a malformed row that bears one, is its keyed hash.
    """
    out_N = forgotten.have_ids(read.posts.column("post_id"), key) | _repeat(
        read.posts, forgotten, key
    )
    rejected = _with_hashes(read.rejected, forgotten, key)
    if not out_N.any():
        return read._replace(rejected=rejected)
    out = read.posts.filter(pa.array(out_N))
    rows = rejects_of(out, kind=POLICY, phase=PHASE, stage=FORGOTTEN, reason=FORGOTTEN)
    rows = _with_hashes(rows, forgotten, key)
    return read._replace(
        posts=read.posts.filter(pa.array(~out_N)), rejected=pa.concat_batches([rejected, rows])
    )


def _repeat(posts: pa.RecordBatch, forgotten: ForgottenPosts, key: IdKey) -> Bools:
    """Returns (N,) bool, which posts repeat one that was forgotten."""
    none_N = np.zeros(posts.num_rows, np.bool_)
    if "reposted_id" not in posts.schema.names:
        return none_N
    ids = posts.column("reposted_id")
    at_M = np.flatnonzero(np.asarray(ids.is_valid()))
    none_N[at_M] = forgotten.have_ids(ids.take(pa.array(at_M)), key)
    return none_N


def _with_hashes(rejected: pa.RecordBatch, forgotten: ForgottenPosts, key: IdKey) -> pa.RecordBatch:
    """Returns REJECT rows in which ids of posts that were forgotten are their keyed hashes."""
    ids = rejected.column("post_id")
    is_known_N = pa.array(forgotten.have_ids(ids, key))
    hashed = pc.replace_with_mask(ids, is_known_N, key.posts(ids.filter(is_known_N)))
    index = REJECT.get_field_index("post_id")
    return rejected.set_column(index, REJECT.field("post_id"), hashed)
