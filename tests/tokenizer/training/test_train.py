import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import ipc
from tokenizers import Tokenizer, pre_tokenizers, trainers

from sluice.schemas.counts import EntryCounts
from sluice.schemas.errors import InputError, LimitError
from sluice.tokenizer.training import train as training
from sluice.tokenizer.training.train import freeze, train
from sluice.tokenizer.training.words import WordCounter
from sluice.tokenizer.training.words_files import COUNTED, WEIGHT_OF_ONE, gather
from sluice.tokenizer.vocabulary.special import (
    LINK_TOKENS,
    SPECIAL_TOKENS,
    VOCABULARY_SIZE,
    byte_symbols,
    fillers,
)
from tests.tokenizer.training.cutting import cut

SMALL = 2000
FILES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocabulary.json"}


def ids_of(folder: Path) -> dict[str, int]:
    """Returns token -> id of a vocabulary."""
    vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"][
        "vocab"
    ]
    return vocabulary


def texts_in(files: Iterable[Path]) -> list[str]:
    """Returns the texts of files of texts."""
    return [t for file in files for t in ipc.open_file(file).read_all()["text"].to_pylist()]


def library_model(texts: Sequence[str], tokenizer_json: Path, size: int) -> Any:
    """Returns the model that the trainer of `tokenizers` finds with the other parts of a tokenizer.json.

    The trainer does not take link tokens out of a text: it gets what lies between them.
    """
    links = re.compile("|".join(re.escape(x) for x in sorted(LINK_TOKENS, key=len, reverse=True)))
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[*SPECIAL_TOKENS, *LINK_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((part for t in texts for part in links.split(t)), trainer)
    return json.loads(tokenizer.to_str())["model"]


def counted_file(path: Path, rows: Iterable[tuple[str, int, int]], *, cut: int = 100) -> Path:
    """Writes a file of counted words, in batches of `cut`."""
    columns = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), COUNTED, strict=True)]
    with ipc.new_file(path, COUNTED) as file:
        file.write_table(pa.Table.from_arrays(columns, schema=COUNTED), cut)
    return path


def counted_rows(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Returns the words of files of texts, with their counts and weights."""
    counter = WordCounter()
    for text in texts_in(files):
        counter.add_texts(pa.array([text]), np.array([WEIGHT_OF_ONE]))
    words, count_W, weight_W = counter.counts()
    return list(zip(words.to_pylist(), count_W.tolist(), weight_W.tolist(), strict=True))


def content(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of every file that must not differ between runs."""
    return {name: (folder / name).read_bytes() for name in FILES}


def test_layout_is_specials_links_bytes_merges(vocabulary: Path) -> None:
    """Ids 0-63 are special tokens, 64-75 link tokens, 76-331 bytes, and each merge's parts come before."""
    ids = ids_of(vocabulary)
    by_id = sorted(ids, key=ids.__getitem__)
    assert sorted(ids.values()) == list(range(SMALL))
    assert tuple(by_id[:64]) == SPECIAL_TOKENS
    assert tuple(by_id[64:76]) == LINK_TOKENS
    assert set(by_id[76:332]) == set(pre_tokenizers.ByteLevel.alphabet())
    merges = json.loads((vocabulary / "tokenizer.json").read_text())["model"]["merges"]
    assert {left + right for left, right in merges} == set(by_id[332:])
    assert all(max(ids[left], ids[right]) < ids[left + right] for left, right in merges)


def test_special_tokens_are_marked_special(vocabulary: Path) -> None:
    """Special tokens are added tokens that readers can skip; link tokens are added tokens, but text."""
    added = json.loads((vocabulary / "tokenizer.json").read_text())["added_tokens"]
    assert [token["content"] for token in added] == [*SPECIAL_TOKENS, *LINK_TOKENS]
    assert [token["special"] for token in added] == [True] * 64 + [False] * 12
    assert not any(token["normalized"] for token in added)


@given(st.lists(st.sampled_from([*LINK_TOKENS, "abc", " ", "http", "s://", "\n", "e"]), max_size=9))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_link_tokens_are_taken_before_words(tokenizer_json: Path, parts: list[str]) -> None:
    """The tokenizer gives a link token where training took it out, and the words between are the same."""
    text = "".join(parts)
    tokenizer = _loaded(tokenizer_json)
    encoded = tokenizer.encode(text)
    words = [
        text[start:stop]
        for (start, stop), id_ in zip(encoded.offsets, encoded.ids, strict=True)
        if not 64 <= id_ < 76
    ]
    assert "".join(words) == "".join(cut(text))
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text


@cache
def _loaded(tokenizer_json: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tokenizer_json))


