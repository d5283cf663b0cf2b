"""What an evaluation set is: files of items, and where in a row the question, the answers and the id are."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class EvaluationSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An evaluation set of a recipe.

    Attributes:
        name: names the set in reject rows and in the report.
        files: JSON, CSV, TSV, Parquet or Arrow files, or text files with one item on each line; as paths or
            URIs.
        fields: the fields that hold questions, each looked for by itself; where neither these nor `answers`
            are given, those of a published set that has the file's fields.
        answers: the fields that hold answers, which are looked for where they are long.
        id: the field that names an item; the file and the row where an item has none.
    """

    name: str
    files: Annotated[tuple[str, ...], Meta(min_length=1)]
    fields: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    id: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name must be letters, digits, dots, - and _, got {self.name!r}: it names the set in "
                f"reject rows"
            )


class Layout(NamedTuple):
    """The fields of a set.

    Attributes:
        fields: questions.
        answers: answers.
        id: the field that names an item; None for the file and the row.
        marks: fields that a file of the set has beside these.
        formulas: whether texts hold formulas of a calculator, as `<<48/2=24>>`, which are left out.
    """

    fields: tuple[str, ...]
    answers: tuple[str, ...]
    id: str | None = None
    marks: tuple[str, ...] = ()
    formulas: bool = False


PUBLISHED: Final[Mapping[str, Layout]] = {
    "MMLU": Layout(("question",), ("choices",), None, ("answer",)),
    "MMLU, as CSV": Layout(("question",), ("A", "B", "C", "D"), None, ("answer",)),
    "HumanEval": Layout(("prompt",), ("canonical_solution",), "task_id", ("entry_point", "test")),
    "MATH": Layout(("problem",), ("solution",), None, ("level",)),
    "GPQA": Layout(
        ("Question",),
        (
            "Correct Answer",
            *(f"Incorrect Answer {number}" for number in (1, 2, 3)),
            "Explanation",
        ),
        "Record ID",
    ),
    "GSM8K": Layout(("question",), ("answer",), formulas=True),
}
"""The fields of evaluation sets as they are published, the more particular ones first."""


def published_layout(names: Sequence[str]) -> Layout | None:
    """Returns the layout of the published set whose fields are among the names; None where there is none.

    >>> published_layout(["question", "answer"]).formulas, published_layout(["title", "body"])
    (True, None)
    """
    for layout in PUBLISHED.values():
        needed = {*layout.fields, *layout.answers[:1], *layout.marks}
        if needed <= set(names):
            found = tuple(name for name in layout.answers if name in names)
            return layout._replace(answers=found, id=layout.id if layout.id in names else None)
    return None
