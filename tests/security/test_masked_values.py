"""What is masked is nowhere in what a run writes: every file of an output and of a history is read whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from sluice.pipeline import cli

PLANTED = {
    "email": "anna.planted@example-mail.com",
    "phone": "+49 30 22732152",
    "ip": "93.184.216.34",
    "card": "4111 1111 1111 1111",
    "iban": "DE89370400440532013000",
    "national_id": "529.982.247-25",
    "key": "AKIA" + "ABCDEFGH23456723",
    "wallet": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "coordinates": "56.94965, 24.10518",
    "url_secret": "sesamstrasse17",
    "handle": "@planted_person",
    "author": "planted-author-77",
}
VALUES = [kind for kind in PLANTED if kind not in ("url_secret", "author")]
"""Those that are values wherever they stand."""
SPOILS = "buy followers cheap $$$ click here free money earn $500 daily "
RECIPE = """
name = "masked"
[media]
placeholders = true
alt_text = true
[privacy]
mask = ["email", "phone", "ip", "card", "iban", "national_id", "key", "wallet", "coordinates", "url_secret"]
handle = "mask"
author_id = "hash"
key_file = "KEY"
[[filters]]
filter = "min_words"
[[filters]]
filter = "spam"
max_spam = 0.000001
[tokens]
documents = "conversations"
quotes = "joined"
provenance = ["author_id", "created_at"]
header = "{author_id}: "
[training]
sequence_length = 64
global_batch_sequences = 1
data_parallel_ranks = 1
target_shard_bytes = 65536
"""


def sentence(value: str, number: int) -> str:
    """Returns a text with a value, like no other; every third has a secret in a link."""
    link = f" https://example.com/a?token={PLANTED['url_secret']}&page=2" if number % 3 == 0 else ""
    return f"Number {number} of the harbour wrote {value} on boat {number * 7}{link} today"


def tweets() -> list[dict[str, Any]]:
    """Returns invented tweets with a value each, in the text, in what a picture shows or in a quoted post."""
    found = []
    for number, (kind, value) in enumerate(3 * list(PLANTED.items())):
        tweet: dict[str, Any] = {
            "id_str": f"{number}",
            "user": {"id_str": PLANTED["author"]},
            "created_at": "Sat Mar 10 14:03:15 +0000 2018",
            "full_text": sentence(value if kind in VALUES else "nothing", number),
        }
        if number % 4 == 0:
            link = f"https://pic.example/p?token={PLANTED['url_secret']}"
            shown = {"type": "photo", "ext_alt_text": f"A card: {PLANTED['email']}", "url": link}
            tweet["extended_entities"] = {
                "media": [{**shown, "id_str": f"{number}", "media_url_https": f"m/{number}"}]
            }
        if number % 5 == 4:
            tweet["in_reply_to_status_id_str"] = f"{number - 1}"
        found.append(tweet)
    for number in range(40):  # some of these are in the screen's sample
        text = f"{SPOILS} {number} {PLANTED['email']} {PLANTED['phone']}"
        found.append({**found[0], "id_str": f"9{number}", "full_text": text})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs over the tweets, with a history: the screen rejects all, and none."""
    folder = tmp_path_factory.mktemp("masked")
    (folder / "tweets.jsonl").write_text("".join(json.dumps(tweet) + "\n" for tweet in tweets()))
    (folder / "key").write_bytes(bytes(range(32)))
    (folder / "masked.toml").write_text(RECIPE.replace("KEY", str(folder / "key")))
    base = ["run", str(folder / "masked.toml"), "--input", str(folder / "tweets.jsonl")]
    for name, strict in (("strict", 0.000001), ("out", 1.0)):
        history = f"dedup.history={folder / name}-history"
        settings = (f"filters.spam.max_spam={strict}", history, "dedup.history_day=2018-03-10")
        command = [*base, "--output", str(folder / name)]
        assert cli.main([*command, *(part for s in settings for part in ("--set", s))]) == 0
        assert cli.main(["verify", str(folder / name)]) == 0
    return folder


def contents(path: Path) -> bytes:
    """Returns all that a file holds, tables without their compression."""
    raw = path.read_bytes()
    if path.suffix == ".parquet":
        return raw + repr(pq.read_table(path).to_pylist()).encode()
    if raw.startswith(b"ARROW1"):
        return raw + repr(pa.ipc.open_file(path).read_all().to_pylist()).encode()
    return raw


def written(folder: Path) -> Iterator[Path]:
    """Yields all files that the runs wrote."""
    for name in ("out", "strict"):
        for part in (folder / name, folder / f"{name}-history"):
            yield from (path for path in sorted(part.rglob("*")) if path.is_file())


def test_no_value_is_in_any_file(folder: Path) -> None:
    """No file of an output, its work and its history holds a planted value, however it is compressed."""
    paths = list(written(folder))
    assert len(paths) > 60
    holding = {
        (str(path.relative_to(folder)), kind)
        for path in paths
        for data in [contents(path)]
        for kind, value in PLANTED.items()
        if value.encode() in data
    }
    assert holding == set()


def test_samples_of_screens_are_among_what_is_read(folder: Path) -> None:
    """The texts of the screen's sample are in the work of clean, with placeholders."""
    paths = list((folder / "strict" / "work").rglob("*.screened.arrow"))
    texts = [t for p in paths for t in pa.ipc.open_file(p).read_all()["text"].to_pylist()]
    assert texts
    assert all("followers" not in t or "\ufdd3" in t for t in texts)


def test_no_value_is_in_the_tokens(folder: Path) -> None:
    """Decoded, sequences have a special token in the place of each value, and the rest of links."""
    tokenizer = Tokenizer.from_file(str(folder / "out" / "tokenizer" / "tokenizer.json"))
    paths = [*(folder / "out" / "tokens").glob("*"), folder / "out" / "leftover" / "tokens.arrow"]
    rows = [r for p in paths if p.exists() for r in pa.ipc.open_file(p).read_all()["tokens"]]
    text = "".join(tokenizer.decode(row.as_py(), skip_special_tokens=False) for row in rows)
    assert [kind for kind, value in PLANTED.items() if value in text] == []
    for kind in VALUES:
        token = "account" if kind in ("card", "iban") else kind
        assert f"wrote <|{token}|> on" in text
    assert "https://example.com/a?token=<|url_secret|>&page=2 today" in text
    assert "<|image|>A card: <|email|>" in text


def test_no_value_is_shown(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Commands that show an output show no value."""
    output = str(folder / "out")
    for command, *more in (["verify"], ["report", "--json"], ["inspect", "1"], ["report"]):
        assert cli.main([command, output, *more]) == 0
    shown = capfd.readouterr()
    assert [k for k, value in PLANTED.items() if value in shown.out + shown.err] == []


def test_a_planted_value_would_be_seen(tmp_path: Path) -> None:
    """Values in compressed tables are found."""
    table = pa.table({"text": [PLANTED["email"] * 9]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pa.ipc.new_file(
        tmp_path / "a.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
    ) as file:
        file.write_table(table)
    assert all(PLANTED["email"].encode() in contents(p) for p in tmp_path.iterdir())
