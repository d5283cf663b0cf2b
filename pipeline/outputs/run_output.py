"""`sluice.open_output`: what a finished run wrote, as tables, values and the tokens of a post."""

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from sluice.pipeline.outputs.finished import read_manifest, read_report
from sluice.pipeline.outputs.inspect import Inspection, Placement, inspect
from sluice.pipeline.phases.tokens.packed_files import FORGOTTEN_AT, provenance_schema
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.output_folder import COMPLETED
from sluice.schemas.arrays import Int32s
from sluice.schemas.errors import OutputError, VerifyError
from sluice.schemas.manifest import Manifest
from sluice.schemas.notice import DELETIONS
from sluice.schemas.reject import REJECT
from sluice.schemas.report import PostReport, Report
from sluice.schemas.token_shard import ROWS_PER_BATCH, ShardFormat
from sluice.tokenizer.vocabulary.load import parsed

OPEN_SHARDS = 64
"""Shards that are kept open."""
LEFTOVER = "leftover/tokens.arrow"


class RunOutput:
    """A finished output. Files are opened when they are first asked for; nothing is written.

    Attributes:
        path: the folder or URI.
        manifest: manifest.json: the recipe, fingerprints, inputs, counts, and every file with its SHA-256.
    """

    def __init__(self, path: str):
        """Reads the manifest.

        Raises:
            OutputError: the folder holds no finished run.
        """
        self.path = path
        self.manifest: Manifest = read_manifest(path)
        if not storage.is_file(storage.join(path, COMPLETED)):
            raise OutputError(
                f"{path}: no {COMPLETED}: the run did not finish; rerun the same command to resume"
            )
        self._reader = lru_cache(OPEN_SHARDS)(self._open)

    def __repr__(self) -> str:
        """Returns the path and what is there, in a line."""
        sequences = sum(shard.sequences for shard in self.manifest.shards)
        return (
            f"RunOutput({self.path!r}: {self.counts.kept:,} of {self.counts.read:,} posts kept, "
            f"{sequences:,} sequences in {len(self.manifest.shards):,} shards)"
        )

    @cached_property
    def report(self) -> Report:
        """report.json: where every post went, what the tokens are, what it cost."""
        return read_report(self.path)

    @property
    def counts(self) -> PostReport:
        """Posts: read, kept, rejected by reason, duplicates by kind, malformed, errors."""
        return self.manifest.posts

    @cached_property
    def shards(self) -> ds.Dataset:
        """The sequences of all shards in order: `tokens`, `doc_ends` (`sluice.schemas.token_shard`)."""
        names = [shard.path for shard in self.manifest.shards]
        return self._dataset(names, self._format.schema, format="ipc")

    @cached_property
    def provenance(self) -> ds.Dataset:
        """A row for each piece of a post in the shards: shard, sequence, offset, length, post_id, piece.

        Where posts were forgotten, `forgotten_at` says which rows are of one: `post_id` is a hash there.
        """
        names = self._named("provenance/")
        recipe = self.manifest.recipe
        schema = provenance_schema(
            counted=self._counts_copies,
            carried=recipe["tokens"].get("provenance", ()),
            has_media=recipe.get("media", {}).get("placeholders", False),
        )
        if self.manifest.forgotten is not None:
            schema = schema.append(FORGOTTEN_AT)
        return self._dataset(names, schema)

    @cached_property
    def rejects(self) -> ds.Dataset:
        """A row for each post that was not kept, and why (`sluice.schemas.reject`)."""
        return self._dataset(self._named("rejects/"), REJECT)

    @cached_property
    def deletions(self) -> ds.Dataset:
        """Posts and authors that are to be used no more, for later days (`input.deletions`)."""
        return self._dataset(self._named("deletions/"), DELETIONS)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, as an object of the library `tokenizers`; not to be changed, as it is shared."""
        path = storage.join(self.path, "tokenizer", "tokenizer.json")
        try:
            return parsed(storage.read_bytes(path)).engine
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error}") from None

    def post(self, post_id: str) -> Inspection:
        """Returns what happened to a post: reason and score, or where its tokens are.

        Raises:
            UnknownPostError: no row has the id.
        """
        return inspect(self.path, post_id)

    def tokens(self, post_id: str) -> Int32s:
        """Returns (T,) int32: the tokens of a kept post, with those that begin and end its document.

        The pieces of a post that was cut come one after the other. Of a post that a mixture repeats, or whose
        id several kept posts bear, the first.

        Raises:
            UnknownPostError: no row has the id.
            OutputError: the post was not kept, or copies of it were cut at different places.
        """
        post = self.post(post_id)
        if not post.placements:
            raise OutputError(
                f"{self.path}: post {post_id!r} has no tokens: {post.outcome}, {post.reason}"
            )
        return np.concatenate([self._piece(place) for place in _first_copy(post, self.path)])

    def text(self, post_id: str) -> str:
        """Returns the text of a kept post, decoded from its tokens: as the run normalised it.

        Raises:
            UnknownPostError: no row has the id.
            OutputError: the post was not kept, or copies of it were cut at different places.
        """
        ids = self.tokens(post_id).tolist()
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    @property
    def _format(self) -> ShardFormat:
        return ShardFormat(*(getattr(self.manifest.format, n) for n in ShardFormat._fields))

    @property
    def _counts_copies(self) -> bool:
        return bool(self.manifest.recipe["dedup"].get("count_copies", False))

    def _named(self, start: str) -> list[str]:
        return [file.path for file in self.manifest.files if file.path.startswith(start)]

    def _dataset(self, names: list[str], schema: pa.Schema, format: str = "parquet") -> ds.Dataset:
        paths = [storage.join(self.path, name) for name in names]
        return storage.dataset(paths, schema=schema, format=format)

    def _piece(self, place: Placement) -> Int32s:
        """Returns the tokens of a piece; of a store one record batch is read."""
        name = LEFTOVER if place.shard is None else self.manifest.shards[place.shard].path
        batch, row = divmod(place.sequence, ROWS_PER_BATCH)
        tokens = self._reader(name).get_batch(batch).column("tokens")
        sequence_L = tokens.slice(row, 1).flatten().to_numpy()
        return np.asarray(sequence_L[place.offset : place.offset + place.length])

    def _open(self, name: str) -> Any:
        path = storage.join(self.path, name)
        try:
            reader = pa.ipc.open_file(storage.open_input(path))
        except (OSError, pa.ArrowException) as error:
            raise OutputError(f"{path}: cannot be read: {error}; see `sluice verify`") from None
        if ShardFormat.of(reader.schema) != self._format:
            raise VerifyError(f"{path}: is not of the manifest's format; see `sluice verify`")
        return reader


def _first_copy(post: Inspection, path: str) -> list[Placement]:
    """Returns the pieces of one copy of a post, in their order; the first, where none was cut."""
    if all(place.piece == 0 for place in post.placements):
        return [post.placements[0]]
    by_piece: dict[int, list[Placement]] = {}
    for place in post.placements:
        by_piece.setdefault(place.piece, []).append(place)
    if any(len({place.length for place in places}) > 1 for places in by_piece.values()):
        raise OutputError(
            f"{path}: post {post.post_id!r} is in several documents that are cut at different places, so "
            f"that its pieces cannot be told apart; its placements say where they are"
        )
    return [by_piece[piece][0] for piece in sorted(by_piece)]
