"""`sluice forget OUTPUT --scan`: what is left of posts that were forgotten, and what was looked at."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

from sluice.pipeline.inputs.forgotten import forgotten_of
from sluice.pipeline.outputs.finished import read_manifest, vocabulary_of
from sluice.pipeline.outputs.forgetting.command import check_key, history_of
from sluice.pipeline.outputs.forgetting.scan_ids import Finding, files_with_ids, named_posts
from sluice.pipeline.outputs.forgetting.scan_tokens import Sought, tokens_seen
from sluice.pipeline.outputs.verify import Verified
from sluice.pipeline.processes.cores import usable_cores
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.key_file import read_key
from sluice.pipeline.storage.tombstones import FOLDER, read_tombstones, refuse_pending
from sluice.schemas.errors import RecipeError
from sluice.schemas.plurals import counted
from sluice.tokenizer.vocabulary.load import around_posts

MAX_LINES: Final = 100
"""Findings that are printed."""


class Scan(NamedTuple):
    """What a scan looked at, and what it found.

    Attributes:
        output: the folder.
        tombstones: posts that were forgotten from it.
        files: with ids of posts, those of the history among them.
        ids: that were hashed and compared.
        posts: whose tokens were compared.
        tokens: of these posts.
        findings: what is left of posts that were forgotten; none is as it should be.
        seconds: that it took.
    """

    output: str
    tombstones: int
    files: int
    ids: int
    posts: int
    tokens: int
    findings: tuple[Finding, ...]
    seconds: float


def scan(
    output: str,
    *,
    key_file: str | None,
    history: str | None = None,
    workers: int | None = None,
) -> Scan:
    """Decodes sequences, tables, intermediate files and a history, and compares them with the tombstones.

    Args:
        output: folder or URI.
        key_file: of the key that the posts were forgotten with.
        history: folder of the history, as `command.forget` takes it.
        workers: threads that read files; by default one for each core.

    Raises:
        OutputError: there is no finished output, or a forget of it did not end.
        RecipeError: the key is missing, or another than that of the tombstones.
    """
    began, manifest = time.monotonic(), read_manifest(output)
    refuse_pending(output)
    if key_file is None:
        raise RecipeError(
            "--key-file: is missing: ids are compared with the tombstones by their hashes; give the file "
            "that the posts were forgotten with"
        )
    key, folder = read_key(key_file, where="--key-file"), history_of(manifest, history)
    of = Verified(output, manifest, workers or usable_cores())
    tombstones = read_tombstones(storage.join(output, FOLDER))
    check_key(of, key, key_file, tombstones.key_check)
    forgotten, vocabulary = forgotten_of([storage.join(output, FOLDER)]), vocabulary_of(output)
    files = files_with_ids(output, folder)
    named = list(
        storage.in_threads(
            partial(named_posts, forgotten=forgotten, key=key), files, at_once=of.threads
        )
    )
    sought = Sought.of(
        tombstones.rows, key, special=around_posts(vocabulary), pad_id=vocabulary.pad_id
    )
    seen = tokens_seen(of, sought)
    findings = [finding for one in named for finding in one.findings]
    return Scan(
        output=output,
        tombstones=tombstones.rows.num_rows,
        files=len(files),
        ids=sum(one.ids for one in named),
        posts=seen.posts,
        tokens=seen.tokens,
        findings=(*findings, *seen.findings),
        seconds=round(time.monotonic() - began, 3),
    )


def lines(done: Scan) -> Iterator[str]:
    """Yields what a scan found, as the command line prints it."""
    yield f"tombstones{done.tombstones:>12,}   of posts that were forgotten"
    yield f"ids       {done.ids:>12,}   in {done.files:,} files of tables, intermediate files and history"
    yield f"posts     {done.posts:>12,}   in sequences, of {done.tokens:,} tokens"
    yield f"seconds   {done.seconds:>12,.1f}"
    for finding in done.findings[:MAX_LINES]:
        what = "its id" if finding.what == "id" else "its tokens"
        yield f"found     {finding.file} row {finding.row}: {what}, of post {finding.post_key}"
    if len(done.findings) > MAX_LINES:
        yield f"found     {len(done.findings) - MAX_LINES:,} more; --json has all"
    yield "found nothing of them" if not done.findings else _what_to_do(done)


def _what_to_do(done: Scan) -> str:
    found = counted(len(done.findings), "trace")
    return (
        f"found {found}: forget the posts of these rows by their ids, which may be others of the same text; "
        f"where an intermediate file is named, run the recipe again"
    )