def test_counts_add_up(vocabulary: Path) -> None:
    """vocabulary.json accounts for every entry once."""
    counts = json.loads((vocabulary / "vocabulary.json").read_text())
    assert counts == {
        "merges": SMALL - 332,
        "special": 64,
        "links": 12,
        "bytes": 256,
        "reserved": 0,
    }


def test_folder_holds_these_files_and_no_leftovers(vocabulary: Path) -> None:
    """No temporary file stays, and times stand in times.json alone."""
    assert {p.name for p in vocabulary.iterdir()} == FILES | {"times.json", "words.json"}
    times = json.loads((vocabulary / "times.json").read_text())
    assert set(times) == {"train", "save"}
    assert all(set(step) == {"seconds", "cpu_seconds"} for step in times.values())
    assert times["train"]["cpu_seconds"] > 0


def test_text_survives_encoding(vocabulary: Path) -> None:
    """Decoding gives back any text, also of bytes that the training texts never had."""
    tokenizer = Tokenizer.from_file(str(vocabulary / "tokenizer.json"))
    text = "Zażółć gęślą jaźń \x00 \U0001f9ff 漢字\n\ttail "
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_order_of_files_does_not_matter(
    vocabulary: Path, corpus: list[Path], tmp_path: Path
) -> None:
    """Either order of the files gives the same files, byte for byte."""
    train(corpus[::-1], output=tmp_path, vocabulary_size=SMALL)
    assert content(tmp_path) == content(vocabulary)


def test_the_model_is_that_of_tokenizers(vocabulary: Path, corpus: list[Path]) -> None:
    """The trainer of `tokenizers` finds the same vocabulary and merges in the same texts."""
    path = vocabulary / "tokenizer.json"
    model = json.loads(path.read_text())["model"]
    assert model == library_model(texts_in(corpus), path, SMALL)


@pytest.mark.real
def test_the_model_of_real_posts_is_that_of_tokenizers(data: Path, tmp_path: Path) -> None:
    """And so in 20,000 real posts, until no pair occurs twice."""
    first = min((data / "firehose").glob("*.jsonl.gz"))
    with gzip.open(first, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for _, line in zip(range(20_000), lines, strict=False)]
    table = pa.table({"text": texts})
    with ipc.new_file(tmp_path / "posts.arrow", table.schema) as file:
        file.write_table(table)
    counts = train([tmp_path / "posts.arrow"], output=tmp_path / "o")
    assert counts.reserved > 0
    found = json.loads((tmp_path / "o" / "tokenizer.json").read_text())["model"]
    assert found == library_model(texts, tmp_path / "o" / "tokenizer.json", VOCABULARY_SIZE)


@pytest.mark.parametrize("cut", [7, 100_000])
def test_counted_words_give_what_their_texts_give(
    vocabulary: Path, corpus: list[Path], tmp_path: Path, cut: int
) -> None:
    """Words counted elsewhere, in several files and any order, beside a file of texts."""
    rows = counted_rows(corpus[:1])[::-1]
    half = len(rows) // 2
    files = [
        counted_file(tmp_path / "b.arrow", rows[half:], cut=cut),
        corpus[1],
        counted_file(tmp_path / "a.arrow", rows[:half], cut=cut),
    ]
    train(files, output=tmp_path / "o", vocabulary_size=SMALL)
    assert content(tmp_path / "o") == content(vocabulary)


def test_weights_decide_and_one_of_weight_below_two_does_not(tmp_path: Path) -> None:
    """A pair is merged in the order of its weight, and not at all below a weight of two."""
    one = WEIGHT_OF_ONE
    rows = [("ab", 9, 2 * one), ("cd", 2, 5 * one), ("ef", 9, 2 * one - 1)]
    train([counted_file(tmp_path / "w.arrow", rows)], output=tmp_path / "o", vocabulary_size=400)
    model = json.loads((tmp_path / "o" / "tokenizer.json").read_text())["model"]
    assert model["merges"] == [["c", "d"], ["a", "b"]]


