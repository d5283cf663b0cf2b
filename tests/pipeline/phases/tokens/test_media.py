"""Media through whole runs: their placeholders in the tokens, and their places in the provenance."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import sluice
from sluice.pipeline import cli
from sluice.pipeline.phases.tokens.media import media_of_pieces
from sluice.schemas.errors import RecipeError
from sluice.schemas.placeholders import IMAGE, VIDEO
from sluice.schemas.post import MEDIA
from sluice.tokenizer.packing.documents import Joined
from sluice.tokenizer.packing.plan import plan
from tests.pipeline.runs import Job

RECIPE = """
name = "media"
[media]
placeholders = true
alt_text = true
[training]
sequence_length = 32
global_batch_sequences = 1
data_parallel_ranks = 1
target_shard_bytes = 65536
"""


def photo(number: int, *, kind: str = "photo", url: str = "https://t.co/p") -> dict[str, Any]:
    """Returns an invented medium of X's API v1.1."""
    return {"id_str": f"{number}", "type": kind, "url": url, "media_url_https": f"m/{number}"}


def words(number: int) -> str:
    """Returns a text that is like no other."""
    return " ".join(
        f"{number}w{hashlib.sha256(f'{number}/{k}'.encode()).hexdigest()[:6]}" for k in range(4)
    )


def tweets() -> list[dict[str, Any]]:
    """Returns invented tweets, of which most have media, in their text, twice, or with a description."""
    about = {"user": {"id_str": "7"}, "created_at": "Sat Mar 10 14:03:15 +0000 2018"}
    found = []
    for number in range(40):
        media = [photo(number)] if number % 4 else []
        if number % 5 == 0:
            media.append(photo(100 + number, kind="video"))
        if media and number % 3 == 0:
            media[0]["ext_alt_text"] = f"a picture of number {number}"
        text = f"{words(number)} https://t.co/p"
        tweet = {"id_str": f"{number}", "full_text": text, "extended_entities": {"media": media}}
        found.append({**about, **tweet})
    return found


def run(job: Job, folder: Path, *settings: str) -> Path:
    """Runs the recipe on the tweets; returns the output."""
    (folder / "tweets.jsonl").write_text("".join(json.dumps(t) + "\n" for t in tweets()))
    (folder / "media.toml").write_text(RECIPE)
    command = ["run", str(folder / "media.toml"), "--input", str(folder / "tweets.jsonl")]
    command += ["--output", str(folder / "out")]
    for setting in settings:
        command += ["--set", setting]
    assert cli.main(command) == 0
    assert cli.main(["verify", str(folder / "out")]) == 0
    return folder / "out"


