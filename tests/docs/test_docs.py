"""The documentation is true: its code runs, its commands parse, its tables are those of the code."""

import ast
import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pytest

from sluice.filters.base import Filter
from sluice.filters.lists.spec import ListSpec
from sluice.filters.registry import AnyFilter
from sluice.filters.transformers.load import Located
from sluice.pipeline import cli
from sluice.pipeline.phases.classify.thresholds import score_schema as transformer_schema
from sluice.pipeline.phases.score.stage import score_schema
from sluice.pipeline.phases.tokens.packed_files import PROVENANCE
from sluice.pipeline.recipes import loader
from sluice.pipeline.recipes import schema as recipe
from sluice.pipeline.sample.write import write_sample
from sluice.schemas.notice import DELETIONS
from sluice.schemas.payloads.columns import REASONS
from sluice.schemas.post import INPUT_COLUMNS, POST
from sluice.schemas.reject import REJECT
from sluice.schemas.report import (
    ConversationReport,
    DecontaminationReport,
    ExcludeReport,
    ForgetReport,
    ListReport,
    PrivacyReport,
    SetReport,
    SourceReport,
)
from sluice.schemas.token_shard import ShardFormat
from sluice.schemas.tombstone import TOMBSTONE
from tests.docs.pages import PAGES, commands, fences, name_of, quoted, table
from tests.docs.report_keys import leaves, pattern
from tests.repository import ROOMS, ROOT

