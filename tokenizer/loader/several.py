"""The sequences of several outputs as one numbered set, for training on all of them at once."""

import hashlib
import os
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from pyarrow import fs

from sluice.schemas.arrays import Int64s
from sluice.schemas.errors import InputError
from sluice.tokenizer.loader.files import Place, Rows, ShardSet, gathered


class ShardSets:
    """The shards of some outputs, numbered one output after the other; as a `ShardSet`, but for its sizes.

    Attributes:
        sets: of each output.
        format: the numbers in the shards' schemas, equal in all.
        fingerprint: of the shards of all outputs in their order; of one output its own.
        is_mapped: whether all are local files.
    """

    def __init__(
        self,
        outputs: Sequence[str | os.PathLike[str]],
        *,
        filesystem: fs.FileSystem | None = None,
    ):
        """Reads the manifests; see `ShardSet`.

        Raises:
            InputError: an output is not finished, or cannot be read together with the first.
            VerifyError: the files of an output are not what its manifest says.
        """
        self.sets = tuple(ShardSet(output, filesystem=filesystem) for output in outputs)
        first = self.sets[0]
        for other in self.sets[1:]:
            _check_alike(first, other)
        self.format = first.format
        self.is_mapped = all(shards.is_mapped for shards in self.sets)
        self.fingerprint = first.fingerprint
        if len(self.sets) > 1:
            lines = "".join(f"{shards.fingerprint}\n" for shards in self.sets)
            self.fingerprint = hashlib.sha256(lines.encode()).hexdigest()
        self._first_S = np.array([0, *accumulate(map(len, self.sets))][:-1], np.int64)

    def keep(self, num_batches: int) -> None:
        """Sets how many record batches of each output are cached; see `ShardSet`."""
        for shards in self.sets:
            shards.keep(num_batches)

    def rows(self, numbers_B: Int64s) -> Rows:
        """Returns sequences by (B,) int64 numbers, in that order; see `ShardSet.rows`."""
        if len(self.sets) == 1:
            return self.sets[0].rows(numbers_B)
        set_B = np.searchsorted(self._first_S, numbers_B, side="right") - 1
        if set_B[0] == set_B[-1] and (set_B == set_B[0]).all():
            only = self.sets[int(set_B[0])]
            return only.rows(numbers_B - self._first_S[set_B[0]])
        places: list[Place | None] = [None] * len(numbers_B)
        for index in np.unique(set_B).tolist():
            own_O = np.flatnonzero(set_B == index)
            found = self.sets[index].places(numbers_B[own_O] - self._first_S[index])
            for b, place in zip(own_O.tolist(), found, strict=True):
                places[b] = place
        return gathered([place for place in places if place is not None])


def _check_alike(first: ShardSet, other: ShardSet) -> None:
    """Raises InputError where tokens of two outputs do not mean the same."""
    if first.format != other.format:
        raise InputError(
            f"{other.name}: has {other.format}, and {first.name} has {first.format}: outputs that are read "
            f"together must be equal in all of these"
        )
    if first.tokenizer != other.tokenizer:
        raise InputError(
            f"{other.name}: has another tokenizer than {first.name}, so that an id is another text: run it "
            f"with vocabulary.tokenizer = {first.name}/tokenizer/tokenizer.json"
        )