def texts_and_media(output: Path) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Returns of each post its text as it decodes, and (special token, key) of its media in order."""
    tokenizer = Tokenizer.from_file(str(output / "tokenizer" / "tokenizer.json"))
    pairs = [(p, output / "provenance" / f"{p.stem}.parquet") for p in output.glob("tokens/*")]
    pairs.append((output / "leftover/tokens.arrow", output / "leftover/provenance.parquet"))
    ids: dict[str, list[int]] = {}
    media: dict[str, list[tuple[str, str]]] = {}
    for tokens, provenance in pairs:
        if not tokens.exists():
            continue
        sequences = pa.ipc.open_file(tokens).read_all()["tokens"].to_pylist()
        for row in (
            pq.read_table(provenance)
            .sort_by([("post_id", "ascending"), ("piece", "ascending")])
            .to_pylist()
        ):
            sequence = sequences[row["sequence"]]
            ids.setdefault(row["post_id"], []).extend(
                sequence[row["offset"] : row["offset"] + row["length"]]
            )
            for medium in row["media"] or []:
                at = medium["position"]
                assert row["offset"] <= at < row["offset"] + row["length"]
                token = tokenizer.id_to_token(sequence[at])
                media.setdefault(row["post_id"], []).append((token, medium["key"]))
    return {
        name: (tokenizer.decode(tokens, skip_special_tokens=False), media.get(name, []))
        for name, tokens in ids.items()
    }


@pytest.mark.parametrize("trained", [False, True])
def test_media_through_a_run(tmp_path: Path, job: Job, trained: bool) -> None:
    """Each medium has its token where it stood, and the row of its piece says which one it is."""
    frozen = () if trained else (f"vocabulary.tokenizer={job.tokenizer}",)
    output = run(job, tmp_path, *frozen)
    found = texts_and_media(output)
    assert found["5"] == (f"{words(5)}{IMAGE}{VIDEO}<|eod|>", [(IMAGE, "m/5"), (VIDEO, "m/105")])
    assert found["1"] == (f"{words(1)}{IMAGE}<|eod|>", [(IMAGE, "m/1")])
    assert found["4"] == (f"{words(4)} https://t.co/p<|eod|>", [])
    text = f"{words(15)}{IMAGE}a picture of number 15\n{VIDEO}<|eod|>"
    assert found["15"] == (text, [(IMAGE, "m/15"), (VIDEO, "m/115")])
    assert len(found) == 40
    columns = sluice.open_output(str(output)).provenance
    assert columns.schema.names[-1] == "media"


def test_a_tokenizer_without_the_tokens_is_refused(tmp_path: Path, job: Job) -> None:
    """The error names the key and the tokens that are missing."""
    spec = job.tokenizer.read_text().replace("<|video|>", "<|cinema|>")
    (tmp_path / "tokenizer.json").write_text(spec)
    (tmp_path / "tweets.jsonl").write_text("".join(json.dumps(t) + "\n" for t in tweets()))
    (tmp_path / "media.toml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=r"media.placeholders: needs the special tokens .*video"):
        sluice.run(
            str(tmp_path / "media.toml"),
            inputs=[str(tmp_path / "tweets.jsonl")],
            output=str(tmp_path / "out"),
            overrides={"vocabulary.tokenizer": str(tmp_path / "tokenizer.json")},
        )


def test_alternative_texts_need_placeholders() -> None:
    """A key without effect is refused."""
    with pytest.raises(RecipeError, match="alt_text has no effect without placeholders"):
        sluice.Recipe.load("gopher", overrides={"media.alt_text": True})


_POSTS = st.lists(
    st.lists(st.sampled_from([1, 2, 3, 50, 51]), min_size=1, max_size=12), min_size=1, max_size=8
)


@settings(max_examples=60)
@given(posts=_POSTS, long_documents=st.sampled_from(["split", "truncate"]), unknown=st.booleans())
def test_places_as_one_by_one(posts: list[list[int]], long_documents: Any, unknown: bool) -> None:
    """However posts are cut, each medium's position holds its token, once; a cut off one has none."""
    lengths_N = np.array([len(post) for post in posts], np.int64)
    tokens_T = np.array([t for post in posts for t in post], np.int32)
    joined = Joined(tokens_T, np.cumsum(lengths_N) - lengths_N, lengths_N, 0, 0, 0)
    begins_N = np.ones(len(posts), np.bool_)
    planned = plan(
        lengths_N,
        begins_N=begins_N,
        sequence_length=5,
        packing="best_fit",
        long_documents=long_documents,
    )
    kinds = {50: "photo", 51: "video"}
    media = [
        [{"kind": kinds[t], "key": f"{n}/{at}"} for at, t in enumerate(post) if t in kinds]
        + ([{"kind": "hologram", "key": f"{n}/odd"}] if unknown else [])
        for n, post in enumerate(posts)
    ]
    found = media_of_pieces(planned, pa.array(media, MEDIA), joined, (50, 51, 52)).to_pylist()
    seen: dict[str, int | None] = {}
    for piece, here in enumerate(found):
        for medium in here or []:
            assert medium["key"] not in seen
            seen[medium["key"]] = medium["position"]
            if medium["position"] is None:
                continue
            n, at = map(int, medium["key"].split("/"))
            assert planned.post_P[piece] == n
            assert medium["position"] - planned.offset_P[piece] + planned.start_P[piece] == at
            assert 0 <= medium["position"] - planned.offset_P[piece] < planned.length_P[piece]
    lost = {key for key, position in seen.items() if position is None and not key.endswith("odd")}
    assert long_documents == "truncate" or not lost
    with_pieces = set(planned.post_P.tolist())
    assert set(seen) == {m["key"] for n, ms in enumerate(media) for m in ms if n in with_pieces}
