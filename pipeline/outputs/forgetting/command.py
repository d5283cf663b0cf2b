"""What `sluice forget` does, from the ids that it is given to what it says."""

import datetime
import logging
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final, Literal, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.privacy.keyed_ids import AUTHOR_KEY, IdKey
from sluice.pipeline.outputs.exports_made import exports_made
from sluice.pipeline.outputs.finished import read_manifest, vocabulary_of
from sluice.pipeline.outputs.forgetting.apply import finish, tombstones_of
from sluice.pipeline.outputs.forgetting.find import FoundPosts, find, ids_of_authors
from sluice.pipeline.outputs.forgetting.history import forget_in_history
from sluice.pipeline.outputs.forgetting.id_files import read_authors, read_post_ids
from sluice.pipeline.outputs.forgetting.journal import (
    ForgetCounts,
    Journal,
    read_journal,
    write_journal,
)
from sluice.pipeline.outputs.verify import Verified
from sluice.pipeline.processes.cores import usable_cores
from sluice.pipeline.processes.signals import owns_process
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import output_folder
from sluice.pipeline.storage.key_file import read_key
from sluice.pipeline.storage.tombstones import (
    FOLDER,
    Tombstones,
    read_tombstones,
    tombstone_files,
)
from sluice.schemas.errors import OutputError, RecipeError, UnknownPostError
from sluice.schemas.manifest import Manifest
from sluice.schemas.payloads.known_formats import FORMATS
from sluice.schemas.plurals import plural
from sluice.schemas.report import ExportMade
from sluice.tokenizer.vocabulary.load import around_posts

Asked = Literal["ids", "authors"]
KEY_HEX_DIGITS: Final = 32
NO_HISTORY: Final = "none"
"""In the place of the folder of a history that is gone."""
_log = logging.getLogger("sluice")


class Forgotten(NamedTuple):
    """What a forget did.

    Attributes:
        output: the folder.
        of_shards: files of tokens that there are, the leftover among them.
        asked: what it was asked by, `ids` or `authors`; None where it only finished another.
        given: different ids, or authors, that it was given.
        kept: ids of posts that were in sequences.
        rejected: ids of posts that were among the rejects alone.
        already: ids that were forgotten before.
        unknown: ids that the output does not know, or authors of none of its posts.
        posts: that were taken out of sequences; several may share an id.
        tokens: that were overwritten.
        copies: duplicates of the posts, which the run rejected: they stay out.
        shards: files of tokens that were replaced.
        tables: other files that were replaced.
        in_history: posts that were taken out of the history.
        exports: made before: they still hold the posts.
        resumed: whether a forget that had not ended was finished first.
        seconds: that it took.
    """

    output: str
    of_shards: int
    asked: Asked | None = None
    given: int = 0
    kept: int = 0
    rejected: int = 0
    already: int = 0
    unknown: int = 0
    posts: int = 0
    tokens: int = 0
    copies: int = 0
    shards: int = 0
    tables: int = 0
    in_history: int = 0
    exports: tuple[ExportMade, ...] = ()
    resumed: bool = False
    seconds: float = 0.0


def forget(
    output: str,
    *,
    ids: str | None = None,
    authors: str | None = None,
    key_file: str | None = None,
    history: str | None = None,
    workers: int | None = None,
) -> Forgotten:
    """Takes posts out of a finished output; without ids or authors, finishes a forget that did not end.

    Args:
        output: folder or URI.
        ids: a file, a folder or a glob of posts' ids.
        authors: likewise of authors' ids, or of their keys as the provenance has them.
        key_file: of the key that ids are hashed with.
        history: folder of the history that the posts are taken out of, too; NO_HISTORY for none.
        workers: threads that read and write files; by default one for each core.

    Raises:
        OutputError: there is no finished output of this version, or another run or forget holds it.
        InputError: the ids cannot be read.
        RecipeError: the key is missing, or another than the output's.
        UnknownPostError: the output knows none of the ids.
    """
    began = time.monotonic()
    manifest = read_manifest(output)
    _check_version(output, manifest)
    asked: Asked | None = "ids" if ids is not None else "authors" if authors is not None else None
    wanted = _Wanted.of(ids, authors, key_file) if asked else None
    folder = history_of(manifest, history) if asked else None
    with output_folder.locked(output, wakes=owns_process(), other="another output"):
        _check_completed(output)
        resumed = _finish_pending(output, workers)
        of = Verified(output, read_manifest(output), workers or usable_cores())
        told = (
            Forgotten(output, _files_of_tokens(of.manifest))
            if wanted is None
            else _forget(of, wanted, folder)
        )
    seconds = round(time.monotonic() - began, 3)
    return told._replace(resumed=resumed, seconds=seconds)


