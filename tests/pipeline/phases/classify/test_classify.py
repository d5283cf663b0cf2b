"""The classify phase: transformers over what is left, the cascade, the ledger, faults."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from sluice.filters.transformers.load import Transformer, load, locate
from sluice.pipeline import cli
from sluice.pipeline.phases.classify import inference
from sluice.pipeline.units.manifest import Unit
from tests.docs.pages import quoted
from tests.docs.pages import table as documented_table
from tests.docs.report_keys import leaves
from tests.filters.transformers.tiny_checkpoints import Tiny, detoxify_checkpoint, hub_folder
from tests.pipeline.runs import Job, contract_bytes, linked_output, reject_rows

MODEL = "tiny"
CUT = 0.45
FOLDERS = ("tokens", "provenance", "leftover", "rejects", "scores")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return detoxify_checkpoint(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "other"
    return hub_folder(folder, "bert", labels=("good", "bad")).base


def recipe(job: Job, folder: Path, *tables: str, name: str = "trial.toml") -> Path:
    """Returns the trial recipe with transformers, a frozen tokenizer and the toxicity filter."""
    text = job.recipe.read_text().replace(
        "[training]", '[[filters]]\nfilter = "toxicity"\n[training]', 1
    )
    frozen = f'[vocabulary]\ntokenizer = "{job.tokenizer}"\n'
    path = folder / name
    path.write_text(text + frozen + "\n".join(tables))
    return path


def table(tiny: Tiny, **settings: Any) -> str:
    about = {"name": MODEL, "model": "detoxify/original", "checkpoint": str(tiny.checkpoint)}
    values = {k: v for k, v in (about | settings).items() if v is not None and k != "max_scores"}
    lines = [f"{k} = {json.dumps(v)}" for k, v in values.items()]
    lines += [f"max_scores.{k} = {v}" for k, v in settings.get("max_scores", {}).items()]
    return "\n".join(["[[transformers]]", *lines])


def run(job: Job, path: Path, output: Path, *more: str) -> int:
    files = str(job.sample / "posts-*.jsonl.gz")
    return cli.main(["run", str(path), "--input", files, "--output", str(output), *more])


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "report" / "report.json").read_text())


def scores(output: Path, model: str = MODEL) -> pa.Table:
    return ds.dataset(sorted((output / "scores").glob(f"{model}-*"))).to_table()


def kept_ids(output: Path) -> set[str]:
    ids: set[str] = set()
    for folder in ("provenance", "leftover"):
        for path in (output / folder).glob("*.parquet"):
            ids |= set(pq.read_table(path)["post_id"].to_pylist())
    return ids


@pytest.fixture(scope="module")
def plain(job: Job, tiny: Tiny, without: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a transformer over all survivors."""
    folder = tmp_path_factory.mktemp("plain")
    path = recipe(job, folder, table(tiny, max_scores={"toxicity": CUT}))
    assert run(job, path, linked_output(without, folder / "out")) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def without(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run without one."""
    folder = tmp_path_factory.mktemp("without")
    assert run(job, recipe(job, folder), folder / "out") == 0
    return folder / "out"


def test_what_is_over_the_threshold_goes(plain: Path, without: Path) -> None:
    """Every survivor is scored; those above the threshold are rejects that say so, the others are kept."""
    found = scores(plain)
    over = set(found.filter(ds.field(f"{MODEL}.toxicity") > CUT)["post_id"].to_pylist())
    assert set(found["post_id"].to_pylist()) == kept_ids(without)
    assert 0 < len(over) < found.num_rows
    assert kept_ids(plain) == kept_ids(without) - over
    rows = [r for r in reject_rows(plain) if r["phase"] == "classify"]
    assert {r["post_id"] for r in rows} == over
    assert {(r["kind"], r["stage"], r["reason"]) for r in rows} == {
        ("policy", MODEL, f"{MODEL}.toxicity")
    }
    by_id = dict(
        zip(*(found[c].to_pylist() for c in ("post_id", f"{MODEL}.toxicity")), strict=True)
    )
    assert all(r["score"] == by_id[r["post_id"]] > r["threshold"] for r in rows)
    books = report(plain)["posts"]
    assert books["rejected"][f"{MODEL}.toxicity"] == len(over)
    assert books["kept"] == report(without)["posts"]["kept"] - len(over)


def test_the_scores_are_the_models(plain: Path, tiny: Tiny) -> None:
    """The columns hold what the machine says of the texts themselves, to the score grid."""
    kept = ds.dataset(sorted(plain.glob("work/clean-*/clean/*.kept.arrow")), format="ipc")
    texts = dict(zip(*(kept.to_table()[c].to_pylist() for c in ("post_id", "text")), strict=True))
    found = scores(plain)
    spec = Transformer(model="detoxify/original", checkpoint=str(tiny.checkpoint))
    model = load(spec, locate(spec))
    alone = model.score(pa.array([texts[i] for i in found["post_id"].to_pylist()]))
    for place, label in enumerate(model.labels):
        column = found[f"{MODEL}.{label}"].to_numpy()
        assert np.abs(column - alone.scores_NL[:, place]).max() <= 1e-4
    assert all(found["decided"].to_pylist())


def test_the_manifest_pins_every_model_file(plain: Path, tiny: Tiny) -> None:
    """Weights, configuration and tokenizer of a transformer have their sha256 there, and no path."""
    models = json.loads((plain / "manifest.json").read_text())["models"]
    mine = {m["model"].split()[-1]: m["sha256"] for m in models if m["name"] == MODEL}
    files = [tiny.checkpoint, tiny.base / "config.json", tiny.base / "tokenizer.json"]
    assert {
        f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files
    }.items() <= mine.items()
    assert not any("/" in name for name in mine)
    assert {"language", "spam", "toxicity"} < {m["name"] for m in models}


def test_verify_and_inspect(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output is sound, and a post tells its scores, kept or not."""
    assert cli.main(["verify", str(plain)]) == 0
    rejected = next(r for r in reject_rows(plain) if r["phase"] == "classify")
    capsys.readouterr()
    for post_id, word in ((rejected["post_id"], "policy"), (sorted(kept_ids(plain))[0], "kept")):
        assert cli.main(["inspect", str(plain), post_id]) == 0
        told = capsys.readouterr().out
        assert any(line.startswith(word) for line in told.splitlines())
        assert f"score  {MODEL}.toxicity" in told
        assert "score  spam" in told


def test_verify_sees_a_missing_score(plain: Path, tmp_path: Path) -> None:
    """A scores file that lost its rows is not what the manifest says."""
    from sluice.pipeline.outputs.verify import verify

    out = linked_output(plain, tmp_path / "out")
    path = next((out / "scores").glob(f"{MODEL}-*"))
    rows = pq.read_table(path)
    path.unlink()
    pq.write_table(rows.slice(1), path)
    problems = verify(str(out), say=lambda line: None)
    assert any("SHA-256" in p or "bytes" in p for p in problems)
    assert any(p.startswith(f"scores/{MODEL}-*") for p in problems)


CASCADE = {"screen": "toxicity", "min_screen": 0.3, "sample": 0.0625}


@pytest.fixture(scope="module")
def cascade(job: Job, tiny: Tiny, without: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    path = recipe(job, folder, table(tiny, **CASCADE, max_scores={"toxicity": CUT}))
    assert run(job, path, linked_output(without, folder / "out")) == 0
    return folder / "out"


def screen_scores(output: Path) -> dict[str, float]:
    kept = ds.dataset(sorted(output.glob("work/clean-*/clean/*.kept.arrow")), format="ipc")
    columns = ("post_id", "score.toxicity")
    rows = kept.to_table(columns=list(columns))
    return dict(zip(*(rows[c].to_pylist() for c in columns), strict=True))


def test_only_the_band_is_decided(cascade: Path, plain: Path, without: Path) -> None:
    """In the band the transformer's word counts; below it a post stays, whatever the sample says."""
    screen, found = screen_scores(cascade), scores(cascade)
    band = {i for i in kept_ids(without) if screen[i] >= np.float32(0.3)}
    decided = set(found.filter(ds.field("decided"))["post_id"].to_pylist())
    assert decided == band != kept_ids(without)
    over = set(found.filter(ds.field(f"{MODEL}.toxicity") > CUT)["post_id"].to_pylist())
    assert kept_ids(cascade) == kept_ids(without) - (over & band)
    assert over - band, "the sample must hold a post that the transformer would reject"
    about = report(cascade)["transformers"][0]
    assert (about["decided"], about["posts"]) == (len(band), len(kept_ids(without)))
    assert about["saved"] == round(1 - len(band) / len(kept_ids(without)), 6)
    assert about["band"] == {"screen": "toxicity", "low": 0.3, "high": pytest.approx(0.86, abs=0.2)}


def test_the_sample_measures_agreement(cascade: Path) -> None:
    """Sampled posts are counted once, by where the screen's score lies and what the transformer says."""
    about, found = report(cascade)["transformers"][0]["agreement"], scores(cascade)
    sample_only = found.filter(~ds.field("decided"))
    rejected = sample_only.filter(ds.field(f"{MODEL}.toxicity") > CUT).num_rows
    assert about["low"] == {"kept": sample_only.num_rows - rejected, "rejected": rejected}
    zones = [about[z] for z in ("low", "band", "high")]
    assert about["sampled"] == sum(sum(z.values()) for z in zones)
    agreed = about["low"]["kept"] + sum(about["band"].values()) + about["high"]["rejected"]
    assert about["agreed"] == round(agreed / about["sampled"], 6)


def test_a_budget_is_kept(job: Job, tiny: Tiny, without: Path, tmp_path: Path) -> None:
    """At most the share of the survivors goes to the transformer, and the highest screen scores first."""
    bound = {"toxicity": CUT}
    settings = {"screen": "toxicity", "max_share": 0.1, "sample": 0.0, "max_scores": bound}
    path = recipe(job, tmp_path, table(tiny, **settings))
    assert run(job, path, linked_output(without, tmp_path / "out")) == 0
    about = report(tmp_path / "out")["transformers"][0]
    assert 0 < about["decided"] <= 0.1 * about["posts"]
    screen, found = screen_scores(tmp_path / "out"), scores(tmp_path / "out")
    seen = set(found["post_id"].to_pylist())
    low = about["band"]["low"]
    assert min(screen[i] for i in seen) >= np.float32(low) > 0
    assert max(screen[i] for i in kept_ids(tmp_path / "out") - seen) < low


def test_two_transformers_in_turn(
    job: Job, tiny: Tiny, other: Path, without: Path, tmp_path: Path
) -> None:
    """The second sees what the first left; both have their rejects and scores."""
    second = f'[[transformers]]\nmodel = "{other}"\nmin_scores.good = 0.5'
    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": CUT}), second)
    assert run(job, path, linked_output(without, tmp_path / "out")) == 0
    assert cli.main(["verify", str(tmp_path / "out")]) == 0
    first, then = report(tmp_path / "out")["transformers"]
    assert then["posts"] == first["posts"] - first["rejected"]
    found = scores(tmp_path / "out", "other")
    under = set(found.filter(ds.field("other.good") < 0.5)["post_id"].to_pylist())
    assert 0 < then["rejected"] == len(under)
    assert not kept_ids(tmp_path / "out") & under


def test_units_and_workers_do_not_show(
    job: Job, tiny: Tiny, plain: Path, without: Path, tmp_path: Path
) -> None:
    """Beam with one worker writes the bytes of this process."""
    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": CUT}))
    out = linked_output(without, tmp_path / "out")
    assert run(job, path, out, "--", "--direct_num_workers=1") == 0
    assert contract_bytes(tmp_path / "out", *FOLDERS) == contract_bytes(plain, *FOLDERS)


def test_a_threshold_reruns_what_depends_on_it(
    job: Job, tiny: Tiny, plain: Path, tmp_path: Path
) -> None:
    """Another threshold of the transformer leaves clean and dedup alone."""
    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": 0.6}))
    assert run(job, path, linked_output(plain, tmp_path / "out")) == 0
    reused = {p["name"] for p in report(tmp_path / "out")["phases"] if p["units_reused"] == -1}
    assert reused == {"clean", "dedup", "vocabulary"}


def test_a_post_that_breaks_the_model_is_a_dead_letter(
    job: Job,
    tiny: Tiny,
    plain: Path,
    without: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One poison post is an error of its own; its neighbours are scored as before."""
    from sluice.filters.transformers.load import TransformerScorer

    poison = sorted(kept_ids(plain))[7]
    kept = ds.dataset(sorted(plain.glob("work/clean-*/clean/*.kept.arrow")), format="ipc")
    text = kept.to_table(filter=ds.field("post_id") == poison)["text"].to_pylist()[0]
    score: Callable[..., Any] = TransformerScorer.score

    def fails(self: TransformerScorer, texts: pa.StringArray) -> Any:
        if text in texts.to_pylist():
            raise ValueError("poison")
        return score(self, texts)

    monkeypatch.setattr(TransformerScorer, "score", fails)
    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": CUT}))
    out = linked_output(without, tmp_path / "out")
    assert run(job, path, out, "--set", "limits.max_error_ratio=0.01") == 0
    assert cli.main(["verify", str(tmp_path / "out")]) == 0
    rows = [r for r in reject_rows(tmp_path / "out") if r["kind"] == "error"]
    assert [(r["post_id"], r["phase"], r["stage"], r["reason"]) for r in rows] == [
        (poison, "classify", MODEL, "ValueError")
    ]
    assert kept_ids(tmp_path / "out") == kept_ids(plain) - {poison}
    assert report(tmp_path / "out")["posts"]["errors_by_stage"] == {MODEL: 1}


def test_too_many_failures_stop_the_run(
    job: Job,
    tiny: Tiny,
    without: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A model that fails on every post is a fault of the code: the run stops and says so."""
    from sluice.filters.transformers.load import TransformerScorer

    score: Callable[..., Any] = TransformerScorer.score

    def fails(self: TransformerScorer, texts: pa.StringArray) -> Any:
        if len(texts) and len(texts) != 3:  # the three are the probes of `load`
            raise ValueError("always")
        return score(self, texts)

    monkeypatch.setattr(TransformerScorer, "score", fails)
    bound = {"toxicity": CUT}
    settings = {"screen": "toxicity", "max_share": 0.02, "sample": 0.0, "max_scores": bound}
    path = recipe(job, tmp_path, table(tiny, **settings))
    assert run(job, path, linked_output(without, tmp_path / "out")) != 0
    assert "max_error_ratio" in capsys.readouterr().err
    assert not (tmp_path / "out" / "COMPLETED").exists()


def test_score_has_the_columns(job: Job, tiny: Tiny, tmp_path: Path) -> None:
    """`sluice score` gives every label of every readable post, and its threshold's share."""
    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": CUT}))
    files = str(job.sample / "posts-00*.jsonl.gz")
    assert cli.main(["score", str(path), "--input", files, "--output", str(tmp_path / "out")]) == 0
    found = ds.dataset(tmp_path / "out" / "scores").to_table()
    assert f"{MODEL}.insult" in found.column_names
    assert found[f"{MODEL}.toxicity"].null_count == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_scores": {"toxcity": 0.5}}, "no such label; did you mean 'toxicity'"),
        ({"checkpoint": "gone.ckpt"}, "gone.ckpt: cannot read the model"),
        ({"sha256": "0" * 64}, "sha256 must be 0000"),
        ({"screen": "spma", "min_screen": 0.1, "max_scores": {"toxicity": 0.5}}, "'spam'"),
        ({"screen": "spam", "max_scores": {"toxicity": 0.5}}, "needs min_screen, max_share"),
        ({"max_share": 0.5}, "need a screen"),
        ({"name": "a/b"}, "must be letters, digits"),
        ({"max_score": 1}, "unknown key"),
        ({"sha256": "abc"}, "must be 64 digits"),
        ({"model": "detoxify/orginal", "checkpoint": None}, "'detoxify/original'"),
    ],
)
def test_errors_come_before_any_post_is_read(
    job: Job,
    tiny: Tiny,
    tmp_path: Path,
    settings: dict[str, Any],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A recipe that cannot be run says what is wrong, and nothing is written."""
    path = recipe(job, tmp_path, table(tiny, **settings))
    assert run(job, path, tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_failed_run_goes_on(
    job: Job,
    tiny: Tiny,
    plain: Path,
    without: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run that dies in one unit's inference keeps the others, and ends with the same bytes."""
    score_unit = inference.score_unit

    def breaks(stage: Any, model: Any, unit: Unit) -> Any:
        if unit.index == 2:
            raise OSError(5, "the disk is gone")
        return score_unit(stage, model, unit)

    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": CUT}))
    linked_output(without, tmp_path / "out")
    with monkeypatch.context() as broken:
        broken.setattr(inference, "score_unit", breaks)
        assert run(job, path, tmp_path / "out") != 0
    told = capsys.readouterr().err
    assert f"classify_{MODEL}, unit-00002" in told
    done = sorted((tmp_path / "out").glob(f"work/classify-*/{MODEL}/unit-*.json"))
    before = {p: p.stat().st_mtime_ns for p in done}
    assert 0 < len(done) < 4
    assert run(job, path, tmp_path / "out") == 0
    assert {p: p.stat().st_mtime_ns for p in done} == before
    assert contract_bytes(tmp_path / "out", *FOLDERS) == contract_bytes(plain, *FOLDERS)


@pytest.mark.slow
def test_a_shared_model_gives_the_same_bytes(
    job: Job,
    tiny: Tiny,
    plain: Path,
    without: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where workers share one model in a process of its own, as on a GPU, the output is the same."""
    from sluice.pipeline.engine.beam.inference import TransformerHandler

    monkeypatch.setattr(TransformerHandler, "share_model_across_processes", lambda self: True)
    path = recipe(job, tmp_path, table(tiny, max_scores={"toxicity": CUT}))
    out = linked_output(without, tmp_path / "out")
    assert run(job, path, out, "--engine", "beam") == 0
    assert contract_bytes(out, *FOLDERS) == contract_bytes(plain, *FOLDERS)


def test_the_report_keys_are_documented(cascade: Path) -> None:
    """The page on transformers has every key of the report's part about them, and no other."""
    documented = {key for row in documented_table("transformers report") for key in quoted(row[0])}
    assert set(leaves(report(cascade)["transformers"])) == {f"[].{k}" for k in documented}
