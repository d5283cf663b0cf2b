"""What happened to one post: why it was rejected, or where its tokens are, and its scores."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sluice.pipeline.outputs.finished import read_manifest
from sluice.pipeline.phases.names import CLASSIFY, EXCLUDE, SCORE, TOKENS
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.key_file import read_key
from sluice.pipeline.storage.tombstones import (
    FOLDER,
    Tombstones,
    is_pending,
    pending_told,
    read_tombstones,
)
from sluice.schemas.errors import OutputError, UnknownPostError
from sluice.schemas.plurals import counted
from sluice.schemas.reject import DUPLICATE, ERROR, FORGOTTEN, MALFORMED

Outcome = Literal["kept", "rejected", "duplicate", "malformed", "error", "forgotten"]


class Rejection(NamedTuple):
    """A row of `rejects/` (`sluice.schemas.reject`), with its columns."""

    kind: str
    phase: str
    stage: str
    reason: str
    score: float | None
    threshold: float | None
    detail: str | None
    source_file: str
    source_row: int
    duplicate_of: str | None

    @property
    def outcome(self) -> Outcome:
        """What became of the post, in a word."""
        kinds: dict[str, Outcome] = {
            DUPLICATE: "duplicate",
            MALFORMED: "malformed",
            ERROR: "error",
        }
        return kinds.get(self.kind, "rejected")


class Placement(NamedTuple):
    """Where a piece of a kept post is: a row of the provenance.

    Attributes:
        shard: number of the shard, None in the leftover.
        sequence: row of the shard, or of the leftover.
        offset: the first token's place in the sequence.
        length: tokens.
        piece: number of the piece in the post, from 0.
        document: number of its document; None in an output of a version before 0.3.
    """

    shard: int | None
    sequence: int
    offset: int
    length: int
    piece: int
    document: int | None = None


class CleanScores(NamedTuple):
    """What the filters made of a post that passed them: its language, and filter -> score."""

    language: str
    confidence: float
    scores: dict[str, float]


class TransformerScore(NamedTuple):
    """What a transformer said of a post.

    Attributes:
        name: model and label, "MODEL.LABEL".
        value: the score.
        decided: false where it was scored for the sample alone.
    """

    name: str
    value: float
    decided: bool


class ForgottenPost(NamedTuple):
    """A post that `sluice forget` took out.

    Attributes:
        at: when, in UTC.
        num_tokens: of its text in the sequences; 0 where it was among the rejects alone.
    """

    at: datetime.datetime
    num_tokens: int


@dataclass(frozen=True)
class Inspection:
    """What an output knows of a post id. Several rows of an input may bear one id: there may be more of each.

    Attributes:
        post_id: the id.
        rejections: rows that were not kept, and why.
        placements: the pieces of what was kept, by piece.
        cleaned: language and scores of rows that passed the filters, while the run's work is still there.
        transformers: scores of transformers.
        forgotten: posts with the id that are gone; found by the hash of the id, where the key is given.
    """

    post_id: str
    rejections: tuple[Rejection, ...]
    placements: tuple[Placement, ...]
    cleaned: tuple[CleanScores, ...]
    transformers: tuple[TransformerScore, ...]
    forgotten: tuple[ForgottenPost, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """`kept` where a row with the id was kept, else `forgotten`, else what the first rejection says."""
        if self.placements:
            return "kept"
        return "forgotten" if self.forgotten else self.rejections[0].outcome

    @property
    def reason(self) -> str | None:
        """Why it was not kept; None where it was."""
        if self.placements:
            return None
        return FORGOTTEN if self.forgotten else self.rejections[0].reason

    @property
    def score(self) -> float | None:
        """The score that the reason goes by, where there is one."""
        return None if self.placements or self.forgotten else self.rejections[0].score

    @property
    def copies(self) -> int:
        """How often the id is in the shards: more than once by a mixture, or where several posts bear it."""
        return sum(place.piece == 0 for place in self.placements)


def inspect(output: str, post_id: str, *, key_file: str | None = None) -> Inspection:
    """Returns what became of every row with this id.

    Args:
        output: the folder.
        post_id: the id.
        key_file: of the key that ids are hashed with, to find posts that were forgotten.

    Raises:
        OutputError: the folder holds no finished run, or its posts were forgotten with another key.
        UnknownPostError: no row has the id.
    """
    read_manifest(output)
    tombstones = read_tombstones(storage.join(output, FOLDER))
    forgotten = () if key_file is None else _forgotten(output, tombstones, post_id, key_file)
    rejections = tuple(map(_rejection, _rows(output, "rejects", post_id)))
    rows = [*_rows(output, "provenance", post_id), *_rows(output, "leftover", post_id)]
    placements = tuple(map(_placement, sorted(rows, key=lambda row: row["piece"])))
    if not (rejections or placements or forgotten):
        raise UnknownPostError(
            f"{output}: no post has the id {post_id!r} (malformed rows may have none)"
            f"{_unknown_told(output, tombstones, key_file)}"
        )
    passed = placements or any(row.phase in (EXCLUDE, CLASSIFY, TOKENS) for row in rejections)
    cleaned = tuple(_clean_scores(output, post_id)) if passed else ()
    transformers = tuple(_transformer_scores(output, post_id))
    return Inspection(post_id, rejections, placements, cleaned, transformers, forgotten)


def _forgotten(
    output: str, tombstones: Tombstones, post_id: str, key_file: str
) -> tuple[ForgottenPost, ...]:
    key = read_key(key_file, where="--key-file")
    if tombstones.key_check not in (None, key.check):
        raise OutputError(
            f"--key-file = {key_file!r}: is not the key that posts of {output} were forgotten with; give that"
        )
    rows = tombstones.rows.filter(pc.equal(tombstones.rows["post_key"], key.post(post_id)))
    return tuple(ForgottenPost(r["forgotten_at"], r["num_tokens"]) for r in rows.to_pylist())


def _unknown_told(output: str, tombstones: Tombstones, key_file: str | None) -> str:
    """Returns why an id may be unknown that was known once."""
    told = f"; {pending_told(output)}" if is_pending(output) else ""
    number = tombstones.rows.num_rows
    if number and key_file is None:
        forgotten = f"{counted(number, 'post')} {'was' if number == 1 else 'were'} forgotten"
        told += f"; {forgotten}: --key-file FILE tells whether it is one of them"
    return told


def _rejection(row: dict[str, Any]) -> Rejection:
    return Rejection(*(row[name] for name in Rejection._fields))


def _placement(row: dict[str, Any]) -> Placement:
    shard = None if row["shard"] < 0 else row["shard"]
    whole = {"document": None, **row}
    return Placement(shard, *(whole[name] for name in Placement._fields[1:]))


def _rows(output: str, folder: str, post_id: str) -> list[dict[str, Any]]:
    return _of_post(storage.paths(storage.join(output, folder), ending=".parquet"), post_id)


def _of_post(files: list[str], post_id: str) -> list[dict[str, Any]]:
    if not files:
        return []
    found: pa.Table = storage.dataset(files).to_table(filter=ds.field("post_id") == post_id)
    return list(found.to_pylist())


def _transformer_scores(output: str, post_id: str) -> Iterator[TransformerScore]:
    """Yields what each transformer said of a post that it scored."""
    files = storage.paths(storage.join(output, "scores"), ending=".parquet")
    for model, own in groupby(files, key=lambda path: storage.name_of(path).rpartition("-")[0]):
        for row in _of_post(list(own), post_id):
            for name, value in row.items():
                if name.startswith(f"{model}."):
                    yield TransformerScore(name, value, row["decided"])


def _clean_scores(output: str, post_id: str) -> Iterator[CleanScores]:
    """Yields the scores of a post that passed the filters, where the clean units are still there."""
    folders = storage.folders(storage.join(output, "work"))
    for folder in (f for f in folders if storage.name_of(f).startswith("clean-")):
        files = storage.paths(storage.join(folder, "clean"), ending=".kept.arrow")
        if not files:
            continue
        table = storage.dataset(files, format="ipc")
        names = [n for n in table.schema.names if n.startswith(SCORE)]
        columns = ["language", "language_confidence", *names]
        found = table.to_table(columns=columns, filter=ds.field("post_id") == post_id)
        for row in found.to_pylist():
            scores = {n.removeprefix(SCORE): row[n] for n in names}
            yield CleanScores(row["language"], row["language_confidence"], scores)


# --- as lines --------------------------------------------------------------------------------


def lines(post: Inspection) -> Iterator[str]:
    """Yields what an output knows of a post, as the command line prints it."""
    yield from map(_forgotten_line, post.forgotten)
    yield from map(_rejected_line, post.rejections)
    yield from map(_placed_line, post.placements)
    if post.copies > 1:
        yield f"repeats  {post.copies} times, by the mixture or as posts that share the id"
    for cleaned in post.cleaned:
        yield f"language  {cleaned.language}  confidence {cleaned.confidence:.4f}"
        yield from (f"score  {name:<24} {value:.4g}" for name, value in cleaned.scores.items())
    for score in post.transformers:
        note = "" if score.decided else "  (scored for the sample; it did not decide)"
        yield f"score  {score.name:<24} {score.value:.4g}{note}"


def _forgotten_line(gone: ForgottenPost) -> str:
    return f"forgotten  {gone.at.isoformat(timespec='seconds')}  {gone.num_tokens:,} tokens were overwritten"


def _rejected_line(row: Rejection) -> str:
    where = f"{row.source_file} row {row.source_row}"
    score = "" if row.score is None else f"  score {row.score:.4g}"
    bound = "" if row.threshold is None else f"  threshold {row.threshold:.4g}"
    detail = f"  ({row.detail})" if row.detail else ""
    if row.kind == DUPLICATE:
        return f"duplicate  {row.reason} of {row.duplicate_of}{score}{bound}{detail}  {where}"
    return f"{row.kind}  {row.phase}/{row.stage}: {row.reason}{score}{bound}{detail}  {where}"


def _placed_line(place: Placement) -> str:
    shard = "leftover" if place.shard is None else f"shard {place.shard}"
    piece = f"  piece {place.piece}" if place.piece else ""
    document = "" if place.document is None else f"  document {place.document}"
    where = f"{shard}, sequence {place.sequence}, offset {place.offset}, {place.length} tokens"
    return f"kept  {where}{piece}{document}"