class _Wanted(NamedTuple):
    """What is to be forgotten: ids of posts, or authors by their keys, and the key of hashes."""

    asked: Asked
    source: str
    key: IdKey
    key_file: str
    ids: pa.StringArray
    authors: pa.Table | None

    @classmethod
    def of(cls, ids: str | None, authors: str | None, key_file: str | None) -> "_Wanted":
        if key_file is None:
            raise RecipeError(
                "--key-file: is missing: what is forgotten is remembered by keyed hashes. Give the file that "
                "the recipe has as privacy.key_file, or make one with `head -c 32 /dev/urandom > FILE` and "
                "keep it for every later forget"
            )
        key, nothing = read_key(key_file, where="--key-file"), pa.array([], pa.string())
        if ids is not None:
            return cls("ids", ids, key, key_file, read_post_ids(ids), None)
        assert authors is not None
        return cls("authors", authors, key, key_file, nothing, read_authors(authors))


def _check_version(output: str, manifest: Manifest) -> None:
    """Raises OutputError for the output of another version: its files may hold ids that this one misses."""
    here = version("sluice")
    if manifest.input is None or manifest.sluice.split(".")[:2] != here.split(".")[:2]:
        raise OutputError(
            f"{output}: was written by sluice {manifest.sluice}, and sluice {here} forgets only in its own "
            f"outputs: use sluice {manifest.sluice} if it has `forget`, or run the inputs again without the "
            f"posts"
        )


def history_of(manifest: Manifest, given: str | None) -> str | None:
    """Returns the folder of the history that posts are taken out of; None for none.

    Raises:
        RecipeError: the run has a history, and its folder is not given: the manifest knows its name alone.
    """
    name = manifest.recipe["dedup"].get("history")
    if given is None and name is not None:
        raise RecipeError(
            f"--history: is missing: the run remembered its posts in a history named {name!r}. Give its "
            f"folder, so that they are forgotten there, too; or --history {NO_HISTORY} where it is gone"
        )
    return None if given == NO_HISTORY else given


def _check_completed(output: str) -> None:
    if not storage.is_file(storage.join(output, output_folder.COMPLETED)):
        raise OutputError(
            f"{output}: no {output_folder.COMPLETED}: the run did not finish; rerun the same command first"
        )


def _finish_pending(output: str, workers: int | None) -> bool:
    """Finishes a forget that did not end; returns whether there was one."""
    journal = read_journal(output)
    if journal is None:
        return False
    _log.info("%s: a forget had not ended, and is finished", output)
    finish(Verified(output, read_manifest(output), workers or usable_cores()), journal)
    return True


def _files_of_tokens(manifest: Manifest) -> int:
    return len(manifest.shards) + any(f.path == "leftover/tokens.arrow" for f in manifest.files)


def _forget(of: Verified, wanted: _Wanted, history: str | None) -> Forgotten:
    check, rows = wanted.key.check, read_tombstones(storage.join(of.output, FOLDER))
    check_key(of, wanted.key, wanted.key_file, rows.key_check)
    ids, unknown_authors = _ids(of, wanted)
    keys = wanted.key.posts(ids)
    is_new = pc.invert(pc.is_in(keys, value_set=rows.rows["post_key"]))
    new_ids, new_keys = ids.filter(is_new), keys.filter(is_new)
    found = find(of, new_ids, wanted.key, around_posts(vocabulary_of(of.output)))
    already = len(ids) - len(new_ids)
    known = len(found.kept) + len(found.rejected)
    if wanted.asked == "ids" and not known + already:
        raise UnknownPostError(
            f"{of.output}: knows 0 of the {len(ids):,} ids in {wanted.source}: nothing was changed; `sluice "
            f"inspect` says what became of one post"
        )
    journal = _journal(of, wanted, found, new_keys.to_pylist(), check)
    gone = pa.concat_tables([rows.rows, tombstones_of(journal).rows])
    in_history = 0
    if history is not None and known + already:
        # Before the journal, which has no plain id: killed here, the same command finds all of them again.
        told = forget_in_history(history, ids, tombstones=Tombstones(gone, check))
        in_history = told.posts
    if known:
        write_journal(of.output, journal)
        finish(of, journal)
    return _told(
        of,
        wanted,
        journal,
        kept=len(found.kept),
        rejected=len(found.rejected),
        already=already,
        unknown=len(new_ids) - known if wanted.asked == "ids" else unknown_authors,
    )._replace(in_history=in_history)


def check_key(of: Verified, key: IdKey, key_file: str, of_tombstones: str | None) -> None:
    """Raises RecipeError where the output's hashes are of another key."""
    for held, of_what in (
        (of_tombstones, "the posts that were forgotten before"),
        (of.manifest.key_check, "the run"),
    ):
        if held is not None and held != key.check:
            name = (of.manifest.recipe.get("privacy") or {}).get("key_file")
            hint = f"; the recipe names {name!r}" if name else ""
            raise RecipeError(
                f"--key-file = {key_file!r}: is not the key of {of_what} in {of.output}: give that one{hint}"
            )


