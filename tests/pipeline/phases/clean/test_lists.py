"""Lists of a recipe in runs: what a run does with their files, reuses and says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.pipeline import cli
from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.run import run_plan
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.filter_table import filter_table
from sluice.pipeline.inputs.list_files import built
from sluice.pipeline.outputs.inspect import inspect
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.job import Job, keep_lists, make_job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.loader import load
from sluice.pipeline.recipes.schema import Recipe
from sluice.schemas.errors import RecipeError
from sluice.testing import posts_of
from tests.pipeline.inputs.test_payloads import tweet
from tests.pipeline.runs import Job as FinishedJob
from tests.pipeline.runs import contract_bytes, reject_rows

TEXTS = (
    "good morning to all of you",
    "see https://www.Bad.example/x now",
    "win casino money today",
    "this is my casino https://fine.example/",
)
RECIPE = """
name = "lists"
[[lists]]
name = "asked"
kind = "author"
files = ["{folder}/lists/authors.txt"]
reason = "opted_out"
[[lists]]
name = "links"
kind = "domain"
files = ["{folder}/lists/domains/*.txt"]
[[lists]]
name = "words"
kind = "phrase"
languages = ["en"]
files = ["{folder}/lists/words.txt"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with posts, lists, and a recipe that names them."""
    return filled(tmp_path / "first")


def filled(folder: Path) -> Path:
    """Makes such a folder."""
    (folder / "lists" / "domains").mkdir(parents=True)
    (folder / "lists" / "authors.txt").write_text("# by mail\n4711\n")
    (folder / "lists" / "domains" / "a.txt").write_text("other.example\n")
    (folder / "lists" / "domains" / "b.txt").write_bytes(b"\xef\xbb\xbf# more\r\nBAD.example\r\n")
    (folder / "lists" / "words.txt").write_text("casino\n")
    rows = [
        {"id": str(i), "text": text, "author_id": "4711" if i == 0 else None}
        for i, text in enumerate([*TEXTS] * 3)
    ]
    for half in (0, 1):
        lines = "".join(json.dumps(row) + "\n" for row in rows[half * 6 :][:6])
        (folder / f"posts-{half}.jsonl").write_text(lines)
    (folder / "lists.toml").write_text(RECIPE.format(folder=folder))
    return folder


def job_of(folder: Path, out: str = "out", **overrides: Any) -> Job:
    files = {"input.files": [str(folder / "posts-*.jsonl")]}
    recipe = load(str(folder / "lists.toml"), overrides=files | overrides)
    return make_job(recipe, out=str(folder / out))


def cleaned(job: Job, *, processes: int = 1) -> list[tuple[str, str, str | None]]:
    """Returns id, reason and detail of what phase clean of a run rejects."""
    Path(job.output).mkdir()
    keep_lists(job)
    with Workers(processes) as workers:
        run_plan(run_order.plan(job, Results(), "clean"), InlineEngine(workers))
    return [(r["post_id"], r["reason"], r["detail"]) for r in reject_rows(Path(job.output))]


EXPECTED = [
    ("0", "opted_out", "asked authors.txt:2"),
    *[(i, "blocked_domain", "links b.txt:2") for i in ("1", "5", "9")],
    *[(i, "blocked_phrase", "words words.txt:1") for i in ("2", "3", "6", "7", "10", "11")],
]


def test_workers_change_nothing(folder: Path) -> None:
    """One process and two, which map the same table, write the same rejects."""
    one, two = job_of(folder, "one"), job_of(folder, "two")
    assert sorted(cleaned(one), key=lambda row: int(row[0])) == sorted(
        EXPECTED, key=lambda row: int(row[0])
    )
    cleaned(two, processes=2)
    assert contract_bytes(Path(one.output), "rejects") == contract_bytes(
        Path(two.output), "rejects"
    )


def test_a_table_is_decided_as_a_run(folder: Path) -> None:
    """`filter_table` rejects the same posts, with the same reasons and details, and builds its table once."""
    posts = posts_of([*TEXTS] * 3, author_id=["4711", *[None] * 11])
    rejected = filter_table(posts, str(folder / "lists.toml")).rejected
    rows = zip(*(rejected[n].to_pylist() for n in ("post_id", "reason", "detail")), strict=True)
    assert set(rows) == set(EXPECTED)
    before = built.cache_info().misses
    filter_table(posts, str(folder / "lists.toml"))
    assert built.cache_info().misses == before


def fingerprints(job: Job) -> dict[str, str]:
    return run_order.fingerprints(job)


def _edit(path: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_text(text)


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        (_edit("lists/words.txt", "casino\nmoney\n"), True),
        (_edit("lists/domains/c.txt", "c.example\n"), True),
        (
            lambda folder: (folder / "lists.toml").write_text(RECIPE.format(folder=folder) + " "),
            False,
        ),
        (lambda folder: (folder / "lists" / "domains" / "a.txt").touch(), False),
    ],
    ids=["an entry", "a file", "the recipe's blanks", "a time"],
)
def test_what_a_run_does_again(
    folder: Path, change: Callable[[Path], object], *, is_other: bool
) -> None:
    """Phase clean depends on the bytes of lists; times and the recipe's form are nothing to it."""
    before = fingerprints(job_of(folder))
    change(folder)
    assert (fingerprints(job_of(folder)) != before) == is_other


def test_a_list_that_was_moved_is_the_same(folder: Path, tmp_path: Path) -> None:
    """Where the files of a list are does not count, the recipe's settings of it do."""
    there = filled(tmp_path / "second")
    first, second = job_of(folder), job_of(there)
    assert first.lists is not None
    assert second.lists is not None
    assert first.lists.part == second.lists.part
    other = load(first.recipe, overrides={"lists": []})
    assert make_job(other, out=str(folder / "out")).lists is None


def test_a_list_without_a_file_stops_the_job(folder: Path) -> None:
    """A file that is not there is an error before anything is read or written."""
    (folder / "lists" / "words.txt").unlink()
    with pytest.raises(RecipeError, match=r"lists\.words\.files: .*words\.txt"):
        job_of(folder)


def test_a_wrong_line_stops_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with the list, the file, the line and what must be there, and writes no rejects."""
    (folder / "lists" / "domains" / "a.txt").write_text("good.example\nhttps://bad.example/\n")
    files = ["--input", str(folder / "posts-*.jsonl"), "--output", str(folder / "out")]
    assert cli.main(["run", str(folder / "lists.toml"), *files]) == 2
    told = capsys.readouterr().err
    assert "lists.links: " in told
    assert "a.txt: line 2: 'https://bad.example/' is a URL; must be a domain" in told
    assert not list((folder / "out").glob("rejects/*"))


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('name = "Asked"\nkind = "id"\nfiles = ["x"]', "name must be lower-case"),
        ('name = "a"\nkind = "domains"\nfiles = ["x"]', "must be one of author, id, domain"),
        ('name = "a"\nkind = "id"', "files"),
        ('name = "a"\nkind = "id"\nfiles = []', "files"),
        ('name = "a"\nkind = "id"\nfile = ["x"]', "did you mean 'files'"),
        ('name = "a"\nkind = "id"\nfiles = ["x"]\nlanguages = ["en"]', "languages has no effect"),
        ('name = "a"\nkind = "phrase"\nfiles = ["x"]\nlanguages = ["English"]', "must be codes"),
        ('name = "a"\nkind = "id"\nfiles = ["x"]\nreason = "near"', "'near' is what duplicates"),
        ('name = "a"\nkind = "id"\nfiles = ["x"]\naction = "allow"\nreason = "x"', "reason has no"),
        ('name = "a"\nkind = "id"\nfiles = ["x"]\nplatforms = ["redit"]', "did you mean 'reddit'"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, table: str, fault: str) -> None:
    """A setting that is wrong, or would do nothing, is named with its path before anything is read."""
    (tmp_path / "a.toml").write_text(f'name = "x"\n[[lists]]\n{table}\n')
    with pytest.raises(RecipeError, match=rf"\$\.lists\[0\].*({fault})"):
        load(str(tmp_path / "a.toml"))


def test_two_lists_of_one_name_are_refused(tmp_path: Path) -> None:
    """Rejects and report tell lists by their names."""
    table = '[[lists]]\nname = "a"\nkind = "id"\nfiles = ["x"]\n'
    (tmp_path / "a.toml").write_text(f'name = "x"\n{table}{table}')
    with pytest.raises(RecipeError, match=r"\$\.lists\[1\]\.name: 'a' is there twice"):
        load(str(tmp_path / "a.toml"))


def test_a_whole_run_says_what_lists_did(job: FinishedJob, tmp_path: Path) -> None:
    """Report, manifest, page, card, rejects and verify agree on what lists rejected."""
    (tmp_path / "domains.txt").write_text("t.example\n")
    (tmp_path / "authors.txt").write_text("nobody\n")
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        job.recipe.read_text()
        + f'[[lists]]\nname = "links"\nkind = "domain"\nfiles = ["{tmp_path}/domains.txt"]\n'
        + f'[[lists]]\nname = "asked"\nkind = "author"\nfiles = ["{tmp_path}/authors.txt"]\n'
    )
    files = str(job.sample / "posts-*.jsonl.gz")
    out, frozen = tmp_path / "out", f"vocabulary.tokenizer={job.tokenizer}"
    arguments = ["run", str(recipe), "--input", files, "--output", str(out), "--set", frozen]
    assert cli.main(arguments) == 0
    assert cli.main(["verify", str(out)]) == 0
    report = json.loads((out / "report" / "report.json").read_text("utf-8"))
    rows = [row for row in reject_rows(out) if row["stage"] == "lists"]
    links, asked = report["lists"]
    assert links["rejected"] == links["named"] == len(rows) > 0
    assert report["posts"]["rejected"]["blocked_domain"] == len(rows)
    assert (asked["entries"], asked["named"], asked["rejected"]) == (1, 0, 0)
    assert asked["asked"] == links["asked"] - links["rejected"]
    assert any(text.startswith("lists.asked: no entry of 1") for text in report["warnings"])
    step = {row["name"]: row for row in report["filters"]}["lists"]
    assert step["posts_in"] - step["posts_out"] == len(rows)
    assert "links domains.txt:1" in {row["detail"] for row in rows}
    assert inspect(str(out), rows[0]["post_id"]).reason == "blocked_domain"
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert [entry["path"] for entry in manifest["lists"]] == ["domains.txt", "authors.txt"]
    assert str(tmp_path) not in json.dumps(manifest)
    card = (out / "report" / "DATACARD.md").read_text("utf-8")
    assert (
        f"| links | domain | block | `blocked_domain` | 1 | {len(rows):,} | {len(rows):,} |" in card
    )
    assert card.index("| `empty_text` |") < card.index("| `blocked_domain` |")
    assert card.index("| `blocked_domain` |") < card.index("| `too_few_words` |")
    page = (out / "report" / "report.html").read_text("utf-8")
    assert '<th scope="row">links</th><td>domain</td><td>block</td>' in page


@pytest.mark.parametrize("kept", ["drop", "keep"])
def test_authors_are_compared_before_their_ids_are_dropped(folder: Path, kept: str) -> None:
    """A recipe whose kept posts have no author still leaves out what authors asked for."""
    rows = cleaned(job_of(folder, **{"privacy.author_id": kept}))
    assert ("0", "opted_out", "asked authors.txt:2") in rows


def test_lists_on_what_platforms_send(tmp_path: Path) -> None:
    """Authors count on their platform alone, and an id takes out the posts that repeat it, too."""
    rows = [
        tweet(1, "one", user={"id_str": "7"}),
        tweet(2, "two", user={"id_str": "8"}),
        tweet(3, "RT @ann: two", user={"id_str": "9"}, retweeted_status=tweet(2, "two")),
        tweet(4, "four", user={"id_str": "9"}),
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "authors.txt").write_text("7\n")
    (tmp_path / "others.txt").write_text("9\n")
    (tmp_path / "ids.txt").write_text("2\n")
    made = [
        {
            "name": "on_x",
            "kind": "author",
            "files": [f"{tmp_path}/authors.txt"],
            "platforms": ["x"],
        },
        {
            "name": "on_reddit",
            "kind": "author",
            "files": [f"{tmp_path}/others.txt"],
            "platforms": ["reddit"],
        },
        {"name": "asked", "kind": "id", "files": [f"{tmp_path}/ids.txt"], "reason": "opted_out"},
    ]
    recipe = load(
        Recipe(name="x"), overrides={"input.files": [f"{tmp_path}/a.jsonl"], "lists": made}
    )
    assert cleaned(make_job(recipe, out=str(tmp_path / "out"))) == [
        ("1", "blocked_author", "on_x authors.txt:1"),
        ("2", "opted_out", "asked ids.txt:1"),
        ("3", "opted_out", "asked ids.txt:1"),
    ]
