"""Trains the vocabulary: byte-level BPE on words and how often they occur.

    python -m sluice.tokenizer.training.train --output DIR [--strict] [--max-words N] FILE... [--list FILE]

A FILE is Arrow IPC, with a column `text` whose words are counted here, or with columns `word`, `count` and
`weight` of words that are counted already (`words_files.COUNTED`). The merges are those that the trainer of
`tokenizers` finds for the same words. The same words and weights give the same bytes in any order and any
cut of the files.

It is a process of its own, so that its memory goes back to the system and its CPU time can be told from
the rest.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from sluice.schemas.arrays import Array
from sluice.schemas.counts import EntryCounts, TrainingWords
from sluice.schemas.errors import LimitError, SluiceError
from sluice.tokenizer.training.merges import learn_merges
from sluice.tokenizer.training.words_files import WEIGHT_OF_ONE, gather
from sluice.tokenizer.vocabulary import special
from sluice.tokenizer.vocabulary.load import load_frozen, read_facts
from sluice.tokenizer.vocabulary.pattern import SPLIT
from sluice.tokenizer.vocabulary.special import NUM_BYTES, NUM_LINKS, NUM_SPECIAL, VOCABULARY_SIZE

MIN_FREQUENCY = 2
MAX_RESERVED_RATIO = 0.01
"""More reserved fillers than this is a warning, and an error under `strict`."""

_NUM_FIXED = NUM_SPECIAL + NUM_LINKS + NUM_BYTES
_NAMED = {"bos_token": special.BOD, "eos_token": special.EOD, "pad_token": special.PAD}

_log = logging.getLogger(__name__)


def train(
    files: Sequence[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str],
    vocabulary_size: int = VOCABULARY_SIZE,
    strict: bool = False,
    max_words: int | None = None,
) -> EntryCounts:
    """Trains a vocabulary and writes it as a folder that `tokenizers` and `transformers` load.

    The folder gets tokenizer_config.json, special_tokens_map.json, vocabulary.json (the counts),
    words.json (`TrainingWords`) and, last, tokenizer.json, each written under another name and renamed:
    where the last one exists, the others are those of the same run. Then comes times.json, the one file that
    differs between two runs: `seconds` and `cpu_seconds` of the steps `train` and `save`.

    Args:
        files: Arrow IPC files with a `text` string column, nulls skipped, or of `words_files.COUNTED`
            words; read batch by batch.
        output: the folder, made if missing.
        vocabulary_size: entries in all; smaller than `VOCABULARY_SIZE` only in tests.
        strict: raise where fillers exceed `MAX_RESERVED_RATIO`, and write nothing.
        max_words: distinct words to train on, at most: those that weigh most; see `words_files.gather`.

    Returns:
        What the entries are.

    Raises:
        InputError: a file cannot be read as Arrow or has neither sort of columns.
        LimitError: `strict`, and the texts gave too few merges.
    """
    if vocabulary_size < _NUM_FIXED:
        raise ValueError(f"vocabulary_size must be at least {_NUM_FIXED}, got {vocabulary_size}")
    steps: dict[str, dict[str, float]] = {}
    with _timed(steps, "train"):
        words, totals = gather(files, max_words=max_words)
        _log.info("choosing merges from %d distinct words", len(words.weight_W))
        merges_M2 = learn_merges(
            *words,
            id_of_byte=_ids_of_bytes(),
            vocabulary_size=vocabulary_size,
            min_frequency=MIN_FREQUENCY * WEIGHT_OF_ONE,
        )
        reserved = vocabulary_size - _NUM_FIXED - len(merges_M2)
        counts = EntryCounts(len(merges_M2), NUM_SPECIAL, NUM_LINKS, NUM_BYTES, reserved)
    with _timed(steps, "save"):
        _check_reserved(counts, strict=strict)
        _save(
            _tokenizer(merges_M2, reserved).to_str().encode(), _NAMED, counts, Path(output), totals
        )
    _write(Path(output) / "times.json", steps)
    return counts


def freeze(
    tokenizer_json: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    vocabulary_size: int = VOCABULARY_SIZE,
) -> EntryCounts:
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
    vocabulary = load_frozen(tokenizer_json, vocabulary_size=vocabulary_size)
    facts = read_facts(tokenizer_json, loads=False)
    links = len(facts.named.keys() & set(special.LINK_TOKENS))
    merges = vocabulary.size - facts.num_added - NUM_BYTES
    others = facts.num_added - facts.num_reserved - links
    counts = EntryCounts(merges, others, links, NUM_BYTES, facts.num_reserved)
    named = {role: token for role, token in _NAMED.items() if token in facts.named}
    _save(Path(tokenizer_json).read_bytes(), named, counts, Path(output))
    return counts


def _ids_of_bytes() -> Array:
    """Returns (256,) int32, the id of each byte: the symbols have theirs in the order of code points."""
    symbols = special.byte_symbols()
    ids = np.empty(NUM_BYTES, np.int32)
    first = NUM_SPECIAL + NUM_LINKS
    ids[sorted(range(NUM_BYTES), key=symbols.__getitem__)] = first + np.arange(NUM_BYTES)
    return ids


def _tokenizer(merges_M2: Array, num_reserved: int) -> Tokenizer:
    """Returns the tokenizer of special and link tokens, bytes, merges and reserved tokens, in this order."""
    names = [*special.SPECIAL_TOKENS, *special.LINK_TOKENS, *sorted(special.byte_symbols())]
    pairs = []
    for left, right in merges_M2.tolist():
        pairs.append((names[left], names[right]))
        names.append(names[left] + names[right])
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special.SPECIAL_TOKENS))
    tokenizer.add_tokens([AddedToken(link, normalized=False) for link in special.LINK_TOKENS])
    tokenizer.add_special_tokens(special.fillers(num_reserved))
    return tokenizer


def _check_reserved(counts: EntryCounts, *, strict: bool) -> None:
    size, ratio = counts.size, counts.reserved / counts.size
    _log.info("%d of %d entries: %d merges", size - counts.reserved, size, counts.merges)
    if ratio <= MAX_RESERVED_RATIO:
        return
    message = (
        f"vocabulary: {counts.reserved} of {size} entries ({ratio:.1%}) are "
        f"reserved fillers: no more pairs occur {MIN_FREQUENCY} times; train on more text"
    )
    if strict:
        raise LimitError(f"{message}, or leave out vocabulary.strict")
    _log.warning("%s", message)


def _save(
    tokenizer_json: bytes,
    roles: Mapping[str, str],
    counts: EntryCounts,
    output: Path,
    words: TrainingWords | None = None,
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "tokenizer.json").unlink(missing_ok=True)
    _write(output / "special_tokens_map.json", roles)
    config = {
        **roles,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # a typed <|eod|> is text
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    _write(output / "tokenizer_config.json", config)
    _write(output / "vocabulary.json", msgspec.structs.asdict(counts))
    if words is not None:
        _write(output / "words.json", msgspec.structs.asdict(words))
    _put(output / "tokenizer.json", tokenizer_json)


def _write(path: Path, value: object) -> None:
    _put(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def _put(path: Path, data: bytes) -> None:
    """Writes a file so that all of it exists, or none."""
    attempt = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        attempt.write_bytes(data)
        attempt.replace(path)
    finally:
        attempt.unlink(missing_ok=True)


@contextmanager
def _timed(steps: dict[str, dict[str, float]], step: str) -> Iterator[None]:
    """Measures a step: seconds, and CPU seconds of all threads."""
    seconds, cpu_seconds = time.perf_counter(), time.process_time()
    yield
    steps[step] = {
        "seconds": round(time.perf_counter() - seconds, 3),
        "cpu_seconds": round(time.process_time() - cpu_seconds, 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line above; progress and errors go to stderr, nothing to stdout.

    Returns:
        0, or the exit code of the error.
    """
    parser = argparse.ArgumentParser(prog="python -m sluice.tokenizer.training.train")
    parser.add_argument("files", nargs="*", metavar="FILE", help="texts or counted words")
    parser.add_argument("--list", metavar="FILE", type=Path, help="text file, one FILE per line")
    parser.add_argument("--output", required=True, metavar="DIR")
    parser.add_argument("--max-words", type=int, metavar="N", help="distinct words to train on")
    parser.add_argument("--strict", action="store_true", help="an error above 1%% reserved entries")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="vocabulary: %(message)s")
    files = options.files + (options.list.read_text().splitlines() if options.list else [])
    if not files and options.list is None:
        parser.error("must have at least one FILE to read")
    try:
        train(files, output=options.output, strict=options.strict, max_words=options.max_words)
    except SluiceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
