"""Files of evaluation sets: the fields of published sets are known, and what is wrong is said."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.filters.decontamination.spec import EvaluationSet
from sluice.pipeline.inputs.evaluation_sets import FoundSets, keep_table, opened_table
from sluice.schemas.errors import RecipeError

QUESTION = "Which of these harbours freezes first in a cold winter?"
ANSWER = "The one in the north, since its water has less salt than the others have."


def found(path: Path, **fields) -> FoundSets:
    return FoundSets([EvaluationSet(name="test", files=(str(path),), **fields)])


def texts(path: Path, **fields) -> list[tuple[str, str, bool]]:
    """What is read of a file: (id of the item, text, whether it is an answer)."""
    items = found(path, **fields).items()
    ids = items.ids.take(pa.array(items.item_P)).to_pylist()
    return list(zip(ids, items.texts.to_pylist(), items.is_answer_P.tolist(), strict=True))


def written(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


PUBLISHED = {
    "MMLU": (
        {"question": QUESTION, "subject": "seas", "choices": ["Oslo", "Kemi"], "answer": 1},
        [("a.jsonl:0", QUESTION, False), ("a.jsonl:0", "Oslo", True), ("a.jsonl:0", "Kemi", True)],
    ),
    "HumanEval": (
        {
            "task_id": "HumanEval/900",
            "prompt": QUESTION,
            "entry_point": "f",
            "canonical_solution": ANSWER,
            "test": "assert True",
        },
        [("HumanEval/900", QUESTION, False), ("HumanEval/900", ANSWER, True)],
    ),
    "MATH": (
        {"problem": QUESTION, "level": "Level 1", "type": "Algebra", "solution": ANSWER},
        [("a.jsonl:0", QUESTION, False), ("a.jsonl:0", ANSWER, True)],
    ),
    "GPQA": (
        {
            "Record ID": "rec1",
            "Question": QUESTION,
            "Correct Answer": ANSWER,
            "Incorrect Answer 1": "Oslo",
            "Explanation": None,
        },
        [("rec1", QUESTION, False), ("rec1", ANSWER, True), ("rec1", "Oslo", True)],
    ),
    "GSM8K": (
        {"question": QUESTION, "answer": "4*5=<<4*5=20>>20 nets\n#### 20"},
        [("a.jsonl:0", QUESTION, False), ("a.jsonl:0", "4*5=20 nets\n#### 20", True)],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_fields_of_published_sets_are_known(name: str, tmp_path: Path) -> None:
    """A made-up row in the form of each published set is read without a word about its fields."""
    row, expected = PUBLISHED[name]
    assert texts(written(tmp_path / "a.jsonl", row)) == expected


def test_csv_of_mmlu_has_no_header(tmp_path: Path) -> None:
    """MMLU's own CSV files begin with a question, four choices and the letter of one."""
    path = tmp_path / "seas_test.csv"
    path.write_text(
        f'"{QUESTION}",Oslo,Kemi,Turku,"Hull, England",B\n"And which\nlast?",a,b,c,d,A\n'
    )
    assert [text for _, text, is_answer in texts(path) if not is_answer] == [
        QUESTION,
        "And which\nlast?",
    ]
    assert ("seas_test.csv:0", "Hull, England", True) in texts(path)


@pytest.mark.parametrize(
    "kind", ["jsonl", "json", "object", "parquet", "csv", "tsv", "gz", "arrow"]
)
def test_every_container_gives_the_same(kind: str, tmp_path: Path) -> None:
    """Rows are the same from lines, an array or an object of JSON, CSV, TSV, Parquet, Arrow and gzip."""
    row = {"id": "7", "ask": QUESTION, "reply": ANSWER}
    path, table = tmp_path / f"a.{kind}", pa.Table.from_pylist([row])
    line, cells = json.dumps(row), [f'"{value}"' for value in row.values()]
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    elif kind == "gz":
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(gzip.compress(line.encode()))
    elif kind in ("csv", "tsv"):
        separator = "," if kind == "csv" else "\t"
        path.write_text(f"{separator.join(row)}\n{separator.join(cells)}\n")
    else:
        path = path.with_suffix(".json")
        path.write_text({"json": f"[{line}]", "object": json.dumps(row, indent=2)}.get(kind, line))
    assert texts(path, fields=("ask",), answers=("reply",)) == [
        ("7", QUESTION, False),
        ("7", ANSWER, True),
    ]


