"""Reads a whole output again and compares it with its manifest: files, shapes, ids, the ledger."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sluice.filters.text.hashing import hash_texts
from sluice.pipeline.outputs.finished import read_manifest, vocabulary_of
from sluice.pipeline.phases.names import CLASSIFY, TOKENS
from sluice.pipeline.phases.tokens.mixture import sum_of_ids
from sluice.pipeline.phases.tokens.packed_files import FORGOTTEN_AT
from sluice.pipeline.processes.cores import usable_cores
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import local_copies
from sluice.pipeline.storage.output_folder import COMPLETED
from sluice.pipeline.storage.sealed import file_digest
from sluice.pipeline.storage.tombstones import (
    FOLDER,
    PENDING,
    is_pending,
    pending_told,
    read_tombstones,
)
from sluice.schemas.arrays import Array, Bools, Int64s, Uint64s
from sluice.schemas.counts import Table
from sluice.schemas.errors import LedgerError, SluiceError
from sluice.schemas.manifest import ContractFile, Manifest
from sluice.schemas.notice import DELETIONS
from sluice.schemas.reject import DUPLICATE, ERROR, MALFORMED, POLICY, REJECT
from sluice.schemas.report import table_problems
from sluice.schemas.token_shard import ROWS_PER_BATCH
from sluice.tokenizer.places import TokenPlaces
from sluice.tokenizer.shards import ShardReader, verify_shard
from sluice.tokenizer.vocabulary.load import around_posts, loaded_entries

Problems = Iterator[str]
_T = TypeVar("_T")
_R = TypeVar("_R")


class Verified(NamedTuple):
    """What is checked, and how many threads read its files: hashing and Arrow hold no GIL."""

    output: str
    manifest: Manifest
    threads: int

    def path(self, name: str) -> str:
        """Returns the path of a file of the output."""
        return storage.join(self.output, name)

    def of_each(self, check: Callable[["Verified", _T], _R], items: Sequence[_T]) -> Iterator[_R]:
        """Yields what a check gives for each item, in their order."""
        return storage.in_threads(partial(check, self), items, at_once=self.threads)


def verify(output: str, *, say: Callable[[str], None], workers: int | None = None) -> list[str]:
    """Returns every problem found; an empty list means that the output is what its manifest says.

    Args:
        output: the output folder.
        say: told what was checked, a line a check.
        workers: threads that read files; by default one for each core that the process may use.
    """
    manifest = read_manifest(output)
    return _problems(Verified(output, manifest, workers or usable_cores()), say)


def _problems(of: Verified, say: Callable[[str], None]) -> list[str]:
    problems: list[str] = []
    for name, check in CHECKS.items():
        try:
            found = list(check(of))
        except (SluiceError, OSError, pa.ArrowException, KeyError, ValueError) as error:
            found = [f"{name}: could not be checked: {type(error).__name__}: {error}"]
        say(f"{'ok  ' if not found else 'FAIL'} {name}")
        problems += found
    return problems


def _files(of: Verified) -> Problems:
    if not storage.is_file(of.path(COMPLETED)):
        yield f"{COMPLETED} is missing: the run did not finish"
    if is_pending(of.output):
        yield pending_told(of.output)
    files = of.manifest.files
    for problem in of.of_each(_file, files):
        yield from problem
    named = {entry.path for entry in files}
    folders = ("tokens", "provenance", "leftover", "rejects", "scores", "deletions", FOLDER)
    for folder in folders:
        for name in storage.names(of.path(folder)):
            if f"{folder}/{name}" not in {*named, PENDING}:
                yield f"{folder}/{name}: is not in the manifest"


def _file(of: Verified, entry: ContractFile) -> list[str]:
    try:
        size, sha256 = file_digest(of.path(entry.path))
    except FileNotFoundError:
        return [f"{entry.path}: is missing"]
    if size != entry.bytes:
        return [f"{entry.path}: has {size:,} bytes, the manifest says {entry.bytes:,}"]
    return [] if sha256 == entry.sha256 else [f"{entry.path}: SHA-256 differs from the manifest's"]


def _ledger(of: Verified) -> Problems:
    manifest = of.manifest
    checks = [manifest.posts.check, manifest.token_ledger.check]
    if manifest.input is not None:
        checks.append(partial(manifest.input.check, manifest.posts))
    for check in checks:
        try:
            check()
        except LedgerError as error:
            yield str(error)
    yield from table_problems(of.manifest.posts, of.manifest.tokens)


def _tokenizer(of: Verified) -> Problems:
    size = of.manifest.format.vocabulary_size
    entries = loaded_entries(storage.read_bytes(of.path("tokenizer/tokenizer.json")))
    if entries != size:
        yield f"tokenizer.json has {entries:,} entries, not {size:,}"


def shard_files(manifest: Manifest, *, leftover: bool = True) -> list[tuple[str, str]]:
    """Returns (tokens, provenance) of every shard, and of the leftover, if asked for, where there is one."""
    pairs = [
        (s.path, s.path.replace("tokens/", "provenance/", 1).replace(".arrow", ".parquet"))
        for s in manifest.shards
    ]
    if leftover and "leftover/tokens.arrow" in {entry.path for entry in manifest.files}:
        pairs.append(("leftover/tokens.arrow", "leftover/provenance.parquet"))
    return pairs


def _shards(of: Verified) -> Problems:
    for problems in of.of_each(_shard, shard_files(of.manifest)):
        yield from problems
    counts = {shard.sequences for shard in of.manifest.shards}
    if len(counts) > 1:
        yield f"shards differ in length: {sorted(counts)}"


def _shard(of: Verified, files: tuple[str, str]) -> list[str]:
    tokens, provenance = files
    with local_copies.scope():
        problems = verify_shard(
            local_copies.fetch(of.path(tokens)),
            vocabulary_size=of.manifest.format.vocabulary_size,
            sequence_length=of.manifest.format.sequence_length,
            forgotten=_forgotten(of, provenance)[0],
        )
    return [f"{tokens}: {problem}" for problem in problems]


def _forgotten(of: Verified, provenance: str) -> tuple[TokenPlaces | None, pa.Array]:
    """Returns where a shard's forgotten posts were, None where it has none, and their hashes."""
    nothing = pa.array([], pa.string())
    if of.manifest.forgotten is None:
        return None, nothing
    with storage.open_input(of.path(provenance)) as source:
        file = pq.ParquetFile(source)
        if FORGOTTEN_AT.name not in file.schema_arrow.names:
            return None, nothing
        names = ["sequence", "offset", "length", "post_id", FORGOTTEN_AT.name]
        rows = file.read(columns=names)
    rows = rows.filter(rows[FORGOTTEN_AT.name].is_valid())
    return TokenPlaces.of(*(rows[name].to_numpy() for name in names[:3])), rows[
        "post_id"
    ].combine_chunks()


