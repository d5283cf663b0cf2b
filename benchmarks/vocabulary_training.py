"""Training the vocabulary: CPU time and memory, beside the trainer of `tokenizers`, and on a gigabyte.

    python -m benchmarks.vocabulary_training OUTPUT [--max-words N ...]

The texts are the posts that a finished run kept (OUTPUT/work). Both trainers get them; their merges and
vocabularies are compared. The gigabyte is copies of these posts in which the rarest words are new: of the
distinct words, as large a share as the second half of the posts adds to those of the first. So the
vocabulary grows with the text, a little faster than that of more posts would. Each step is a process of
its own with one thread. Prints a Markdown table.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import ipc
from tokenizers import Regex, Tokenizer, pre_tokenizers, trainers

from benchmarks.command import parser_of
from benchmarks.kept_posts import kept_posts
from benchmarks.page import table
from benchmarks.process import Usage, cpu_name, run_measured
from benchmarks.tokenizer_trials import LINKS
from sluice.tokenizer.training.train import MIN_FREQUENCY
from sluice.tokenizer.training.words import WordCounter
from sluice.tokenizer.training.words_files import COUNTED, WEIGHT_OF_ONE
from sluice.tokenizer.vocabulary import pattern, special

TEXT = pa.schema([("text", pa.string())])
ROWS = 16_384
TRAINERS = ("sluice", "tokenizers")
GIGABYTE = 1_000_000_000


def measured(*arguments: str, work: Path) -> Usage:
    """Runs a module in this Python with one thread; raises where it fails."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "RAYON")}
    return run_measured([sys.executable, "-m", *arguments], log=work / "log", env=threads)


def write(path: Path, texts: Iterator[pa.StringArray]) -> Path:
    """Writes an Arrow IPC file with a `text` column."""
    with ipc.new_file(path, TEXT) as file:
        for column in texts:
            file.write_batch(pa.RecordBatch.from_arrays([column], schema=TEXT))
    return path


def growth(words_of: Sequence[Sequence[str]]) -> float:
    """Returns what the second half of the texts adds to the distinct words of the first, as a share."""
    half = len(words_of) // 2
    first = len({word for words in words_of[:half] for word in words})
    return len({word for words in words_of for word in words}) / first - 1


def renewed(rare: Sequence[str], *, copy: int) -> dict[str, str]:
    """Returns the words of a copy that replace rare ones: letters are exchanged for like ones."""
    draw = random.Random(copy)
    alike: dict[tuple[int, int], list[str]] = {}
    flags = pattern.char_flags()
    for character in sorted(set("".join(rare))):
        if flags[ord(character)] & (pattern.CAPITAL | pattern.SMALL | pattern.DIGIT):
            kind = int(flags[ord(character)]), ord(character) >> 7
            alike.setdefault(kind, []).append(character)
    table: dict[str, str] = {}
    for characters in alike.values():
        table |= dict(zip(characters, draw.sample(characters, len(characters)), strict=True))
    exchange = str.maketrans(table)
    return {word: word.translate(exchange) for word in rare}