def test_a_text_has_an_item_a_line(tmp_path: Path) -> None:
    """Lines of a text are items, whatever commas or brackets are in them."""
    path = tmp_path / "a.txt"
    path.write_text(f"{QUESTION}\na, b, c\nd, e, f\n")
    assert [text for _, text, _ in texts(path)] == [QUESTION, "a, b, c", "d, e, f"]


def test_fields_may_be_inside_others(tmp_path: Path) -> None:
    """`a.b` is a field of an object, and each element of a list is a text of its own."""
    row = {"q": {"stem": QUESTION, "n": 3}, "choices": {"text": ["Oslo", "Kemi"]}, "key": 12}
    path = written(tmp_path / "a.jsonl", row, {"q": {"stem": "Other"}, "key": None})
    assert texts(path, fields=("q.stem",), answers=("choices",), id="key") == [
        ("12", QUESTION, False),
        ("12", "Oslo", True),
        ("12", "Kemi", True),
        ("a.jsonl:1", "Other", False),
    ]


def test_a_missing_field_is_named_with_the_closest(tmp_path: Path) -> None:
    """The error names set, file, key and field, the closest field, and those that there are."""
    path = written(tmp_path / "a.jsonl", {"question": QUESTION, "level": 1})
    with pytest.raises(RecipeError) as error:
        found(path, fields=("quesion",)).items()
    assert str(error.value) == (
        f"decontamination.sets.test: {path}: fields: no row has a field 'quesion'; did you mean "
        f"'question'?; there are 'question', 'level'"
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"title": "x"}\n', "which fields hold the questions must be said"),
        ("a.jsonl", b'{"title": "x"}\n{"title"\n', "line 2: not JSON"),
        ("a.jsonl", b"[1]", "row 0: must be a JSON object, got int"),
        ("a.txt", b"\xff\xfe\xfa", "codec can't decode"),
        ("a.parquet", b"PAR1 and no more", "a.parquet: "),
        ("a.jsonl.gz", gzip.compress(b'{"question": "x"}')[:-9], "cannot be read: truncated_input"),
    ],
    ids=["unknown fields", "no JSON", "no object", "no text", "no Parquet", "cut"],
)
def test_a_bad_file_is_named(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    """What cannot be read is an error that names set and file."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecipeError) as error:
        found(path).items()
    assert str(error.value).startswith(f"decontamination.sets.test: {path}: ")
    assert told in str(error.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A pattern that finds nothing names the set."""
    with pytest.raises(RecipeError, match=r"decontamination\.sets\.test\.files: .*none\.jsonl"):
        found(tmp_path / "none.jsonl")


def test_the_table_is_made_once(tmp_path: Path) -> None:
    """A table is kept under the digest of its sets; other content makes another, and the old one goes."""
    path, folder = written(tmp_path / "a.jsonl", PUBLISHED["GSM8K"][0]), tmp_path / "work"
    folder.mkdir()
    first = Path(keep_table(found(path), str(folder)))
    made = first.stat().st_mtime_ns
    assert Path(keep_table(found(path), str(folder))) == first
    assert first.stat().st_mtime_ns == made
    assert opened_table(str(first)).figures[0].items == 1
    written(path, {"question": ANSWER, "answer": ANSWER})
    second = Path(keep_table(found(path), str(folder)))
    assert [*folder.iterdir()] == [second]
    assert second != first
