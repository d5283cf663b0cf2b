"""`sluice forget`: which tokens change, and what else; killed at every write, it goes on to the same end."""

import json
import os
import random
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sluice
from sluice.pipeline import answers, cli
from sluice.pipeline.outputs import export
from sluice.pipeline.outputs.forgetting import command
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage import output_folder
from sluice.schemas.errors import OutputError, RecipeError, UnknownPostError
from sluice.tokenizer.vocabulary.load import around_posts, load_vocabulary
from tests.pipeline.runs import SMALL_SHARDS, Job, linked_output
from tests.pipeline.storage.stores import Store
from tests.pipeline.tombstones import KEY, SECRET, key_file

RECIPE = f"""
name = "forgotten"{SMALL_SHARDS}begin_of_document = true
provenance = ["source", "author_id"]
[privacy]
author_key = true
"""
KINDS = {
    "posts": ("mixture.source.weights={app=0.6}", "mixture.max_repeats=3", "training.tokens=40000"),
    "conversations": ("tokens.documents=conversations",),
}
LETTERS = "aeioubcdlmnrst"


def invented_posts(num_posts: int) -> list[dict[str, Any]]:
    """Returns posts of 25 authors: long ones, ones of conversations, and some that repeat others."""
    draw = random.Random(5)
    found: list[dict[str, Any]] = []
    for number in range(num_posts):
        num_words = draw.choice([4, 8, 12, 12, 90])
        words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(num_words)]
        text = draw.choice(found)["text"] if draw.random() < 0.1 and found else " ".join(words)
        about = {"id": f"p{number}", "text": text, "author_id": f"a{number % 25}"}
        place = {"source": draw.choice(["app", "web"]), "conversation_id": f"c{number // 4}"}
        found.append(about | place)
    return [*found, {"id": "blank", "text": " "}]


@pytest.fixture(scope="module", params=KINDS)
def output(
    request: pytest.FixtureRequest, job: Job, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished output of posts that are repeated and cut, or of conversations."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "forgotten.toml").write_text(
        RECIPE.replace("[privacy]", f"[privacy]\nkey_file = '{key_file(folder)}'")
    )
    lines = [json.dumps(post) + "\n" for post in invented_posts(704)]
    (folder / "posts.jsonl").write_text("".join(lines))
    sets = (f"vocabulary.tokenizer={job.tokenizer}", *KINDS[request.param])
    more = [part for value in sets for part in ("--set", value)]
    words = ["run", str(folder / "forgotten.toml"), "--input", str(folder / "posts.jsonl")]
    assert cli.main([*words, "--output", str(folder / "out"), *more]) == 0
    return folder / "out"


@pytest.fixture
def copy(output: Path, tmp_path: Path) -> Path:
    """Hard links to the output: files are replaced, never changed in place."""
    return linked_output(output, tmp_path / "out")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_file(tmp_path)


def ids_file(folder: Path, ids: list[str]) -> Path:
    path = folder / "ids.txt"
    path.write_text("".join(f"{i}\n" for i in ids))
    return path


def pairs(output: Path) -> Iterator[tuple[Path, Path]]:
    for tokens in sorted(output.glob("tokens/tokens-*")):
        yield tokens, output / "provenance" / f"{tokens.stem}.parquet"
    if (output / "leftover/tokens.arrow").exists():
        yield output / "leftover/tokens.arrow", output / "leftover/provenance.parquet"


