"""fastText models: posts a CPU-second of this project's kernels and of the fastText library.

SLUICE_DATA=FOLDER python -m benchmarks.fasttext_engine [--posts N] [--model FILE ...] [--library PYTHON]

lid.176 and the shipped screens, and what `--model` adds, over the same posts: each alone, and all in one
pass against the library's calls added up. The library is called a line at a time and for many lines at
once; the faster way counts. Rounds of both take turns; each figure is the least of its rounds. The library
runs in a process of its own: in this Python (its prediction-only build), and in that of `--library`, which
may have the full one. Labels are compared, and those that differ are counted.

Prints a Markdown table, and what language, spam and toxicity cost together as the pipeline asks for them.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from isal import igzip

from benchmarks.process import ROOT, this_machine
from sluice.filters.batch import Batch
from sluice.filters.fasttext.classifier import FastTextClassifier, read_together
from sluice.filters.fasttext.model import read_model
from sluice.filters.language.identify import build_identifier, shipped_identifier_path
from sluice.filters.language.views import model_views
from sluice.filters.rules.spam import Spam
from sluice.filters.rules.toxicity import Toxicity
from sluice.filters.screens.screen import FOLDER
from sluice.filters.text.features import TextFeatures, text_features
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

BATCH = 16_000
BATCHES = (4_000, 8_000, 16_000)
"""The reader gives about 16,000 short posts at a time (4 MiB of JSON)."""
LIBRARY = ROOT / "benchmarks" / "fasttext_library.py"
WAYS = ("one_by_one", "many_lines")


class Measured(NamedTuple):
    """CPU seconds over all posts, the least of all rounds; M models.

    Attributes:
        text: of making the text that models read.
        alone_M: of each model in a pass of its own.
        together: of all models in one pass.
        theirs_M: of the library's faster way.
        ways: of each library and way, M each.
        differing_M: labels that are not the library's.
    """

    text: float
    alone_M: list[float]
    together: float
    theirs_M: list[float]
    ways: dict[str, list[float]]
    differing_M: list[int]


def main() -> None:
    """Measures and prints."""
    options = _options()
    texts = read_texts(Path(os.environ["SLUICE_DATA"]), num_posts=options.posts)
    paths = [shipped_identifier_path(), FOLDER / "spam.ftz", FOLDER / "toxicity.ftz"]
    paths += options.model
    machines = [FastTextClassifier(read_model(path)) for path in paths]
    measured = measure(texts, machines, paths, options.builds, rounds=options.rounds)
    print("\n".join(page(measured, machines, num_posts=len(texts))))
    print(
        "\nLanguage (both models), spam and toxicity of a batch whose text and features are there:"
    )
    for size in BATCHES:
        usec = _judged_seconds(texts, size, rounds=options.rounds) / len(texts) * 1e6
        print(f"- {size:,} posts per batch: {usec:.2f} us per post")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--posts", type=int, default=64_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument(
        "--library", dest="builds", action="append", default=[], help="a Python that has fasttext"
    )
    return parser.parse_args()


def read_texts(data: Path, *, num_posts: int) -> pa.StringArray:
    """Returns the normalised text of posts, as many from the start of each file of the firehose."""
    files = sorted((data / "firehose").glob("part-*.jsonl.gz"))
    share = -(-num_posts // len(files))
    rows = [json.loads(line)["text"] for path in files for line in _lines(path, share)]
    return normalize(pa.array(rows[:num_posts], pa.string()))


def _lines(path: Path, count: int) -> Iterator[bytes]:
    with igzip.open(path, "rb") as lines:
        yield from itertools.islice(lines, count)


def measure(
    raw: pa.StringArray,
    machines: Sequence[FastTextClassifier],
    paths: Sequence[Path],
    libraries: Sequence[str],
    *,
    rounds: int,
) -> Measured:
    """Returns the least CPU seconds of some rounds, in which both sides take turns."""
    texts = classifier_text(raw)
    own: list[list[float]] = []
    ways: dict[str, list[list[float]]] = {}
    labels_M: list[Any] = []
    for _ in range(rounds):
        own.append(_own_seconds(raw, texts, machines))
        for python in (sys.executable, *libraries):
            found = _library(texts, paths, python)
            for way in WAYS:
                ways.setdefault(f"{python} {way}", []).append([row[way] for row in found])
            labels_M = [row["labels"] for row in found]
    text, together, *alone_M = np.min(own, axis=0).tolist()
    least = {name: np.min(seconds, axis=0).tolist() for name, seconds in ways.items()}
    return Measured(
        text,
        alone_M,
        together,
        np.min(list(least.values()), axis=0).tolist(),
        least,
        [
            _differing(texts, machine, labels)
            for machine, labels in zip(machines, labels_M, strict=True)
        ],
    )


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
    seconds = []
    for _ in range(rounds):
        batches = [_batch(texts[i : i + size]) for i in range(0, len(texts), size)]
        begun = time.process_time()
        for posts, text, features in batches:
            batch = Batch(posts, views)
            batch.__dict__ |= {"classifier_text": text, "features": features}
            _ = batch.languages, [score(batch) for score in screens]
        seconds.append(time.process_time() - begun)
    return min(seconds)


def _batch(texts: pa.StringArray) -> tuple[pa.RecordBatch, pa.StringArray, TextFeatures]:
    posts = pa.RecordBatch.from_arrays([texts], names=["text"])
    return posts, classifier_text(texts), text_features(texts)


def _seconds(texts: pa.StringArray, step: Callable[[pa.StringArray], object]) -> float:
    begun = time.process_time()
    for first in range(0, len(texts), BATCH):
        step(texts[first : first + BATCH])
    return time.process_time() - begun


def _library(texts: pa.StringArray, paths: Sequence[Path], python: str) -> list[dict[str, Any]]:
    """Returns what the library of a Python costs and says, one row per model."""
    with tempfile.TemporaryDirectory() as folder:
        lines, output = Path(folder) / "texts", Path(folder) / "found.json"
        lines.write_text("".join(f"{text}\n" for text in texts.to_pylist()), "utf-8")
        order = {"texts": str(lines), "models": [str(p) for p in paths], "output": str(output)}
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
    yield f"{num_posts:,} posts of the firehose in batches of {BATCH:,}, CPU seconds, least of the rounds."
    yield f"{this_machine()}, fasttext-predict {version('fasttext-predict')}."
    yield ""
    head = ("us per post", "posts per CPU-s", "library: us per post", "posts per CPU-s")
    yield f"| model | {' | '.join(head)} | times | labels that differ |"
    yield "|" + "---|" * (len(head) + 3)
    rows = zip(machines, measured.alone_M, measured.theirs_M, measured.differing_M, strict=True)
    for machine, own, library, differing in rows:
        yield _row(_described(machine), own, library, num_posts, differing)
    total = sum(measured.theirs_M)
    yield _row(
        f"all {len(machines)} in one pass",
        measured.together,
        total,
        num_posts,
        sum(measured.differing_M),
    )
    yield ""
    usec = measured.text / num_posts * 1e6
    yield f"The text that models read costs {usec:.2f} us per post more, once for all models."
    for name, seconds_M in measured.ways.items():
        each = ", ".join(f"{seconds / num_posts * 1e6:.1f}" for seconds in seconds_M)
        yield f"- {Path(name.split()[0]).parts[-3]}, {name.split()[1]}: {each} us per post"


def _row(name: str, own: float, library: float, num_posts: int, differing: int) -> str:
    cells = [name]
    for seconds in (own, library):
        cells += [f"{seconds / num_posts * 1e6:.2f}", f"{num_posts / seconds:,.0f}"]
    return f"| {' | '.join([*cells, f'{library / own:.1f}', str(differing)])} |"


def _described(machine: FastTextClassifier) -> str:
    model = machine.model
    parts = [
        f"{Path(model.path).name}: {model.loss}",
        f"{len(model.labels)} labels",
        f"{model.input_RD.shape[1]} numbers",
        f"subwords {model.min_subword}-{model.max_subword}",
        f"{len(model.input_RD):,} rows",
    ]
    if model.word_ngrams > 1:
        parts.append(f"n-grams of {model.word_ngrams} words")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