def write_copies(texts: Sequence[str], folder: Path, *, num_bytes: int) -> list[Path]:
    """Writes files of copies of the texts until they have so many bytes; the first is the texts."""
    splitter = pre_tokenizers.Split(Regex(pattern.SPLIT), "isolated")
    words_of = [
        [word for part in LINKS.split(text) for word, _ in splitter.pre_tokenize_str(part)]
        for text in texts
    ]
    counts = Counter(word for words in words_of for word in words)
    by_count = sorted(counts, key=lambda word: (counts[word], word))
    rare = by_count[: int(growth(words_of) * len(counts))]
    size = sum(len(text.encode()) for text in texts)
    files = []
    for copy in range(-(-num_bytes // size)):
        table = renewed(rare, copy=copy) if copy else {}
        lines = ["".join([table.get(word, word) for word in words]) for words in words_of]
        parts = (pa.array(lines[i : i + ROWS]) for i in range(0, len(lines), ROWS))
        files.append(write(folder / f"copy-{copy:02d}.arrow", parts))
    return files


def count(out: Path, files: Sequence[Path]) -> None:
    """Counts the words of files of texts into a file of counted words."""
    counter = WordCounter()
    for path in files:
        reader = ipc.open_file(path)
        for i in range(reader.num_record_batches):
            texts = reader.get_batch(i).column("text")
            counter.add_texts(texts, np.full(len(texts), WEIGHT_OF_ONE))
    words, count_W, weight_W = counter.counts()
    columns = [words, pa.array(count_W), pa.array(weight_W)]
    with ipc.new_file(out, COUNTED) as file:
        file.write_table(pa.Table.from_arrays(columns, schema=COUNTED), ROWS)


def train_library(out: Path, path: Path, blank: Path) -> None:
    """Trains with `tokenizers` on a file of texts, with the parts of a tokenizer.json but its model."""
    tokenizer = Tokenizer.from_file(str(blank))
    trainer = trainers.BpeTrainer(
        vocab_size=special.VOCABULARY_SIZE,
        min_frequency=MIN_FREQUENCY,
        special_tokens=[*special.SPECIAL_TOKENS, *special.LINK_TOKENS],
        initial_alphabet=special.byte_symbols(),
        show_progress=False,
    )
    reader = ipc.open_file(path)
    batches = (reader.get_batch(i).column("text") for i in range(reader.num_record_batches))
    # It does not take link tokens out of a text, so it gets what lies between them.
    texts = ([part for t in b.to_pylist() for part in LINKS.split(t)] for b in batches)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(out))


def model_of(path: Path) -> Any:
    """Returns the vocabulary and the merges of a tokenizer.json."""
    model = json.loads(path.read_text("utf-8"))["model"]
    return model["vocab"], model["merges"]


def compare(kept: Path, work: Path) -> Iterator[list[object]]:
    """Yields the rows of both trainers on the kept posts."""
    size = ipc.open_file(kept).read_all()["text"].nbytes
    training = ("sluice.tokenizer.training.train", "--output", str(work / "ours"), str(kept))
    ours = measured(*training, work=work)
    tokenizer = work / "ours" / "tokenizer.json"
    arguments = ("--oracle", str(work / "library.json"), str(kept), str(tokenizer))
    theirs = measured("benchmarks.vocabulary_training", *arguments, work=work)
    same = model_of(tokenizer) == model_of(work / "library.json")
    words = json.loads((work / "ours" / "words.json").read_text())["distinct"]
    for name, cost in zip(TRAINERS, (ours, theirs), strict=True):
        yield row(f"{name}, from texts", size, words, cost, "same" if same else "NOT THE SAME")


def at_scale(files: Sequence[Path], work: Path, bounds: Sequence[int]) -> Iterator[list[object]]:
    """Yields the rows of counting many texts, and of training on their words with each bound."""
    counted = work / "counted.arrow"
    counting = ("benchmarks.vocabulary_training", "--count", str(counted), *map(str, files))
    cost = measured(*counting, work=work)
    size, words = sum(f.stat().st_size for f in files), ipc.open_file(counted).read_all().num_rows
    yield row("sluice, counting", size, words, cost, "")
    for bound in (None, *bounds):
        more = [] if bound is None else ["--max-words", str(bound)]
        training = ("sluice.tokenizer.training.train", "--output", str(work / "large"))
        cost = measured(*training, str(counted), *more, work=work)
        totals = json.loads((work / "large" / "words.json").read_text())
        name = "sluice, from counts" + (f", max_words {bound:,}" if bound else "")
        yield row(name, size, totals["distinct"] - totals["left_out"], cost, "")


def row(name: str, size: int, words: int, cost: Usage, merges: str) -> list[object]:
    """Returns a row of the table."""
    costs = (f"{cost.cpu_seconds:.1f}", f"{cost.peak_rss_bytes / 1e6:,.0f}")
    return [name, f"{size / 1e6:,.0f}", words, *costs, merges]


def report(output: Path, work: Path, bounds: Sequence[int]) -> str:
    """Returns the machine and the table."""
    batches = kept_posts(output, ("text",))
    kept = write(work / "kept.arrow", (batch.column("text") for batch in batches))
    rows = list(compare(kept, work))
    texts = ipc.open_file(kept).read_all()["text"].to_pylist()
    files = write_copies(texts, work, num_bytes=GIGABYTE)
    rows += at_scale(files, work, bounds)
    head = ("trainer", "MB of text", "distinct words", "CPU s", "peak MB", "merges")
    about = f"{cpu_name()}; CPU seconds include the process's start"
    return "\n".join([about, "", *table(head, rows)])


def main() -> None:
    """Measures and prints the table."""
    parser = parser_of("vocabulary_training", __doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="OUTPUT")
    parser.add_argument("--max-words", type=int, nargs="*", default=[10_000_000, 3_000_000])
    parser.add_argument("--count", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--oracle", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        count(options.count, options.paths)
    elif options.oracle:
        train_library(options.oracle, *options.paths)
    else:
        with tempfile.TemporaryDirectory() as work:
            print(report(options.paths[0], Path(work), options.max_words))


if __name__ == "__main__":
    main()