def _ids(of: Verified, wanted: _Wanted) -> tuple[pa.StringArray, int]:
    """Returns the ids of the posts to be forgotten, and how many authors have none here."""
    if wanted.authors is None:
        return wanted.ids, 0
    if not of.manifest.recipe.get("privacy", {}).get("author_key"):
        raise OutputError(
            f"{of.output}: its provenance has no {AUTHOR_KEY.name}: a run with privacy.key_file and "
            f"privacy.author_key = true in its recipe writes it; posts can be forgotten by --ids"
        )
    keys_of_authors = list(_author_keys(wanted.authors, wanted.key))
    keys = pa.array([key for own in keys_of_authors for key in own], pa.string())
    ids, there = ids_of_authors(of, keys)
    unknown = sum(there.isdisjoint(own) for own in keys_of_authors)
    return ids, unknown


def _author_keys(authors: pa.Table, key: IdKey) -> Iterator[list[str]]:
    """Yields the keys that an author may have: where no platform is given, a key for each that there is.

    What looks like a key is taken for one, too.
    """
    platforms = [None, *sorted({form.platform for form in FORMATS.values()})]
    for row in authors.to_pylist():
        author, given = row["author_id"], row["author_key"]
        keys = [] if given is None else [given]
        if author is not None:
            named = platforms if row["platform"] is None else [row["platform"]]
            keys += [key.author(platform, author) for platform in named]
            keys += [author] if _looks_like_key(author) else []
        yield keys


def _looks_like_key(text: str) -> bool:
    return len(text) == KEY_HEX_DIGITS and set(text) <= set("0123456789abcdef")


def _journal(
    of: Verified, wanted: _Wanted, found: FoundPosts, keys: list[str], check: str
) -> Journal:
    """Returns what is to be done; of the hashes, those that something of the output is named by."""
    used = sorted({n for edits in found.edits.values() for edit in edits for n in edit.keys})
    place = {number: index for index, number in enumerate(used)}
    for edits in found.edits.values():
        for edit in edits:
            edit.keys = [place[number] for number in edit.keys]
    return Journal(
        number=len(tombstone_files(storage.join(of.output, FOLDER))),
        forgotten_at=datetime.datetime.now(datetime.UTC),
        key_check=check,
        asked=wanted.asked,
        keys=[keys[number] for number in used],
        edits=found.edits,
        tokens=found.tokens,
        tombstones=[msgspec.structs.replace(t, post=place[t.post]) for t in found.tombstones],
        counts=found.counts,
        exports=exports_made(of.output),
    )


def _told(
    of: Verified,
    wanted: _Wanted,
    journal: Journal,
    *,
    kept: int,
    rejected: int,
    already: int,
    unknown: int,
) -> Forgotten:
    counts: ForgetCounts = journal.counts
    given = len(wanted.ids) if wanted.authors is None else wanted.authors.num_rows
    return Forgotten(
        output=of.output,
        of_shards=_files_of_tokens(of.manifest),
        asked=wanted.asked,
        given=given,
        kept=kept,
        rejected=rejected,
        already=already,
        unknown=unknown,
        posts=counts.posts,
        tokens=counts.tokens,
        copies=counts.copies,
        shards=len(journal.tokens),
        tables=len(journal.edits),
        exports=tuple(journal.exports),
    )


# --- as lines ----------------------------------------------------------------------------------


def lines(done: Forgotten) -> Iterator[str]:
    """Yields what a forget did, as the command line prints it."""
    if done.resumed:
        yield "finished a forget that had not ended"
    if done.asked is None:
        if not done.resumed:
            yield f"{done.output}: no forget is left to finish"
        return
    yield from _found_lines(done)
    yield f"tokens    {done.tokens:>12,}   overwritten with padding in {done.shards:,} of {_files(done)}"
    yield f"tables    {done.tables:>12,}   of provenance, rejects and scores, in which ids are hashes now"
    if done.in_history:
        yield f"history   {done.in_history:>12,}   posts taken out of it, with their texts and keys"
    yield f"seconds   {done.seconds:>12,.1f}"
    yield from _unreached(done)


def _files(done: Forgotten) -> str:
    return f"{done.of_shards:,} {plural('shard', done.of_shards)}, the leftover counted as one"


def _found_lines(done: Forgotten) -> Iterator[str]:
    what = "ids" if done.asked == "ids" else "authors"
    yield f"{what:<10}{done.given:>12,}   given, {done.unknown:,} of them unknown here"
    yield f"posts     {done.posts:>12,}   taken out of sequences"
    if done.rejected:
        yield f"rejected  {done.rejected:>12,}   were in no sequence; their ids are hashes now"
    if done.already:
        yield f"earlier   {done.already:>12,}   were forgotten before"
    if done.copies:
        yield f"copies    {done.copies:>12,}   rejected by the run as duplicates of them, stay out"


def _unreached(done: Forgotten) -> Iterator[str]:
    """Yields what a forget does not reach."""
    yield "not reached: merges that the tokenizer learned from the posts, and models trained on them"
    for made in done.exports:
        yield f"not reached: export {made.folder} ({made.format}, {made.at}): export again, and delete it"