LINKED = [
    *PAGES,
    *sorted((ROOT / "docs").glob("*/README.md")),
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "pipeline" / "DESIGN.md",
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
HISTORY = {"CHANGELOG.md", "DESIGN.md"}
"""Pages that say what was: files that they name may have moved since."""

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
every_linked = pytest.mark.parametrize("page", LINKED, ids=name_of)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sluice-sample/ and sluice-out/, as ./run_local.sh leaves one, but small."""
    folder = tmp_path_factory.mktemp("docs")
    write_sample(folder / "sluice-sample", num_posts=1000, seed=1)
    posts, out = folder / "sluice-sample" / "posts-*.jsonl.gz", folder / "sluice-out"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(["run", "sample", "--input", str(posts), "--output", str(out)]) == 0
    (folder / "printed.txt").write_text(printed.getvalue().replace(f"{folder}/", ""))
    return folder


def columns(name: str) -> list[tuple[str, str]]:
    """Returns (name, type) of the rows of a table of columns."""
    return [(quoted(row[0])[0], row[1]) for row in table(name)]


def columns_of(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in schema]


# --- code and commands -----------------------------------------------------------------------


@every_page
def test_code_runs(page: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block marked to be run does run, beside an output, after the blocks before it."""
    monkeypatch.chdir(outputs)
    names: dict[str, Any] = {"__name__": f"docs.{page.stem}"}
    for marked, text in fences(page, "python"):
        ast.parse(text)
        if marked:
            exec(compile(text, page.name, "exec"), names)  # our own documentation
    if page.name == "output.md":
        assert names["tokens"].shape[1] == 2048
        assert names["text"].strip()
        assert names["ids"][-1] == 2
    if page.name == "media.md":
        assert sum(len(keys) for _, keys in names["examples"]) > 10
    if page.name == "plugins.md":
        assert names["parts"].kept["post_id"].to_pylist() == ["2"]
        assert names["parts"].rejected["reason"].to_pylist() == ["too_many_prices"]
        assert names["parts"].scores["price_count"].to_pylist() == [0]
    if page.name == "filters.md":
        assert names["split"].kept.posts["post_id"].to_pylist() == ["0"]
        assert names["split"].rejected["reason"].to_pylist() == ["too_many_handles"]


@every_page
def test_commands_parse(page: Path) -> None:
    """Every command line is one that the parser takes, and its settings fit its recipe."""
    for argv in commands(page):
        parsed = cli.parser().parse_args(cli.split_flags(argv)[0])
        if hasattr(parsed, "recipe"):
            loader.load(parsed.recipe, sets=tuple(parsed.set))


def test_there_are_commands() -> None:
    """Each command of the parser is in a command line of a page."""
    assert {argv[0] for page in PAGES for argv in commands(page)} == set(subparsers())


def subparsers() -> dict[str, Any]:
    return next(a.choices for a in cli.parser()._actions if isinstance(a.choices, dict))


def test_every_flag_is_mentioned() -> None:
    """README or docs name every command and every flag of it."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    flags = {f for a in cli.parser()._actions for f in a.option_strings}
    for name, command in subparsers().items():
        assert f"sluice {name}" in text
        flags |= {f for action in command._actions for f in action.option_strings}
    missing = [f for f in flags if f.startswith("--") and not re.search(rf"{f}\b", text)]
    assert missing == []


# --- tables ----------------------------------------------------------------------------------


def described(kind: type[Filter]) -> list[Any]:
    """Returns what a filter's row must say, but for its score."""
    fields = {
        f.name: f.default if f.default_factory is msgspec.NODEFAULT else f.default_factory()
        for f in msgspec.structs.fields(kind)
    }
    fixed = kind.bound not in fields
    default = f"{'fixed: ' * fixed}{float(getattr(kind(), kind.bound)):g}"
    if not fixed and isinstance(fields[kind.bound], int):
        default = str(fields[kind.bound])
    others = [f"`{k}` = {shown(v)}" for k, v in fields.items() if k != kind.bound]
    tag = str(kind.__struct_config__.tag)
    return [f"`{tag}`", f"`{kind.bound}`", default, ", ".join(others), f"`{kind.reason}`"]


def shown(value: Any) -> str:
    """Returns a default as the pages write it."""
    return "none" if value is None else json.dumps(msgspec.to_builtins(value))


def test_filters() -> None:
    """The table has every filter, with its bound, defaults and reason, in the order of names."""
    rows = [[row[0], *row[2:]] for row in table("filters")]
    assert rows == sorted(described(kind) for kind in get_args(AnyFilter))


def recipe_keys() -> Iterator[tuple[str, str]]:
    """Yields (key, default) of the whole recipe."""
    for field in msgspec.structs.fields(recipe.Recipe):
        if isinstance(field.default, recipe.RecipeSection):
            values = msgspec.structs.asdict(field.default)
            yield from ((f"{field.name}.{k}", f"`{shown(v)}`") for k, v in values.items())
        else:
            required = field.default is msgspec.NODEFAULT
            yield field.name, "required" if required else f"`{shown(field.default)}`"


def test_recipe_keys() -> None:
    """The table has every key with its default, in the order of the code."""
    expected = [(key, default.replace("`none`", "none")) for key, default in recipe_keys()]
    assert [(quoted(row[0])[0], row[1]) for row in table("recipe")] == expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [("transformers", recipe.Classifier), ("lists", ListSpec), ("sources", recipe.SourceSection)],
)
def test_keys_of_tables_in_a_list(name: str, kind: type[msgspec.Struct]) -> None:
    """The table has every key of a transformer, list or source with its default, in the order of the code."""
    expected = []
    for field in msgspec.structs.fields(kind):
        default: Any = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        said = {None: "none", msgspec.NODEFAULT: "required"}
        known = not isinstance(default, dict) and default in said
        expected.append((field.name, said[default] if known else f"`{shown(default)}`"))
    assert [(quoted(row[0])[0], row[1]) for row in table(name)] == expected


TINY = recipe.Classifier(model="tiny")
NO_MODEL = Located(folder="", configs=(), weights=(), labels=(), activation="sigmoid", header=None)


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("post", pa.schema([POST.field(n) for n in INPUT_COLUMNS])),
        ("reject", REJECT),
        ("provenance", PROVENANCE),
        ("token_shard", ShardFormat(8192, 131_072, 0, 2).schema),
        ("deletions", DELETIONS),
        ("scores", score_schema(())),
        ("transformer scores", transformer_schema(TINY, NO_MODEL)),
    ],
)
def test_columns(name: str, schema: pa.Schema) -> None:
    """Every table of columns has the names and types of its schema."""
    expected = columns_of(schema)
    documented = [(n, "media" if n == "media" else kind) for n, kind in columns(name)]
    assert documented == [(n, "media" if n == "media" else kind) for n, kind in expected]
    assert [n for n, _ in columns(name)] == schema.names


