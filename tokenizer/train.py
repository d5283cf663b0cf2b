"""Trains the vocabulary: byte-level BPE on the `text` column of Arrow files.

    python -m tokenizer.train --output DIR [--strict] FILE... [--list FILE]

It is a process of its own, so that the trainer's memory (1.1 GB for 61 MB of posts) goes back to
the system, and so that its CPU time can be told from the rest. The same texts give the same bytes
whatever the order of the files and the number of threads: words are counted before merges are
chosen, and equal counts are decided by ids.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import ipc
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from schemas.errors import InputError, LimitError, SluiceError
from tokenizer.special import (
    BOD,
    EOD,
    NUM_BYTES,
    NUM_SPECIAL,
    PAD,
    SPECIAL_TOKENS,
    VOCABULARY_SIZE,
    fillers,
)
from tokenizer.vocabulary import load_frozen

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where a text is cut before merges; gigatoken knows this string and no variant of it.

Source: OpenAI tiktoken, `cl100k_base`.
"""

MIN_FREQUENCY = 2
MAX_RESERVED_RATIO = 0.01
"""More reserved fillers than this is a warning, and an error under `strict`."""

_NAMED = {"bos_token": BOD, "eos_token": EOD, "pad_token": PAD}

_log = logging.getLogger(__name__)


class Counts(NamedTuple):
    """What the entries of a vocabulary are; they add up to its size.

    Attributes:
        merges: entries that training found.
        special: the tokens of `SPECIAL_TOKENS`.
        bytes: the symbols of the 256 bytes.
        reserved: reserved tokens in the place of merges that the texts did not give.
    """

    merges: int
    special: int
    bytes: int
    reserved: int

    @property
    def reserved_ratio(self) -> float:
        """Share of the entries that are fillers, in [0, 1]."""
        return self.reserved / sum(self)


def train(
    files: Sequence[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str],
    vocabulary_size: int = VOCABULARY_SIZE,
    strict: bool = False,
) -> Counts:
    """Trains a vocabulary and writes it as a folder that `tokenizers` and `transformers` load.

    The folder gets tokenizer_config.json, special_tokens_map.json, vocabulary.json (the counts) and
    tokenizer.json, each written beside its place and renamed, tokenizer.json last: where it stands,
    the others are those of the same run. Then comes times.json, the one file that differs between
    two runs: `seconds` and `cpu_seconds` of the steps `train` and `save`.

    Args:
        files: Arrow IPC files with a `text` string column; read batch by batch, nulls skipped.
        output: the folder, made if missing.
        vocabulary_size: entries in all; smaller than `VOCABULARY_SIZE` only in tests.
        strict: raise where fillers exceed `MAX_RESERVED_RATIO`, and write nothing.

    Returns:
        What the entries are.

    Raises:
        InputError: a file cannot be read as Arrow or has no `text` string column.
        LimitError: `strict`, and the texts gave too few merges.
    """
    if vocabulary_size < NUM_SPECIAL + NUM_BYTES:
        raise ValueError(
            f"vocabulary_size must be at least {NUM_SPECIAL + NUM_BYTES}, got {vocabulary_size}"
        )
    watch = _Watch()
    tokenizer = _untrained()
    tokenizer.train_from_iterator(_texts(files), _trainer(vocabulary_size))
    counts = _fill(tokenizer, vocabulary_size)
    watch.lap("train")
    _judge(counts, strict=strict)
    _save(tokenizer.to_str(), _NAMED, counts, Path(output))
    watch.lap("save")
    _write(Path(output) / "times.json", watch.steps)
    return counts


