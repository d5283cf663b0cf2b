"""fastText models: posts a CPU-second of this project's kernels and of the fastText library.

    SLUICE_DATA=FOLDER python -m benchmarks.fasttext_engine [--posts N] [--rounds N] [--library PYTHON]

lid.176 and the shipped screens over the same posts: each alone, and all in one pass against the library's
calls added up. The library is called a line at a time and for many lines at once; the faster way counts.
Rounds of both take turns; each figure is the least of its rounds. The library runs in a process of its own:
in this Python (its prediction-only build), and in that of `--library`, which may have the full one. Labels
are compared, and those that differ are counted.

Prints a Markdown table, and what language, spam and toxicity cost together as the pipeline asks for them.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.command import add_data, parser_of, timed
from benchmarks.page import table
from benchmarks.process import ROOT, this_machine
from benchmarks.real_posts import lines_of, posts_of
from sluice.filters.batch import Batch
from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.model import read_model
from sluice.filters.language.identify import (
    OWN_FILE,
    SHORT_FILE,
    build_identifier,
    shipped_identifier_path,
)
from sluice.filters.language.views import model_views
from sluice.filters.rules.spam import Spam
from sluice.filters.rules.toxicity import Toxicity
from sluice.filters.text.features import TextFeatures, text_features
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

BATCH = 16_000
BATCHES = (4_000, 8_000, 16_000)
"""The reader gives about 16,000 short posts at a time (4 MiB of JSON)."""
LIBRARY = ROOT / "benchmarks" / "fasttext_library.py"
MODELS = (shipped_identifier_path(), OWN_FILE, SHORT_FILE)


class Measured(NamedTuple):
    """CPU seconds over all posts, the least of all rounds; M models.

    Attributes:
        own: of making the text that models read, of all models in one pass, and of each alone.
        library_M: of the library's faster way.
        differing_M: labels that are not the library's.
    """

    own: list[float]
    library_M: list[float]
    differing_M: list[int]


def main() -> None:
    """Measures and prints."""
    parser = parser_of("fasttext_engine", __doc__)
    add_data(parser)
    parser.add_argument("--posts", type=int, default=64_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--library", default=sys.executable, help="a Python that has fasttext")
    options = parser.parse_args()
    texts = read_texts(options.data, num_posts=options.posts)
    machines = [FastTextClassifier(read_model(path)) for path in MODELS]
    measured = measure(texts, machines, {sys.executable, options.library}, rounds=options.rounds)
    print("\n".join(page(measured, machines, num_posts=len(texts))))
    print(
        "\nLanguage (both models), spam and toxicity of a batch whose text and features are there:"
    )
    for size in BATCHES:
        usec = _judged_seconds(texts, size, rounds=options.rounds) / len(texts) * 1e6
        print(f"- {size:,} posts per batch: {usec:.2f} us per post")


def read_texts(data: Path, *, num_posts: int) -> pa.StringArray:
    """Returns the normalised text of posts, as many from the start of each file of the firehose."""
    files = posts_of(data)
    share = -(-num_posts // len(files))
    lines = [line for path in files for line in islice(lines_of([path]), share)]
    rows = [msgspec.json.decode(line)["text"] for line in lines[:num_posts]]
    return normalize(pa.array(rows, pa.string()))


def measure(
    raw: pa.StringArray,
    machines: Sequence[FastTextClassifier],
    libraries: set[str],
    *,
    rounds: int,
) -> Measured:
    """Returns the least CPU seconds of some rounds, in which both sides take turns."""
    texts = classifier_text(raw)
    own: list[list[float]] = []
    ways: list[list[float]] = []
    for _ in range(rounds):
        own.append(_own_seconds(raw, texts, machines))
        for python in libraries:
            found = _library(texts, python)
            ways += [[row[way] for row in found] for way in ("one_by_one", "many_lines")]
    labels_M = [row["labels"] for row in found]
    differing_M = [_differing(texts, *pair) for pair in zip(machines, labels_M, strict=True)]
    return Measured(np.min(own, axis=0).tolist(), np.min(ways, axis=0).tolist(), differing_M)


def _own_seconds(
    raw: pa.StringArray, texts: pa.StringArray, machines: Sequence[FastTextClassifier]
) -> list[float]:
    """Returns the CPU seconds of the text that models read, of all models in one pass, and of each."""
    all_and_each = [machines, *([machine] for machine in machines)]
    predicting = [_seconds(texts, partial(_predict, machines=some)) for some in all_and_each]
    return [_seconds(raw, classifier_text), *predicting]


def _predict(texts: pa.StringArray, machines: Sequence[FastTextClassifier]) -> list[Array]:
    """Returns the best labels of each model."""
    hidden_M = read_together(texts, machines)
    return [m.predict(hidden)[0] for m, hidden in zip(machines, hidden_M, strict=True)]


def _judged_seconds(texts: pa.StringArray, size: int, *, rounds: int) -> float:
    """Returns the least CPU seconds that all shipped classifiers take, asked as the pipeline asks them."""
    identify, screens = build_identifier(), (Spam().build(), Toxicity().build())
    views = model_views(identify, *screens)

    def judge(batches: list[tuple[pa.RecordBatch, pa.StringArray, TextFeatures]]) -> None:
        for posts, text, features in batches:
            batch = Batch(posts, views)
            batch.__dict__ |= {"classifier_text": text, "features": features}
            _ = batch.languages, [score(batch) for score in screens]

    starts = range(0, len(texts), size)
    turns = ([_batch(texts[i : i + size]) for i in starts] for _ in range(rounds))
    return min(timed(partial(judge, batches))[1] for batches in turns)


def _batch(texts: pa.StringArray) -> tuple[pa.RecordBatch, pa.StringArray, TextFeatures]:
    posts = pa.RecordBatch.from_arrays([texts], names=["text"])
    return posts, classifier_text(texts), text_features(texts)


def _seconds(texts: pa.StringArray, step: Callable[[pa.StringArray], object]) -> float:
    parts = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
    return timed(lambda: [step(part) for part in parts])[1]


def _library(texts: pa.StringArray, python: str) -> list[dict[str, Any]]:
    """Returns what the library of a Python costs and says, one row per model."""
    with tempfile.TemporaryDirectory() as folder:
        lines, output = Path(folder) / "texts", Path(folder) / "found.json"
        lines.write_text("".join(f"{text}\n" for text in texts.to_pylist()), "utf-8")
        order = {"texts": str(lines), "models": [*map(str, MODELS)], "output": str(output)}
        subprocess.run([python, str(LIBRARY), json.dumps(order)], check=True)
        found: list[dict[str, Any]] = json.loads(output.read_text("utf-8"))
        return found


def _differing(texts: pa.StringArray, machine: FastTextClassifier, labels: list[str]) -> int:
    label_N, _ = machine.predict(texts)
    names = [*(name.decode() for name in machine.model.label_names), ""]  # -1 is the last
    return sum(names[label] != want for label, want in zip(label_N, labels, strict=True))


def page(
    measured: Measured, machines: Sequence[FastTextClassifier], *, num_posts: int
) -> Iterator[str]:
    """Yields the lines of a Markdown table, and what they were measured on."""
    text, together, *alone_M = measured.own
    names = [*map(_described, machines), f"all {len(machines)} in one pass"]
    library_M = [*measured.library_M, sum(measured.library_M)]
    differing_M = [*measured.differing_M, sum(measured.differing_M)]
    rows = []
    for name, own, library, differing in zip(
        names, [*alone_M, together], library_M, differing_M, strict=True
    ):
        costs = [(f"{s / num_posts * 1e6:.2f}", f"{num_posts / s:,.0f}") for s in (own, library)]
        rows.append((name, *costs[0], *costs[1], f"{library / own:.1f}", differing))
    head = ("us per post", "posts per CPU-s", "library: us per post", "posts per CPU-s")
    yield f"{num_posts:,} posts of the firehose in batches of {BATCH:,}, CPU seconds, least of the rounds."
    yield f"{this_machine()}, fasttext-predict {version('fasttext-predict')}."
    yield from ("", *table(("model", *head, "times", "labels that differ"), rows), "")
    usec = text / num_posts * 1e6
    yield f"The text that models read costs {usec:.2f} us per post more, once for all models."


def _described(machine: FastTextClassifier) -> str:
    model = machine.model
    return (
        f"{Path(model.path).name}: {model.loss}, {len(model.labels)} labels, "
        f"{model.input_RD.shape[1]} numbers, subwords {model.min_subword}-{model.max_subword}, "
        f"{len(model.input_RD):,} rows"
    )


if __name__ == "__main__":
    main()