def test_reasons_of_malformed_rows() -> None:
    """The table has every reason that a reader gives."""
    assert [quoted(row[0])[0] for row in table("malformed")] == list(REASONS)


def test_report_keys(outputs: Path) -> None:
    """The table has every key of report.json, and none that it lacks but where a table is empty."""
    report = json.loads((outputs / "sluice-out" / "report" / "report.json").read_text("utf-8"))
    documented = [key for row in table("report") for key in quoted(row[0])]
    paths = list(leaves(report))
    unknown = [path for path in paths if not any(pattern(k).fullmatch(path) for k in documented)]
    assert unknown == []
    gone = [k for k in documented if not any(pattern(k).fullmatch(path) for path in paths)]
    of_inputs = {"notices.KIND", "nulled.COLUMN", "replaced.COLUMN", "left_out.REASON", "notes[]"}
    empty = {f"input.{key}" for key in of_inputs}
    of_lists = {key for key in gone if key.startswith("lists[].")}
    assert set(gone) <= {"posts.errors_by_stage.STAGE", "transformers", *empty, *of_lists}


def test_keys_about_sources() -> None:
    """The table has every key of the report's part about licences, and no other."""
    documented = [key for row in table("sources report") for key in quoted(row[0])]
    notes = [f"notes[].{name}" for name in SourceReport.__struct_fields__]
    assert sorted(documented) == sorted([*notes, "without", "num_without"])


def test_keys_about_lists() -> None:
    """The table has every key of a list's part of the report."""
    documented = {key for row in table("report") for key in quoted(row[0])}
    assert {f"lists[].{name}" for name in ListReport.__struct_fields__} <= documented


def test_conversation_keys() -> None:
    """The table has every key of the report's part about conversations, in the order of the code."""
    documented = [key for row in table("conversations") for key in quoted(row[0])]
    assert documented == [f.name for f in msgspec.structs.fields(ConversationReport)]


def test_history_keys(outputs: Path, tmp_path: Path) -> None:
    """The table has every key of the report's part about a history, and no other."""
    posts = outputs / "sluice-sample" / "posts-*.jsonl.gz"
    frozen = outputs / "sluice-out" / "tokenizer" / "tokenizer.json"
    sets = (f"vocabulary.tokenizer={frozen}", f"dedup.history={tmp_path / 'history'}")
    arguments = ["run", "sample", "--input", str(posts), "--output", str(tmp_path / "out")]
    assert cli.main([*arguments, "--set", sets[0], "--set", sets[1]]) == 0
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text("utf-8"))
    documented = {key for row in table("history") for key in quoted(row[0])}
    assert set(leaves(report["dedup"]["history"])) == documented


def test_keys_about_notices() -> None:
    """The table has every key of the report's part about notices, and no other."""
    documented = [key for row in table("exclude") for key in quoted(row[0])]
    assert documented == list(ExcludeReport.__struct_fields__)


def test_keys_about_forgets() -> None:
    """The tables have every key of the report's part about forgets, and every column of tombstones."""
    documented = [key for row in table("forget") for key in quoted(row[0])]
    assert documented == list(ForgetReport.__struct_fields__)
    assert columns("tombstone") == columns_of(TOMBSTONE)


def test_keys_about_evaluation_sets() -> None:
    """The table has every key of the report's part about evaluation sets, and no other."""
    documented = {key for row in table("decontamination") for key in quoted(row[0])}
    own = {name for name in DecontaminationReport.__struct_fields__ if name != "sets"}
    assert documented == own | {f"sets.SET.{name}" for name in SetReport.__struct_fields__}