@pytest.mark.parametrize("max_words", [1, 2, 3, 4, 5, 9])
def test_max_words_takes_those_that_weigh_most(tmp_path: Path, max_words: int) -> None:
    """As many as fit, whatever the order and the files; what is left out is counted."""
    rows = [("ab", 5, 700), ("cd", 5, 900), ("ef", 5, 700), ("gh", 5, 700), ("ij", 5, 600)]
    whole = [counted_file(tmp_path / "w.arrow", rows)]
    parts = [
        counted_file(tmp_path / "a.arrow", rows[:1:-1], cut=2),
        counted_file(tmp_path / "b.arrow", rows[:2]),
    ]
    for files, output in ((whole, tmp_path / "w"), (parts, tmp_path / "p")):
        train(files, output=output, vocabulary_size=400, max_words=max_words)
    assert content(tmp_path / "w") == content(tmp_path / "p")
    taken = min(max_words, 5)
    assert json.loads((tmp_path / "w" / "words.json").read_text()) == {
        "distinct": 5,
        "occurrences": 25,
        "left_out": 5 - taken,
        "left_out_occurrences": 25 - 5 * taken,
    }
    merges = json.loads((tmp_path / "w" / "tokenizer.json").read_text())["model"]["merges"]
    assert len(merges) == taken
    assert merges[0] == ["c", "d"]
    assert (["i", "j"] in merges) == (taken == 5)


def test_words_of_equal_weight_are_drawn_from_all_scripts(tmp_path: Path) -> None:
    """Half of 2,000 words of equal weight, Latin and Han: half of each, not those that sort first."""
    rows = [(chr(first + i) * 2, 1, 512) for first in (0x100, 0x4E00) for i in range(1000)]
    taken, words = gather([counted_file(tmp_path / "w.arrow", rows)], max_words=1000)
    assert (words.left_out, len(taken.weight_W)) == (1000, 1000)
    num_latin = int((np.diff(taken.offsets_W1) == 4).sum())
    assert 400 < num_latin < 600


def test_max_words_below_one_is_refused(tmp_path: Path) -> None:
    """There must be a word to train on."""
    with pytest.raises(ValueError, match="max_words must be at least 1, got 0"):
        train([], output=tmp_path, max_words=0)


def test_symbols_of_bytes_are_those_of_the_library() -> None:
    """Each byte that a text can have is written as ByteLevel writes it, and all 256 are of its alphabet."""
    symbols = byte_symbols()
    assert sorted(symbols) == sorted(pre_tokenizers.ByteLevel.alphabet())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    text = "".join(map(chr, [*range(0x800), 0x2000, 0xD000, 0xE000, 0xF000, 0x10FFFF]))
    ((written, _),) = level.pre_tokenize_str(text)
    assert written == "".join(symbols[byte] for byte in text.encode())