def sequences(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def kept_ids(output: Path) -> list[str]:
    found = {i for _, path in pairs(output) for i in pq.read_table(path)["post_id"].to_pylist()}
    return sorted(found)


def vocabulary(output: Path) -> Any:
    return load_vocabulary(output / "tokenizer/tokenizer.json")


def expected(output: Path, ids: set[str]) -> dict[Path, list[list[int]]]:
    """Returns the sequences of each file of tokens without the posts, token by token."""
    special = vocabulary(output)
    stay = {special.bod_id, special.turn_id, special.eod_id}
    found = {}
    for tokens, provenance in pairs(output):
        rows = [list(row) for row in sequences(tokens)["tokens"].to_pylist()]
        for piece in pq.read_table(provenance).to_pylist():
            if piece["post_id"] in ids:
                for at in range(piece["offset"], piece["offset"] + piece["length"]):
                    row = rows[piece["sequence"]]
                    row[at] = row[at] if row[at] in stay else special.pad_id
        found[tokens.relative_to(output)] = rows
    return found


def state(output: Path) -> dict[str, tuple[bytes, int]]:
    """Returns the bytes and the time of every file of the contract, by name."""
    files = (path for path in output.rglob("*") if path.is_file() and "work" not in path.parts)
    return {
        str(path.relative_to(output)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
    }


def chosen(output: Path, number: int) -> list[str]:
    ids = kept_ids(output)
    return random.Random(number).sample(ids, min(number, len(ids)))


def test_the_outputs_have_what_is_tested(output: Path) -> None:
    """Several shards and a leftover, posts in pieces; repeats, or several posts in a document."""
    rows = rows_of(output, "provenance")
    assert len(list(output.glob("tokens/*"))) > 1
    assert (output / "leftover/tokens.arrow").exists()
    assert any(row["piece"] for row in rows)
    first = [(row["post_id"], row["document"]) for row in rows if not row["piece"]]
    repeats = len(first) > len({post_id for post_id, _ in first})
    joined = len(first) > len({document for _, document in first})
    assert (repeats, joined) in [(True, False), (False, True)]


@pytest.mark.parametrize("number", [1, 2, 5, 40, 1000])
def test_exactly_the_tokens_of_the_posts_change(
    output: Path, copy: Path, key: Path, tmp_path: Path, number: int
) -> None:
    """Pieces, repeats, posts of conversations, the leftover: padding there, and no other token changes."""
    ids = chosen(output, number)
    after, before = expected(output, set(ids)), state(output)
    done = sluice.forget(copy, ids=ids_file(tmp_path, ids), key_file=key)
    assert (done.given, done.kept, done.unknown) == (len(ids), len(ids), 0)
    changed = set()
    for name, rows in after.items():
        table = sequences(copy / name)
        assert table["tokens"].to_pylist() == rows
        assert table["doc_ends"] == sequences(output / name)["doc_ends"]
        assert table.schema.equals(sequences(output / name).schema, check_metadata=True)
        if rows != sequences(output / name)["tokens"].to_pylist():
            changed.add(str(name))
    assert done.shards == len(changed)
    unchanged = {name for name in after if str(name) not in changed}
    for name in map(str, unchanged):
        assert state(copy)[name] == before[name]
    assert sluice.verify(copy) == []
    assert sluice.verify(output) == []


def rows_of(output: Path, folder: str) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted((output / folder).glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_provenance_keeps_places_and_nothing_else(
    output: Path, copy: Path, key: Path, tmp_path: Path
) -> None:
    """A forgotten post's id is a hash, what is carried of it is null; other rows are as they were."""
    ids = set(chosen(output, 20))
    sluice.forget(copy, ids=ids_file(tmp_path, sorted(ids)), key_file=key)
    for folder in ("provenance", "leftover"):
        before, after = rows_of(output, folder), rows_of(copy, folder)
        for old, new in zip(before, after, strict=True):
            gone = old["post_id"] in ids
            assert (new.pop("forgotten_at", None) is not None) == gone
            nothing = dict.fromkeys(("source", "author_id", "author_key"))
            hashed = {"post_id": KEY.post(old["post_id"])} | nothing
            assert new == old | (hashed if gone else {})


def test_rejects_name_no_forgotten_post(
    output: Path, copy: Path, key: Path, tmp_path: Path
) -> None:
    """A post that was rejected is found too; its row, and those of copies, name it by its hash."""
    before = rows_of(output, "rejects")
    partners = [row["duplicate_of"] for row in before if row["kind"] == "duplicate"]
    ids = {*partners[:3], before[-1]["post_id"], "blank"}
    done = sluice.forget(copy, ids=ids_file(tmp_path, sorted(ids)), key_file=key)
    after = rows_of(copy, "rejects")
    new = [row for row in after if row["phase"] == "forget"]
    kept = ids & set(kept_ids(output))
    assert {row["post_id"] for row in new} == {KEY.post(i) for i in kept}
    assert {(row["kind"], row["stage"], row["reason"]) for row in new} == {
        ("policy", "forget", "forgotten")
    }
    hashed = [
        {
            name: KEY.post(value) if name in ("post_id", "duplicate_of") and value in ids else value
            for name, value in row.items()
        }
        for row in before
    ]
    assert [row for row in after if row["phase"] != "forget"] == hashed
    assert done.posts == len(kept)
    assert done.rejected == len(ids - kept)
    assert done.copies == sum(partner in kept for partner in partners)


def test_the_ledger(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """Kept posts and encoded tokens go down by what the new lines go up; the equations hold."""
    ids = chosen(output, 30)
    done = sluice.forget(copy, ids=ids_file(tmp_path, ids), key_file=key)
    before, after = (sluice.open_output(path).report for path in (output, copy))
    pad, used = vocabulary(output).pad_id, 0
    for tokens, _ in pairs(output):
        old, new = (
            np.array(sequences(root / tokens.relative_to(output))["tokens"].to_pylist())
            for root in (output, copy)
        )
        used += int(((old != pad) & (new == pad)).sum())
    assert done.tokens == used > 0
    assert after.posts.kept == before.posts.kept - len(ids)
    assert after.posts.rejected["forgotten"] == after.posts.forgotten == len(ids)
    assert after.tokens.encoded == before.tokens.encoded - used
    assert after.token_ledger.forgotten == after.tokens.forgotten == used
    assert after.posts.by_lang == before.posts.by_lang
    after.token_ledger.check()
    after.posts.check()
    assert f"{used:,} forgotten" in after.ledger.tokens
    assert after.forget is not None
    assert (after.forget.times, after.forget.posts, after.forget.tokens) == (1, len(ids), used)
    assert after.forget.by_request == {"ids": len(ids)}
    card = (copy / "report/DATACARD.md").read_text()
    assert f"{len(ids)} posts with {used:,} tokens were taken out since the run" in card
    assert "forgotten since the run" in (copy / "report/report.html").read_text()
    page = state(copy)
    assert cli.main(["report", str(copy), "--quiet"]) == 0
    assert {name: data for name, (data, _) in state(copy).items()} == {
        name: data for name, (data, _) in page.items()
    }


def stones(output: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(output / "forgotten").to_pylist()
    return sorted(rows, key=lambda row: row["post_key"])


def test_tombstones(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """One for each post, with the hash of its tokens over its pieces, of one copy; its author's key."""
    ids = chosen(output, 60)
    sluice.forget(copy, ids=ids_file(tmp_path, ids), key_file=key)
    special, found = around_posts(vocabulary(output)), {}
    for tokens, provenance in pairs(output):
        rows = sequences(tokens)["tokens"].to_pylist()
        for piece in pq.read_table(provenance).to_pylist():
            if piece["post_id"] in ids:
                there = rows[piece["sequence"]][piece["offset"] :][: piece["length"]]
                copies = found.setdefault(piece["post_id"], {})
                copies.setdefault(piece["document"], {})[piece["piece"]] = there
    wanted = []
    for post_id in ids:
        pieces = next(iter(found[post_id].values()))
        whole = [t for number in sorted(pieces) for t in pieces[number] if t not in special]
        author = KEY.author(None, f"a{int(post_id[1:]) % 25}")
        hashed = KEY.tokens(np.array(whole, np.int32))
        wanted.append((KEY.post(post_id), author, len(whole), hashed))
    rows = stones(copy)
    columns = ("post_key", "author_key", "num_tokens", "tokens_key")
    assert [tuple(row[name] for name in columns) for row in rows] == sorted(wanted)
    assert any(len(p) > 1 for copies in found.values() for p in copies.values())


def test_authors(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """All posts of an author go, by the id, by the key that the provenance has, once each."""
    path = tmp_path / "authors.csv"
    path.write_text(f"author_id,author_key\na3,\n,{KEY.author(None, 'a7')}\nstranger,\n")
    theirs = {i for i in kept_ids(output) if int(i[1:]) % 25 in (3, 7)}
    after = expected(output, theirs)
    done = sluice.forget(copy, authors=path, key_file=key)
    assert (done.asked, done.given, done.unknown, done.posts) == ("authors", 3, 1, len(theirs))
    assert {n: sequences(copy / n)["tokens"].to_pylist() for n in after} == after
    report = sluice.open_output(copy).report.forget
    assert report is not None
    assert report.by_request == {"authors": len(theirs)}
    assert sluice.verify(copy) == []


def test_twice(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """The same ids again change no file; others are a second forget, whose totals add up."""
    first, second = chosen(output, 20)[:10], chosen(output, 20)[10:]
    sluice.forget(copy, ids=ids_file(tmp_path, first), key_file=key)
    before = state(copy)
    again = sluice.forget(copy, ids=ids_file(tmp_path, first), key_file=key)
    assert (again.already, again.posts, again.shards) == (10, 0, 0)
    assert state(copy) == before
    both = sluice.forget(copy, ids=ids_file(tmp_path, [*first, *second]), key_file=key)
    assert (both.already, both.posts) == (10, 10)
    after = expected(output, {*first, *second})
    assert {n: sequences(copy / n)["tokens"].to_pylist() for n in after} == after
    assert sluice.verify(copy) == []
    report = sluice.open_output(copy).report
    assert report.forget is not None
    assert (report.forget.times, report.forget.posts, report.posts.forgotten) == (2, 20, 20)


# --- what is refused ---------------------------------------------------------------------------


def test_unknown_ids(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """A file without a known id is an error that tells how many; one with some is done, and tells."""
    before = state(copy)
    with pytest.raises(UnknownPostError, match=r"knows 0 of the 2 ids in .*ids\.txt: nothing was"):
        sluice.forget(copy, ids=ids_file(tmp_path, ["x", "y"]), key_file=key)
    assert state(copy) == before
    done = sluice.forget(copy, ids=ids_file(tmp_path, ["x", *chosen(output, 1)]), key_file=key)
    assert (done.given, done.unknown, done.posts) == (2, 1, 1)


def test_keys(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """No key, a key that is not there, and another key than that of the run are errors with the remedy."""
    ids = ids_file(tmp_path, chosen(output, 1))
    with pytest.raises(RecipeError, match=r"--key-file: is missing.*head -c 32"):
        sluice.forget(copy, ids=ids)
    with pytest.raises(RecipeError, match=r"--key-file = .*nowhere.*head -c 32"):
        sluice.forget(copy, ids=ids, key_file=tmp_path / "nowhere")
    other = key_file(tmp_path, SECRET[::-1])
    with pytest.raises(RecipeError, match=r"is not the key of the run .*the recipe names 'key-0'"):
        sluice.forget(copy, ids=ids, key_file=other)


def edit_manifest(output: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = output / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.unlink()
    path.write_text(json.dumps(manifest))


def test_key_of_earlier_forgets(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """Where the run has no key, the first forget says which; another one is refused."""
    edit_manifest(copy, lambda manifest: manifest.update(key_check=None))
    ids = ids_file(tmp_path, chosen(output, 1))
    sluice.forget(copy, ids=ids, key_file=key)
    other = key_file(tmp_path, SECRET[::-1])
    with pytest.raises(RecipeError, match="is not the key of the posts that were forgotten before"):
        sluice.forget(copy, ids=ids, key_file=other)


def test_other_versions(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """The output of another version, and one whose run did not finish, are refused with the remedy."""
    ids = ids_file(tmp_path, chosen(output, 1))
    edit_manifest(copy, lambda manifest: manifest.update(sluice="9.1.0"))
    with pytest.raises(OutputError, match=r"was written by sluice 9\.1\.0.*use sluice 9\.1\.0"):
        sluice.forget(copy, ids=ids, key_file=key)
    edit_manifest(copy, lambda manifest: manifest.update(input=None))
    with pytest.raises(OutputError, match=r"forgets only in its own outputs"):
        sluice.forget(copy, ids=ids, key_file=key)


def test_unfinished(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """A run that did not finish is to be finished first; a folder that is none is named."""
    ids = ids_file(tmp_path, chosen(output, 1))
    (copy / "COMPLETED").unlink()
    with pytest.raises(OutputError, match="no COMPLETED: the run did not finish"):
        sluice.forget(copy, ids=ids, key_file=key)
    with pytest.raises(OutputError, match="there is no such folder"):
        sluice.forget(tmp_path / "nowhere", ids=ids, key_file=key)


def test_without_author_keys(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """Authors cannot be found in a provenance without their keys; the error says how it gets them."""
    edit_manifest(copy, lambda manifest: manifest["recipe"]["privacy"].update(author_key=False))
    with pytest.raises(OutputError, match=r"has no author_key: .*privacy\.author_key = true"):
        sluice.forget(copy, authors=ids_file(tmp_path, ["a3"]), key_file=key)


def test_two_at_once(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """While a run or a forget holds the output, another is refused."""
    ids = ids_file(tmp_path, chosen(output, 1))
    with (
        output_folder.locked(str(copy)),
        pytest.raises(
            OutputError, match="another run holds it; wait for it or choose another output"
        ),
    ):
        sluice.forget(copy, ids=ids, key_file=key)


# --- kills -------------------------------------------------------------------------------------


class Killing:
    """Ends the process at the n-th write of a forget, before or after it."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, *, after: bool):
        self._left, self._after, self._lock = at, after, threading.Lock()
        for module, name in ((storage, "put"), (storage, "write_bytes"), (storage, "delete")):
            patch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, write: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any) -> None:
            with self._lock:
                self._left -= 1
                is_last = self._left == 0
            if is_last and not self._after:
                os._exit(9)
            write(*arguments)
            if is_last:
                os._exit(9)

        return counted


def killed(patch: pytest.MonkeyPatch, at: int, *, after: bool, **asked: Any) -> bool:
    """Forgets in a child that is killed at its n-th write; returns whether it came so far."""
    child = os.fork()
    if not child:
        code = 1
        try:
            Killing(patch, at, after=after)
            command.forget(**asked, workers=1)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


def contents(output: Path) -> dict[str, bytes]:
    """Returns what a forget leaves, but for the time that it notes."""
    return {
        name: data
        for name, (data, _) in state(output).items()
        if not name.startswith(
            ("report/", "forgotten/", "provenance/", "leftover/prov", "manifest")
        )
    }


@pytest.mark.parametrize("output", ["conversations"], indirect=True)
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_write(
    output: Path, tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Finished by `--resume`, or by the next forget: the same tokens, tables and totals; verify agrees."""
    ids = chosen(output, 12)
    asked = {"ids": str(ids_file(tmp_path, ids)), "key_file": str(key)}
    whole = linked_output(output, tmp_path / "whole")
    sluice.forget(whole, **asked)
    wanted, report, at = contents(whole), sluice.open_output(whole).report, 1
    while killed(
        monkeypatch,
        at,
        after=after,
        output=str(linked_output(output, tmp_path / f"out-{at}")),
        **asked,
    ):
        part = tmp_path / f"out-{at}"
        pending = (part / "forgotten/pending.json").exists()
        assert pending == any("is at work here, or did not end" in p for p in sluice.verify(part))
        done = sluice.forget(part) if pending and at % 2 else sluice.forget(part, **asked)
        assert done.resumed == pending
        assert contents(part) == wanted
        found = sluice.open_output(part).report
        assert (found.posts, found.tokens, found.token_ledger) == (
            report.posts,
            report.tokens,
            report.token_ledger,
        )
        assert sluice.verify(part) == []
        at += 1
    assert at > 10


def test_a_pending_forget_is_told(
    output: Path,
    copy: Path,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Runs, exports and inspect say that one did not end, and what finishes it, if there is one."""
    ids = chosen(output, 5)
    asked = {"ids": str(ids_file(tmp_path, ids)), "key_file": str(key)}
    assert killed(monkeypatch, 3, after=False, output=str(copy), **asked)
    with pytest.raises(OutputError, match=r"finish it with `sluice forget .*out --resume`"):
        sluice.export(copy, "megatron", tmp_path / "export")
    told = f"finish it with `sluice forget {copy} --resume`"
    recipe, posts = output.parent / "forgotten.toml", output.parent / "posts.jsonl"
    assert cli.main(["run", str(recipe), "--input", str(posts), "--output", str(copy)]) == 2
    assert told in capsys.readouterr().err
    (copy / "provenance/.tmp-ab-tokens.parquet").write_bytes(b"half")
    cli.main(["inspect", str(copy), ids[0]])
    assert told in capsys.readouterr().err
    assert cli.main(["forget", str(copy), "--resume"]) == 0
    assert sluice.verify(copy) == []
    assert not sluice.forget(copy).resumed


# --- what reads the output ---------------------------------------------------------------------


def test_a_reader_meanwhile(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """A shard that was mapped before a forget is read to its end as it was; one opened after it is new."""
    tokens, _ = next(pairs(copy))
    mapped = pa.ipc.open_file(pa.memory_map(str(tokens)))
    before = sequences(tokens)
    sluice.forget(copy, ids=ids_file(tmp_path, kept_ids(output)), key_file=key)
    assert mapped.read_all().equals(before)
    assert not sequences(tokens).equals(before)


def test_inspect(
    output: Path, copy: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the key it says that a post was forgotten, and when; without, that some were."""
    ids = chosen(output, 3)
    sluice.forget(copy, ids=ids_file(tmp_path, ids), key_file=key)
    with pytest.raises(UnknownPostError, match=r"3 posts were forgotten: --key-file FILE tells"):
        sluice.inspect(copy, ids[0])
    found = sluice.inspect(copy, ids[0], key_file=key)
    assert (found.outcome, found.reason, found.placements) == ("forgotten", "forgotten", ())
    rows = {row["post_key"]: row for row in stones(copy)}
    row = rows[KEY.post(ids[0])]
    assert found.forgotten == ((row["forgotten_at"], row["num_tokens"]),)
    words = ["inspect", str(copy), ids[0], "--key-file", str(key)]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("forgotten  20")
    with pytest.raises(UnknownPostError, match=r"no post has the id 'q'"):
        sluice.inspect(copy, "q", key_file=key)
    with pytest.raises(OutputError, match=r"is not the key that posts of .* were forgotten with"):
        sluice.inspect(copy, ids[0], key_file=key_file(tmp_path, SECRET[::-1]))


def test_exports(output: Path, copy: Path, key: Path, tmp_path: Path) -> None:
    """Those made before are named with their time; new ones have no padding and no document without posts."""
    sluice.export(copy, "megatron", tmp_path / "before", leftover=True)
    ids = chosen(output, 50)
    done = sluice.forget(copy, ids=ids_file(tmp_path, ids), key_file=key)
    (made,) = done.exports
    assert (made.folder, made.format) == (str(tmp_path / "before"), "megatron")
    assert f"not reached: export {made.folder} (megatron, {made.at})" in "\n".join(
        command.lines(done)
    )
    assert made.folder in (copy / "report/DATACARD.md").read_text()
    special = vocabulary(output)
    for kind in ("documents", "sequences"):
        counts = sluice.export(copy, "megatron", tmp_path / kind, items=kind, leftover=True).counts
        tokens = np.fromfile(tmp_path / kind / f"{kind}.bin", np.int32)
        old = np.fromfile(tmp_path / "before/documents.bin", np.int32)
        assert special.pad_id not in tokens
        assert len(tokens) == counts.tokens == len(old) - done.tokens - counts.emptied
        if kind == "documents":
            ends = np.flatnonzero(tokens == special.eod_id)
            assert (np.diff(ends) > 1).all()


def test_exports_that_fail_leave_no_note(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export is noted when it begins; one that did not come to its end is not named."""
    noted: list[Path] = []

    def failing(*arguments: Any) -> None:
        noted.extend(copy.glob("report/exports/*"))
        raise OSError("No space left on device")

    monkeypatch.setitem(export.WRITERS, "megatron", failing)
    with pytest.raises(OSError, match="No space left"):
        sluice.export(copy, "megatron", tmp_path / "export")
    assert len(noted) == 1
    assert list(copy.glob("report/exports/*")) == []


def damaged(change: Callable[[np.ndarray, Any], None]) -> Callable[[Path], None]:
    """Returns what changes the tokens of the first shard."""

    def damage(output: Path) -> None:
        tokens, provenance = next(pairs(output))
        table = sequences(tokens)
        rows_SL = np.array(table["tokens"].to_pylist(), np.int32)
        gone = next(r for r in pq.read_table(provenance).to_pylist() if r["forgotten_at"])
        change(rows_SL, gone)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(rows_SL.reshape(-1)), rows_SL.shape[1])
        tokens.unlink()
        with pa.ipc.new_file(str(tokens), table.schema) as writer:
            doc_ends = table["doc_ends"].combine_chunks()
            batch = pa.RecordBatch.from_arrays([flat, doc_ends], schema=table.schema)
            writer.write_table(pa.Table.from_batches([batch]), max_chunksize=256)

    return damage


def _comes_back(rows_SL: np.ndarray, gone: dict[str, Any]) -> None:
    rows_SL[gone["sequence"], gone["offset"] + 1] = 77


def _padded(rows_SL: np.ndarray, gone: dict[str, Any]) -> None:
    rows_SL[:, :4] = rows_SL[gone["sequence"], gone["offset"] + 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_comes_back, "1 tokens of forgotten posts are there"),
        (_padded, "have padding inside a document"),
    ],
)
def test_verify_tells(
    output: Path,
    copy: Path,
    key: Path,
    tmp_path: Path,
    change: Callable[[np.ndarray, Any], None],
    message: str,
) -> None:
    """A token of a forgotten post that is there, and padding where none was forgotten, are found."""
    sluice.forget(copy, ids=ids_file(tmp_path, chosen(output, 20)), key_file=key)
    damaged(change)(copy)
    assert any(message in problem for problem in sluice.verify(copy))


def test_no_plain_id_is_left(
    output: Path, copy: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal, all tables and the command's answer hold hashes only; the key is nowhere."""
    ids = chosen(output, 4)
    asked = {"ids": str(ids_file(tmp_path, ids)), "key_file": str(key)}
    assert named_in_tables(copy) >= set(ids)
    assert killed(monkeypatch, 1, after=True, output=str(copy), **asked)
    journal = (copy / "forgotten/pending.json").read_text()
    assert all(KEY.post(i) in journal for i in ids)
    assert not any(f'"{i}"' in journal for i in ids)
    answer = answers.json_line(answers.of_forget(sluice.forget(copy, **asked)))
    assert not any(f'"{i}"' in answer for i in ids)
    assert not named_in_tables(copy) & set(ids)
    files = [path.read_bytes() for path in copy.rglob("*") if path.is_file()]
    assert not any(SECRET in data or SECRET.hex().encode() in data for data in files)
    assert all(KEY.check.encode() in path.read_bytes() for path in copy.glob("forgotten/*"))


def named_in_tables(output: Path) -> set[str]:
    """Returns all texts in the Parquet files of an output, ids among them."""
    tables = [pq.read_table(path) for path in output.rglob("*.parquet")]
    columns = [column for table in tables for column in table.columns]
    texts = [column for column in columns if pa.types.is_string(column.type)]
    return {text for column in texts for text in column.to_pylist()}


# --- object stores -----------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["conversations"], indirect=True)
def test_in_an_object_store(
    output: Path, copy: Path, key: Path, tmp_path: Path, bucket: str, s3: Store
) -> None:
    """The same bytes as on a disk; a shard is replaced by one put, and those without the posts are not."""
    for path in output.rglob("*"):
        if path.is_file() and "work" not in path.parts:
            storage.write_bytes(f"{bucket}/out/{path.relative_to(output)}", path.read_bytes())
    ids = chosen(output, 1)
    before = len(s3.requests)
    there = sluice.forget(f"{bucket}/out", ids=ids_file(tmp_path, ids), key_file=key)
    here = sluice.forget(copy, ids=ids_file(tmp_path, ids), key_file=key)
    assert (there.posts, there.tokens, there.shards) == (here.posts, here.tokens, here.shards)
    for name, data in contents(copy).items():
        assert storage.read_bytes(f"{bucket}/out/{name}") == data
    put = {r.path.rpartition("/")[2] for r in s3.requests[before:] if r.method in ("PUT", "POST")}
    touched = {
        path.name
        for path in copy.glob("tokens/*")
        if path.read_bytes() != (output / "tokens" / path.name).read_bytes()
    }
    names = {path.name for path in copy.glob("tokens/*")}
    assert put & names == touched != names
    assert sluice.verify(f"{bucket}/out") == []
    assert storage.listing(f"{bucket}/out/forgotten")[0].path.endswith("forgotten-00000.parquet")