def test_keys_about_personal_data() -> None:
    """The table has every key of the report's part about personal data, and no other."""
    documented = [key.split(".")[0] for row in table("privacy") for key in quoted(row[0])]
    assert documented == list(PrivacyReport.__struct_fields__)


def test_manifest_keys(outputs: Path) -> None:
    """The table has every key of manifest.json."""
    manifest = json.loads((outputs / "sluice-out" / "manifest.json").read_text("utf-8"))
    assert {key for row in table("manifest") for key in quoted(row[0])} == set(manifest)


def test_files_of_the_output(outputs: Path) -> None:
    """The files of an output are those that the README lists."""
    names = {path.name for path in (outputs / "sluice-out").iterdir()}
    listed = re.findall(r"^sluice-out/([\w.]+)", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert names <= set(listed) <= names | {"leftover"}


def shapes(text: str) -> list[str]:
    """Returns the lines below the funnel without their figures."""
    figures = r"[-+]?\d[\d,.]*(?:e[-+]?\d+)?(?: (?:thousand|million|billion|trillion))?"
    lines = text[text.index("kept ") :].splitlines()
    return [re.sub(r" +", " ", re.sub(figures, "N", line)) for line in lines]


def test_the_readme_shows_what_a_run_prints(outputs: Path) -> None:
    """Below the funnel README has the lines that a run prints, whatever the figures; they add up."""
    (shown,) = (text for _, text in fences(ROOT / "README.md", "text") if "posts read" in text)
    printed = shapes((outputs / "printed.txt").read_text("utf-8"))
    assert [line for line in shapes(shown) if line not in printed] == []
    read, *rest = (
        int(match[1].replace(",", "")) for match in re.finditer(r" (-?[\d,]+) +-?[\d.]+ %", shown)
    )
    assert read + sum(rest[:-1]) == rest[-1]


def strings_of_the_code() -> Iterator[str]:
    """Yields the strings of the four packages, with `{}` for what an f-string fills in."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.JoinedStr(values=parts):
                    yield "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in parts)
                case ast.Constant(value=str() as text):
                    yield text


@pytest.mark.parametrize("name", ["messages", "messages of dataflow", "messages of plugins"])
def test_messages(name: str) -> None:
    """Every message that a page explains is one of the code."""
    strings = "\n".join(strings_of_the_code())
    messages = [message for row in table(name) for message in quoted(row[0])]
    assert messages
    assert [message for message in messages if message not in strings] == []


def test_exit_codes() -> None:
    """The table has the exit codes that `sluice --help` names."""
    assert [row[0] for row in table("exit codes")] == re.findall(r"\b(\d+) \w+", cli.__doc__ or "")


# --- links -----------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Returns what the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_linked
def test_links_resolve(page: Path) -> None:
    """Every relative link leads to a file, and its fragment to a heading."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, fragment = link.partition("#")
        if "://" not in link:
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not fragment or fragment in anchors(target), link


@pytest.mark.parametrize("page", [p for p in LINKED if p.name not in HISTORY], ids=name_of)
def test_named_files_and_tests_exist(page: Path) -> None:
    """Every file of ours and every test that a page of today names is there."""
    text = page.read_text("utf-8")
    folders = "benchmarks|docs|filters|pipeline|schemas|tests|tokenizer"
    for path, test in re.findall(rf"`((?:{folders})/[\w/.]+\.(?:py|toml|md))(?:::(\w+))?`", text):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), test


def test_guarantees_name_their_tests() -> None:
    """Every row of the table names files, folders or tests, and all of them are there."""
    for guarantee, tests in table("guarantees"):
        paths = [name.partition("::")[0] for name in quoted(tests)]
        assert paths, guarantee
        assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to every page of docs/."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_readme_is_short() -> None:
    """A newcomer reads a screen and a half."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100


@every_linked
def test_plain_characters(page: Path) -> None:
    """Pages are ASCII, so that no dash or quotation mark is typed two ways, and name no machine's paths."""
    text = page.read_text("utf-8")
    assert text.isascii()
    assert not re.search(r"(?<![\w-])/(work|tmp|home|root)/", text)