def test_command_line_fills_up_to_the_product_size(corpus: list[Path], tmp_path: Path) -> None:
    """The command writes exactly 131,072 entries, fills with reserved tokens, and is silent on stdout."""
    listing = tmp_path / "files.txt"
    listing.write_text(f"{corpus[1]}\n")
    output = tmp_path / "made"
    options = ["--output", str(output), "--list", str(listing)]
    done = subprocess.run(
        [sys.executable, "-m", "sluice.tokenizer.training.train", *options, str(corpus[0])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert "reserved fillers" in done.stderr
    counts = json.loads((output / "vocabulary.json").read_text())
    assert sum(counts.values()) == VOCABULARY_SIZE
    assert counts["reserved"] > 100_000
    tokenizer = Tokenizer.from_file(str(output / "tokenizer.json"))
    assert set(tokenizer.get_vocab().values()) == set(range(VOCABULARY_SIZE))
    assert tokenizer.id_to_token(VOCABULARY_SIZE - 1) == fillers(counts["reserved"])[-1]


def test_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    """An unreadable file ends with the error's exit code and a message, without a traceback."""
    missing = tmp_path / "missing.arrow"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sluice.tokenizer.training.train",
            "--output",
            str(tmp_path / "o"),
            str(missing),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == InputError.exit_code
    assert str(missing) in done.stderr
    assert "Traceback" not in done.stderr


def test_no_files_give_a_vocabulary_of_bytes(tmp_path: Path) -> None:
    """An empty list, as of a run that keeps no post: all but special tokens and bytes is reserved."""
    (tmp_path / "files.txt").write_text("")
    options = ["--output", str(tmp_path / "o"), "--list", str(tmp_path / "files.txt")]
    assert training.main(options) == 0
    counts = json.loads((tmp_path / "o" / "vocabulary.json").read_text())
    assert counts == {
        "merges": 0,
        "special": 64,
        "links": 12,
        "bytes": 256,
        "reserved": VOCABULARY_SIZE - 332,
    }


def test_strict_refuses_fillers_and_writes_nothing(corpus: list[Path], tmp_path: Path) -> None:
    """With `strict`, more than 1% of fillers is an error that leaves no folder behind."""
    with pytest.raises(LimitError, match=r"reserved fillers.*train on more text"):
        train(corpus, output=tmp_path / "o", vocabulary_size=60_000, strict=True)
    assert not (tmp_path / "o").exists()


def test_strict_allows_few_fillers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on the share: one filler in a thousand entries passes, 11 in a thousand do not."""
    training._check_reserved(EntryCounts(667, 64, 12, 256, 1), strict=True)
    with pytest.raises(LimitError):
        training._check_reserved(EntryCounts(657, 64, 12, 256, 11), strict=True)


def test_nulls_are_skipped(corpus: list[Path], vocabulary: Path, tmp_path: Path) -> None:
    """A null text neither breaks training nor changes the result."""
    schema = pa.schema([("text", pa.string())])
    with ipc.new_file(tmp_path / "nulls.arrow", schema) as file:
        file.write_batch(pa.record_batch([pa.nulls(3, pa.string())], schema))
    files = [tmp_path / "nulls.arrow", *corpus]
    train(files, output=tmp_path / "o", vocabulary_size=SMALL)
    assert content(tmp_path / "o") == content(vocabulary)


def test_file_without_text_column_is_named(tmp_path: Path) -> None:
    """A file without a text column of strings, or all columns of words, is an InputError with its path."""
    schema = pa.schema([("text", pa.int64())])
    with ipc.new_file(tmp_path / "numbers.arrow", schema) as file:
        file.write_batch(pa.record_batch([pa.array([1])], schema))
    with pytest.raises(InputError, match=r"numbers\.arrow: must have a `text` column"):
        train([tmp_path / "numbers.arrow"], output=tmp_path / "o", vocabulary_size=SMALL)


def test_a_failed_save_leaves_no_tokenizer_json(
    corpus: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process dies while it saves, no tokenizer.json of another run stands beside new files."""
    (tmp_path / "tokenizer.json").write_text("of an earlier run")

    def die(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_put", die)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, output=tmp_path, vocabulary_size=400)
    assert list(tmp_path.iterdir()) == []


def test_freeze_keeps_the_file_and_counts_its_entries(vocabulary: Path, tmp_path: Path) -> None:
    """A frozen vocabulary is copied byte for byte, and its folder is that of the training run."""
    counts = freeze(vocabulary / "tokenizer.json", output=tmp_path, vocabulary_size=SMALL)
    assert counts == EntryCounts(SMALL - 332, 64, 12, 256, 0)
    assert content(tmp_path) == content(vocabulary)


def test_transformers_load_it(vocabulary: Path) -> None:
    """AutoTokenizer opens the folder, knows the special roles, and takes a typed special token for text."""
    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoTokenizer.from_pretrained(vocabulary)
    assert isinstance(loaded, transformers.PreTrainedTokenizerFast)
    roles = (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token)
    assert roles == (0, 1, 2, None)
    assert len(loaded) == SMALL
    text = "abc def  абв. <|eod|> 😀"
    plain = Tokenizer.from_file(str(vocabulary / "tokenizer.json"))
    plain.encode_special_tokens = True
    expected = plain.encode(text).ids
    assert 2 not in expected
    assert loaded(text)["input_ids"] == expected
    assert loaded.decode(expected) == text