def _forgets(of: Verified) -> Problems:
    """Forgotten places hold padding and what parts documents; each is of a tombstone, and none is missing."""
    counts = of.manifest.forgotten
    if counts is None:
        return
    tombstones = read_tombstones(of.path(FOLDER)).rows
    stay, overwritten = around_posts(vocabulary_of(of.output)), 0
    check = partial(_forgets_of, tombstones["post_key"], stay)
    for tokens, problems in of.of_each(check, shard_files(of.manifest)):
        overwritten += tokens
        yield from problems
    if overwritten != counts.tokens:
        yield f"{overwritten:,} tokens hold padding for forgotten posts, the manifest says {counts.tokens:,}"
    of_run = read_tombstones(of.path(FOLDER), first=counts.earlier).rows
    kept = pc.sum(of_run["tokens_key"].is_valid()).as_py() or 0
    if kept != counts.posts:
        yield f"{FOLDER} has {kept:,} posts that were kept, the manifest says {counts.posts:,}"


def _forgets_of(
    post_keys: pa.ChunkedArray, stay: tuple[int, ...], of: Verified, files: tuple[str, str]
) -> tuple[int, list[str]]:
    """Returns how many tokens of a shard hold padding for forgotten posts, and what is wrong with them."""
    tokens, provenance = files
    places, posts = _forgotten(of, provenance)
    if places is None:
        return 0, []
    num_padding = num_others = 0
    with local_copies.scope():
        shard = ShardReader(local_copies.fetch(of.path(tokens)))
        for index in np.unique(places.sequence_P // ROWS_PER_BATCH).tolist():
            found_T = shard.at(index, places)
            num_padding += int((found_T == shard.format.pad_id).sum())
            num_others += int((~np.isin(found_T, (*stay, shard.format.pad_id))).sum())
    problems = (
        [f"{tokens}: {num_others:,} tokens of forgotten posts are there"] if num_others else []
    )
    strangers = len(posts) - (pc.sum(pc.is_in(posts, value_set=post_keys)).as_py() or 0)
    if strangers:
        problems.append(f"{provenance}: {strangers:,} forgotten pieces have no tombstone")
    return num_padding, problems


def _provenance(of: Verified) -> Problems:
    """The pieces of a sequence follow without a gap, and documents end where pieces do and have numbers."""
    pieces, is_there_D = 0, np.zeros(of.manifest.phases.tokens.pack.documents, np.bool_)
    is_numbered = True
    for of_shard, document_D, problems in of.of_each(_pieces, shard_files(of.manifest)):
        pieces += of_shard
        yield from problems
        is_numbered &= document_D is not None
        if document_D is not None:
            yield from _known(document_D, is_there_D)
    if is_numbered and not is_there_D.all():
        yield f"provenance holds no piece of {int((~is_there_D).sum()):,} documents"
    shard = of.manifest.phases.tokens.shard
    expected = shard.in_shards.pieces + shard.leftover.pieces
    if pieces != expected:
        yield f"provenance holds {pieces:,} pieces, the manifest says {expected:,}"


def _known(document_D: Int64s, is_there_D: Bools) -> Problems:
    """Notes which documents are there, by their numbers."""
    is_known_D = (document_D >= 0) & (document_D < len(is_there_D))
    if not is_known_D.all():
        yield f"provenance names document {document_D[~is_known_D][0]}, there are {len(is_there_D):,}"
    is_there_D[document_D[is_known_D]] = True


def _pieces(of: Verified, files: tuple[str, str]) -> tuple[int, Int64s | None, list[str]]:
    """Returns how many pieces a shard has, of which documents, and what is wrong with their provenance.

    Outputs of versions before 0.3 do not number documents.
    """
    tokens, provenance = files
    problems, table = [], _table(of, provenance)
    sequence_P = table["sequence"].to_numpy()
    end_P = table["offset"].to_numpy() + table["length"].to_numpy()
    first_P = np.diff(sequence_P, prepend=-1) != 0
    expected_P = np.where(first_P, 0, np.roll(end_P, 1))
    if not np.array_equal(table["offset"].to_numpy(), expected_P):
        problems.append(f"{provenance}: pieces of a sequence leave a gap or overlap")
    piece_P = _places(sequence_P, end_P)
    with local_copies.scope():
        document_E = _places(*_doc_ends(local_copies.fetch(of.path(tokens))))
    # A post is a document, or the last of a sequence ends the part of a conversation that is there.
    of_posts = of.manifest.recipe["tokens"].get("documents", "posts") == "posts"
    must_end_P = np.ones(len(piece_P), np.bool_) if of_posts else np.roll(first_P, -1)
    ends_P = np.isin(piece_P, document_E)
    if not (np.array_equal(piece_P[ends_P], document_E) and ends_P[must_end_P].all()):
        problems.append(f"{provenance}: does not say where the documents of {tokens} end")
    if "document" not in table.column_names:
        return table.num_rows, None, problems
    document_P = table["document"].to_numpy()
    if not _is_whole(document_P, ends_P, first_P, of_posts=of_posts):
        problems.append(f"{provenance}: pieces of a document do not follow each other")
    return table.num_rows, np.unique(document_P), problems


def _is_whole(document_P: Int64s, ends_P: Bools, first_P: Bools, *, of_posts: bool) -> bool:
    """Returns whether pieces have one number up to the end of a document; posts, another behind it."""
    same_P = document_P[1:] == document_P[:-1]
    again_P = same_P & ends_P[:-1] & ~first_P[1:]
    return bool(same_P[~ends_P[:-1]].all()) and not (of_posts and again_P.any())


def _table(of: Verified, name: str) -> pa.Table:
    with storage.open_input(of.path(name)) as file:
        return pq.read_table(file)


def _places(sequence_K: Array, end_K: Array) -> Int64s:
    """Returns (K,) int64, a number for the place in the shard."""
    return np.asarray((sequence_K.astype(np.int64) << 32) | end_K)


def _doc_ends(path: str) -> tuple[Array, Array]:
    """Returns the sequence and the place of every document end in a shard, in order."""
    owner, ends, start = [np.empty(0, np.int64)], [np.empty(0, np.int32)], 0
    for batch in ShardReader(path).batches():
        counts_S = pc.list_value_length(batch.doc_ends).to_numpy()
        owner.append(np.repeat(np.arange(start, start + len(counts_S)), counts_S))
        ends.append(batch.doc_ends.flatten().to_numpy())
        start += len(counts_S)
    return np.concatenate(owner), np.concatenate(ends)


def _kept_ids(of: Verified) -> Uint64s:
    """Returns the hashes of the post ids in the shards and the leftover, of first pieces, sorted."""
    hashes = of.of_each(_first_pieces, shard_files(of.manifest))
    return np.sort(np.concatenate([np.empty(0, np.uint64), *hashes]))


def _first_pieces(of: Verified, files: tuple[str, str]) -> Uint64s:
    hashes = [np.empty(0, np.uint64)]
    with storage.open_input(of.path(files[1])) as source:
        for batch in pq.ParquetFile(source).iter_batches(columns=["post_id", "piece"]):
            first = batch.filter(pc.equal(batch.column("piece"), 0))
            hashes.append(hash_texts(first.column("post_id"), seed=0))
    return np.concatenate(hashes)


def _conservation(of: Verified) -> Problems:
    """Each kept post is there, as often as it should; each reject row counts once; partners stay."""
    kept_K, posts = _kept_ids(of), of.manifest.posts
    yield from _kept(kept_K, of.manifest)
    found: dict[str, Table] = {}
    files = storage.paths(of.path("rejects"), ending=".parquet")
    rows = storage.dataset(files, schema=REJECT)
    columns = ["kind", "reason", "detail", "duplicate_of"]
    stayed_S = np.sort(np.concatenate([kept_K, _later_rejects(rows)]))
    lost = earlier = 0
    for batch in rows.to_batches(columns=columns):
        counted = (
            pa.table(batch)
            .group_by(["kind", "reason"], use_threads=False)
            .aggregate([("kind", "count")])
        )
        for row in counted.to_pylist():
            table = found.setdefault(row["kind"], {})
            table[row["reason"]] = table.get(row["reason"], 0) + row["kind_count"]
        copies = batch.filter(pc.equal(batch.column("kind"), DUPLICATE))
        of_this_run = pc.is_null(copies.column("detail"))
        earlier += pc.sum(pc.invert(of_this_run)).as_py() or 0
        partner = copies.filter(of_this_run).column("duplicate_of")
        hash_D = hash_texts(partner, seed=0)
        at_D = np.minimum(np.searchsorted(stayed_S, hash_D), max(len(stayed_S) - 1, 0))
        lost += int((stayed_S[at_D] != hash_D).sum()) if len(stayed_S) else len(hash_D)
    expected = sum(of.manifest.phases.dedup.drop.earlier.values())
    if earlier != expected:
        yield f"{earlier:,} duplicates name a post of the history, the ledger says {expected:,}"
    if lost:
        yield f"{lost:,} duplicates name a post that was not kept"
    yield from _same("rejected", found.get(POLICY, {}), posts.rejected)
    copies = {k: n for k, n in posts.duplicates.items() if n}
    yield from _same("duplicates", found.get(DUPLICATE, {}), copies)
    for kind, expected in ((MALFORMED, posts.malformed), (ERROR, posts.errors)):
        rows_of = sum(found.get(kind, {}).values())
        if rows_of != expected:
            yield f"rejects hold {rows_of:,} rows of kind {kind}, the ledger says {expected:,}"


def _kept(kept_K: Uint64s, manifest: Manifest) -> Problems:
    """Every kept post is in the shards or the leftover: once, or as often as the mixture says."""
    encode, kept = manifest.phases.tokens.encode, manifest.posts.kept + manifest.posts.forgotten
    different, shared = len(np.unique(kept_K)), manifest.phases.dedup.resolve.shared_ids
    # Posts of one id may have gone since; where none has, the number of different ids is known.
    most = kept if manifest.phases.deduplicated.posts > kept else kept - shared
    if not kept - shared <= different <= most:
        yield (
            f"provenance holds {different:,} different ids, {kept:,} posts were kept, of which "
            f"{shared:,} share the id of another"
        )
    if len(kept_K) != encode.documents.posts:
        yield (
            f"provenance holds {len(kept_K):,} posts, repeats counted, the ledger says "
            f"{encode.documents.posts:,}"
        )
    elif encode.id_sum not in (None, sum_of_ids(kept_K) - _id_sum_of_hashes(manifest)):
        yield "some posts are there more often than the mixture says, and others less often"


def _id_sum_of_hashes(manifest: Manifest) -> int:
    """Returns what the sum of ids grew by where hashes stand for them."""
    return 0 if manifest.forgotten is None else manifest.forgotten.id_sum


def _later_rejects(rejects: ds.Dataset) -> Uint64s:
    """Returns the hashes of the posts that went after duplicates did: copies of theirs are gone too."""
    of_phase = ds.field("phase").isin([CLASSIFY, TOKENS])
    ids = rejects.to_table(columns=["post_id"], filter=of_phase)["post_id"].combine_chunks()
    return hash_texts(ids, seed=0) if len(ids) else np.empty(0, np.uint64)


def _scores(of: Verified) -> Problems:
    """Every transformer has a score for each post that it decided on, and none that is not one."""
    for name, counts in of.manifest.phases.classify.items():
        prefix = name.removeprefix(f"{CLASSIFY}_")
        paths = [f.path for f in of.manifest.files if f.path.startswith(f"scores/{prefix}-")]
        decided = 0
        for path in paths:
            table = _table(of, path)
            decided += pc.sum(table["decided"]).as_py() or 0
            for column in table.column_names[table.column_names.index("decided") + 1 :]:
                bad = table.num_rows - (pc.sum(pc.is_finite(table[column])).as_py() or 0)
                if bad:
                    yield f"{path}: {bad:,} values of {column} are missing, NaN or infinite"
        expected = counts.band - sum(counts.errors.values())
        if decided > counts.band or decided < expected:
            yield f"scores/{prefix}-*: {decided:,} posts were decided on, the ledger says {expected:,}"


def _deletions(of: Verified) -> Problems:
    """The notices for later days have the columns that they should, and are as many as the ledger says."""
    counts = of.manifest.phases.exclude
    paths = [file.path for file in of.manifest.files if file.path.startswith("deletions/")]
    rows = 0
    for path in paths:
        table = _table(of, path)
        rows += table.num_rows
        if not table.schema.equals(DELETIONS):
            yield f"{path}: its columns are not those of deletions"
        elif pc.any(pc.and_(pc.is_null(table["id"]), pc.is_null(table["author_id"]))).as_py():
            yield f"{path}: a row names neither a post nor an author"
    expected = counts.deletions.rows if counts is not None else 0
    if rows != expected:
        yield f"deletions hold {rows:,} rows, the ledger says {expected:,}"


def _same(name: str, found: Table, expected: Table) -> Problems:
    for reason in sorted(found.keys() | expected.keys()):
        rows, told = found.get(reason, 0), expected.get(reason, 0)
        if rows != told:
            yield f"rejects hold {rows:,} rows of {name}.{reason}, the ledger says {told:,}"


CHECKS: dict[str, Callable[[Verified], Problems]] = {
    "files: every file of the manifest, its size and SHA-256, and no other": _files,
    "ledger: records, posts and tokens balance, every table sums to its total": _ledger,
    "tokenizer: loads, with the vocabulary's size": _tokenizer,
    "shards: schema, shapes, ids below the vocabulary's size, padding": _shards,
    "provenance: pieces follow without gaps, documents end where pieces do": _provenance,
    "forgotten: the places of forgotten posts hold padding, and have tombstones": _forgets,
    "scores: every post that a transformer decided on has its scores": _scores,
    "deletions: what later days need to know of posts and authors that are gone": _deletions,
    "conservation: every kept post is there, one row a reject, partners kept": _conservation,
}
