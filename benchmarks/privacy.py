"""Precision and recall of what is found of personal data, false alarms on real posts, and what it costs.

Generated posts say what should be found (`benchmarks/privacy_posts.py`); of the real ones only kinds and
counts are written. A value counts as found where a span of its kind covers it; a span of a kind where none
is, is a false alarm.

    python -m benchmarks.privacy --data DATA [--posts 2000] [--results PRIVACY.md]
"""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

import sluice
from benchmarks.command import add_data, add_page, parser_of, timed
from benchmarks.page import publish, share, table
from benchmarks.privacy_posts import Post, posts
from benchmarks.process import this_machine
from benchmarks.real_posts import posts_of, rows_of
from sluice.filters.privacy.candidates import candidates
from sluice.filters.privacy.find import find
from sluice.filters.privacy.kinds import KINDS, MASKED, URL_SECRET
from sluice.filters.privacy.masking import Masked, Masking, mask
from sluice.filters.text.features import text_features

ROWS: Final = 8192
KIND_HEAD: Final = ("kind", "values", "recall", "precision", "false alarms")
COST_HEAD: Final = (
    "real posts",
    "picking, us/post",
    "finding with it",
    "masking",
    "`text_features` beside",
)
KEPT_HEAD: Final = ("posts read", "kept by `default`", "with something masked", "us/post read")
REPEATS: Final = 3


class Outcome(NamedTuple):
    """What was found in generated posts, by (kind, form): values, those found, and false alarms by kind."""

    values: Counter[tuple[str, str]]
    found: Counter[tuple[str, str]]
    alarms: Counter[str]
    spans: Counter[str]


def measure(generated: list[Post]) -> Outcome:
    """Returns what is found of the generated values, and what else."""
    texts = pa.array([post.text for post in generated])
    languages = pa.array([post.language for post in generated])
    spans = find(texts, languages=languages)
    outcome = Outcome(Counter(), Counter(), Counter(), Counter())
    right: set[int] = set()
    for row, start, end, number in zip(*(column.tolist() for column in spans), strict=True):
        kind, post = KINDS[number], generated[row]
        outcome.spans[kind] += 1
        if kind == post.kind and _covers(post, start, end):
            right.add(row)
        elif not _inside(post, start, end):
            outcome.alarms[kind] += 1
    for row, post in enumerate(generated):
        if post.kind:
            outcome.values[post.kind, post.form] += 1
            outcome.found[post.kind, post.form] += row in right
    return outcome


def _place(post: Post) -> tuple[int, int]:
    start = len(post.text[: post.text.index(post.value)].encode())
    return start, start + len(post.value.encode())


def _covers(post: Post, start: int, end: int) -> bool:
    """Returns whether a span is the value; of a link, the secret in it."""
    first, last = _place(post)
    if post.kind == URL_SECRET:
        return first <= start and end <= last
    return (start, end) == (first, last)


def _inside(post: Post, start: int, end: int) -> bool:
    """Returns whether a span is of a part of the value: then the value is not found, which counts already."""
    if not post.kind:
        return False
    first, last = _place(post)
    return start < last and first < end


def _recall_rows(outcome: Outcome, *, by_form: bool) -> list[list[object]]:
    keys: Iterable[tuple[str, str]] = sorted(outcome.values)
    names = keys if by_form else [(kind, "") for kind in KINDS]
    rows: list[list[object]] = []
    for kind, form in names:
        some = [key for key in keys if key[0] == kind and form in ("", key[1])]
        values, found = sum(outcome.values[k] for k in some), sum(outcome.found[k] for k in some)
        spans, alarms = outcome.spans[kind], outcome.alarms[kind]
        last = [] if by_form else [share(spans - alarms, spans), alarms]
        rows.append([kind, *([form] if by_form else []), values, share(found, values), *last])
    return rows


def _real(files: list[Path]) -> tuple[list[object], Counter[str]]:
    """Returns a row of what real posts cost, once number plans are loaded, and what is found by kind."""
    rows = [(row["text"] or "", row["lang"]) for row in rows_of(files)]
    texts = pa.array([text for text, _ in rows])
    languages = pa.array([language for _, language in rows], pa.string())
    firsts = range(0, len(rows), ROWS)
    parts = [(texts.slice(first, ROWS), languages.slice(first, ROWS)) for first in firsts]
    found = [find(t, languages=n, kinds=MASKED) for t, n in parts]
    steps: list[Callable[[], object]] = [
        lambda: [candidates(t) for t, _ in parts],
        lambda: [find(t, languages=n, kinds=MASKED) for t, n in parts],
        lambda: [mask(t, spans) for (t, _), spans in zip(parts, found, strict=True)],
        lambda: [text_features(t) for t, _ in parts],
    ]
    seconds = [min(timed(step)[1] for _ in range(REPEATS)) for step in steps]
    counts = sum((Counter(spans.counts()) for spans in found), Counter[str]())
    return [len(rows), *(f"{1e6 * each / len(rows):.2f}" for each in seconds)], counts


def _kept(files: list[Path]) -> list[object]:
    """Returns a row of what masking costs in a run of `default`: of the posts that its filters keep."""
    rows = [{"id": row["id"], "text": row["text"]} for row in rows_of(files)]
    parts = sluice.filter_table(
        pa.Table.from_pylist(rows), "default", overrides={"privacy.mask": []}
    )
    texts, languages = (
        column.combine_chunks() for column in (parts.kept["text"], parts.scores["language"])
    )
    masking, firsts = Masking(MASKED), range(0, len(texts), ROWS)

    def step() -> list[Masked]:
        return [masking(texts.slice(at, ROWS), languages.slice(at, ROWS)) for at in firsts]

    found = step()
    seconds = min(timed(step)[1] for _ in range(REPEATS))
    changed = sum(len(set(each.spans.row_M.tolist())) for each in found)
    return [len(rows), len(texts), changed, f"{1e6 * seconds / len(rows):.2f}"]


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = parser_of("privacy", __doc__)
    add_data(parser)
    add_page(parser)
    parser.add_argument("--posts", type=int, default=2000, help="generated posts of each kind")
    arguments = parser.parse_args()
    outcome = measure(list(posts(arguments.posts)))
    cost, counts = _real(posts_of(arguments.data))
    lines = [
        this_machine(),
        "",
        *table(KIND_HEAD, _recall_rows(outcome, by_form=False)),
        "",
        *table(("kind", "form", "values", "recall"), _recall_rows(outcome, by_form=True)),
        "",
        *table(COST_HEAD, [cost]),
        "",
        *table(KEPT_HEAD, [_kept(posts_of(arguments.data))]),
        "",
        *table(("kind", "found in real posts"), [[kind, counts[kind]] for kind in MASKED]),
    ]
    publish("\n".join(lines), arguments.page, name="privacy", title="Personal data")


if __name__ == "__main__":
    main()
