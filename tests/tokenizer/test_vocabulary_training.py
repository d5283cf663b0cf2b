import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import ipc
from tokenizers import Tokenizer, pre_tokenizers

from schemas.errors import InputError, LimitError
from tokenizer import train as training
from tokenizer.special import SPECIAL_TOKENS, VOCABULARY_SIZE
from tokenizer.train import Counts, freeze, train

SMALL = 2000
FILES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocabulary.json"}


def ids_of(folder: Path) -> dict[str, int]:
    """Returns token -> id of a vocabulary."""
    vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"][
        "vocab"
    ]
    return vocabulary


def content(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of every file that must not differ between runs."""
    return {name: (folder / name).read_bytes() for name in FILES}


def test_layout_is_specials_then_bytes_then_merges(vocabulary: Path) -> None:
    """Ids 0-63 are the special tokens, 64-319 the byte symbols, and each merge's parts come before."""
    ids = ids_of(vocabulary)
    by_id = sorted(ids, key=ids.__getitem__)
    assert sorted(ids.values()) == list(range(SMALL))
    assert tuple(by_id[:64]) == SPECIAL_TOKENS
    assert set(by_id[64:320]) == set(pre_tokenizers.ByteLevel.alphabet())
    merges = json.loads((vocabulary / "tokenizer.json").read_text())["model"]["merges"]
    assert {left + right for left, right in merges} == set(by_id[320:])
    assert all(max(ids[left], ids[right]) < ids[left + right] for left, right in merges)


def test_special_tokens_are_marked_special(vocabulary: Path) -> None:
    """Every special token is an added token with `special`, so that readers can skip it."""
    added = json.loads((vocabulary / "tokenizer.json").read_text())["added_tokens"]
    assert [token["content"] for token in added] == list(SPECIAL_TOKENS)
    assert all(token["special"] and not token["normalized"] for token in added)


def test_counts_add_up(vocabulary: Path) -> None:
    """vocabulary.json accounts for every entry once."""
    counts = json.loads((vocabulary / "vocabulary.json").read_text())
    assert counts == {"merges": SMALL - 320, "special": 64, "bytes": 256, "reserved": 0}


def test_folder_holds_these_files_and_no_leftovers(vocabulary: Path) -> None:
    """No temporary file stays, and times stand in times.json alone."""
    assert {p.name for p in vocabulary.iterdir()} == FILES | {"times.json"}
    times = json.loads((vocabulary / "times.json").read_text())
    assert set(times) == {"train", "save"}
    assert all(set(step) == {"seconds", "cpu_seconds"} for step in times.values())
    assert times["train"]["cpu_seconds"] > 0


def test_text_survives_encoding(vocabulary: Path) -> None:
    """Decoding gives back any text, also of bytes that the training texts never had."""
    tokenizer = Tokenizer.from_file(str(vocabulary / "tokenizer.json"))
    text = "Zażółć gęślą jaźń \x00 \U0001f9ff 漢字\n\ttail "
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("threads", [1, 2])
def test_bytes_do_not_depend_on_threads_or_file_order(
    vocabulary: Path, corpus: list[Path], tmp_path: Path, threads: int
) -> None:
    """Any number of threads and either order of the files gives the same files, byte for byte."""
    program = (
        "import sys; from tokenizer.train import train; "
        f"train(sys.argv[2:], output=sys.argv[1], vocabulary_size={SMALL})"
    )
    files = corpus if threads == 1 else corpus[::-1]
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *map(str, files)],
        env={**os.environ, "RAYON_NUM_THREADS": str(threads)},
        check=True,
    )
    assert content(tmp_path) == content(vocabulary)


def test_command_line_fills_up_to_the_product_size(corpus: list[Path], tmp_path: Path) -> None:
    """The command writes exactly 131,072 entries, fills with reserved tokens, and is silent on stdout."""
    listing = tmp_path / "files.txt"
    listing.write_text(f"{corpus[1]}\n")
    output = tmp_path / "made"
    options = ["--output", str(output), "--list", str(listing)]
    done = subprocess.run(
        [sys.executable, "-m", "tokenizer.train", *options, str(corpus[0])],
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
    assert tokenizer.id_to_token(VOCABULARY_SIZE - 1) == f"<|reserved_{55 + counts['reserved']}|>"


def test_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    """An unreadable file ends with the error's exit code and a message, without a traceback."""
    missing = tmp_path / "missing.arrow"
    done = subprocess.run(
        [sys.executable, "-m", "tokenizer.train", "--output", str(tmp_path / "o"), str(missing)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == InputError.exit_code
    assert str(missing) in done.stderr
    assert "Traceback" not in done.stderr


def test_strict_refuses_fillers_and_writes_nothing(corpus: list[Path], tmp_path: Path) -> None:
    """With `strict`, more than 1% of fillers is an error that leaves no folder behind."""
    with pytest.raises(LimitError, match=r"reserved fillers.*train on more text"):
        train(corpus, output=tmp_path / "o", vocabulary_size=60_000, strict=True)
    assert not (tmp_path / "o").exists()


def test_strict_allows_few_fillers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on the share: one filler in a thousand entries passes, 11 in a thousand do not."""
    training._judge(Counts(679, 64, 256, 1), strict=True)
    with pytest.raises(LimitError):
        training._judge(Counts(669, 64, 256, 11), strict=True)


def test_nulls_are_skipped(corpus: list[Path], vocabulary: Path, tmp_path: Path) -> None:
    """A null text neither breaks training nor changes the result."""
    schema = pa.schema([("text", pa.string())])
    with ipc.new_file(tmp_path / "nulls.arrow", schema) as file:
        file.write_batch(pa.record_batch([pa.nulls(3, pa.string())], schema))
    files = [tmp_path / "nulls.arrow", *corpus]
    train(files, output=tmp_path / "o", vocabulary_size=SMALL)
    assert content(tmp_path / "o") == content(vocabulary)


def test_file_without_text_column_is_named(tmp_path: Path) -> None:
    """A file without a text column of strings is an InputError with its path."""
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
    assert counts == Counts(SMALL - 320, 64, 256, 0)
    assert content(tmp_path) == content(vocabulary)


def test_transformers_load_it(vocabulary: Path) -> None:
    """AutoTokenizer opens the folder, knows the special roles, and gives the ids of `tokenizers`."""
    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoTokenizer.from_pretrained(vocabulary)
    assert isinstance(loaded, transformers.PreTrainedTokenizerFast)
    roles = (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token)
    assert roles == (0, 1, 2, None)
    assert len(loaded) == SMALL
    text = "abc def  абв. <|eod|> 😀"
    expected = Tokenizer.from_file(str(vocabulary / "tokenizer.json")).encode(text).ids
    assert loaded(text)["input_ids"] == expected
    assert loaded.decode(expected) == text