def freeze(
    tokenizer_json: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    vocabulary_size: int = VOCABULARY_SIZE,
) -> Counts:
    """Writes the folder of `train` around a vocabulary that exists, its tokenizer.json unchanged.

    Args:
        tokenizer_json: what the recipe's `vocabulary.tokenizer` names.
        output: as `train`; no times.json.
        vocabulary_size: entries that it must have.

    Returns:
        What the entries are; `reserved` are those named as `train` names its fillers.

    Raises:
        RecipeError: as `vocabulary.load_frozen`.
    """
    found = load_frozen(tokenizer_json, vocabulary_size=vocabulary_size)
    text = Path(tokenizer_json).read_text(encoding="utf-8")
    added = {token["content"] for token in json.loads(text)["added_tokens"]}
    reserved = len(added & set(fillers(vocabulary_size)))
    special = len(added) - reserved
    merges = found.size - special - NUM_BYTES - reserved
    counts = Counts(merges, special, NUM_BYTES, reserved)
    named = {role: token for role, token in _NAMED.items() if token in added}
    _save(text, named, counts, Path(output))
    return counts


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _trainer(vocabulary_size: int) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _texts(files: Sequence[str | os.PathLike[str]]) -> Iterator[list[str]]:
    """Yields the texts of a record batch at a time."""
    for done, file in enumerate(files):
        _log.info("reading file %d of %d", done + 1, len(files))
        try:
            with pa.memory_map(os.fspath(file)) as source:
                yield from _texts_of(ipc.open_file(source), os.fspath(file))
        except (OSError, pa.ArrowInvalid) as failure:
            raise InputError(f"{file}: must be an Arrow IPC file: {failure}") from failure
    _log.info("choosing merges")


def _texts_of(reader: ipc.RecordBatchFileReader, name: str) -> Iterator[list[str]]:
    column = reader.schema.get_field_index("text")
    if column < 0 or not pa.types.is_string(reader.schema.field(column).type):
        raise InputError(f"{name}: must have a `text` column of type string, got {reader.schema}")
    for i in range(reader.num_record_batches):
        yield reader.get_batch(i).column(column).drop_null().to_pylist()


def _fill(tokenizer: Tokenizer, vocabulary_size: int) -> Counts:
    trained = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(fillers(vocabulary_size - trained))
    merges = trained - NUM_SPECIAL - NUM_BYTES
    return Counts(merges, NUM_SPECIAL, NUM_BYTES, vocabulary_size - trained)


def _judge(counts: Counts, *, strict: bool) -> None:
    size = sum(counts)
    _log.info("%d of %d entries: %d merges", size - counts.reserved, size, counts.merges)
    if counts.reserved_ratio <= MAX_RESERVED_RATIO:
        return
    message = (
        f"vocabulary: {counts.reserved} of {size} entries ({counts.reserved_ratio:.1%}) are "
        f"reserved fillers: no more pairs occur {MIN_FREQUENCY} times; train on more text"
    )
    if strict:
        raise LimitError(f"{message}, or leave out vocabulary.strict")
    _log.warning("%s", message)


def _save(tokenizer_json: str, special: Mapping[str, str], counts: Counts, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "tokenizer.json").unlink(missing_ok=True)
    _write(output / "special_tokens_map.json", special)
    config = {
        **special,
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    _write(output / "tokenizer_config.json", config)
    _write(output / "vocabulary.json", counts._asdict())
    _put(output / "tokenizer.json", tokenizer_json)


def _write(path: Path, value: object) -> None:
    _put(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def _put(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    attempt = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        attempt.write_text(text, encoding="utf-8")
        attempt.replace(path)
    finally:
        attempt.unlink(missing_ok=True)


class _Watch:
    """Seconds and CPU seconds, of all threads, from one lap to the next."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, float]] = {}
        self._last = (time.perf_counter(), time.process_time())

    def lap(self, step: str) -> None:
        now = (time.perf_counter(), time.process_time())
        self.steps[step] = {
            "seconds": round(now[0] - self._last[0], 3),
            "cpu_seconds": round(now[1] - self._last[1], 3),
        }
        self._last = now


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line above; progress and errors go to stderr, nothing to stdout.

    Returns:
        0, or the exit code of the error.
    """
    parser = argparse.ArgumentParser(prog="python -m tokenizer.train")
    parser.add_argument("files", nargs="*", metavar="FILE", help="Arrow IPC, with a text column")
    parser.add_argument("--list", metavar="FILE", type=Path, help="text file, a FILE a line")
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--strict", action="store_true", help="an error above 1%% reserved entries")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="vocabulary: %(message)s")
    files = options.files + (options.list.read_text().splitlines() if options.list else [])
    if not files:
        parser.error("must have at least one FILE to read")
    try:
        train(files, output=options.output, strict=options.strict)
    except SluiceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
