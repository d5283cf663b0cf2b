"""Where a transformer's files come from, what is refused, and that every message says what to do."""

import hashlib
import http.server
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub
import msgspec
import pyarrow as pa
import pytest
import torch

import sluice.filters.transformers.files
from sluice.filters.transformers.load import Transformer, load, locate
from sluice.schemas.errors import InputError
from tests.filters.transformers.tiny_checkpoints import (
    Tiny,
    detoxify_checkpoint,
    hub_folder,
    tokenizer,
)

LABELS = ("bad", "good", "neither")
CLOSED = "http://127.0.0.1:9"


class Poison:
    """Makes a file when it is unpickled, which must not happen."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A detoxify checkpoint of a tiny BERT."""
    return detoxify_checkpoint(tmp_path, "bert")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A classifier's folder."""
    hub_folder(tmp_path / "model", "bert", labels=LABELS)
    return tmp_path / "model"


def of(tiny: Tiny, **spec: Any) -> Transformer:
    return Transformer(
        model="detoxify/mine", checkpoint=str(tiny.checkpoint), base=str(tiny.base), **spec
    )


def change_header(tiny: Tiny, **args: Any) -> None:
    """Writes the checkpoint again with other `arch.args`."""
    entries = torch.load(tiny.checkpoint)
    entries["config"]["arch"]["args"] |= args
    torch.save(entries, tiny.checkpoint)


def scores_of(spec: Transformer) -> list[list[float]]:
    texts = pa.array(["You are the kind!", "free words"], pa.string())
    return load(spec, locate(spec), threads=1).score(texts).scores_NL.tolist()


# What a recipe may say


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "detoxify/orignal"}, "did you mean 'detoxify/original'"),
        (
            {"model": "a/b", "checkpoint": "c"},
            "checkpoint is for models that begin with 'detoxify/'",
        ),
        ({"model": "a/b", "base": "c"}, "base is for models that begin with 'detoxify/'"),
        ({"model": "a/b", "sha256": "ABC"}, "sha256 must be 64 digits of lower-case hexadecimal"),
        ({"model": "a/b", "max_tokens": 7}, "max_tokens must be at least 8"),
        ({"model": "a/b", "batch_tokens": 511}, "batch_tokens must be at least 512"),
        ({"model": "/"}, "no last part"),
        ({"model": "a/b", "dtype": "float16"}, "Invalid enum value 'float16'"),
        ({"model": "a/b", "nonsense": 1}, "unknown field `nonsense`"),
    ],
)
def test_a_wrong_key_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(keys, Transformer)


def test_columns_are_named_by_the_last_part_or_by_name() -> None:
    assert Transformer(model="detoxify/original").prefix == "original"
    assert Transformer(model="org/some-model").prefix == "some-model"
    assert Transformer(model="/models/mine/").prefix == "mine"
    assert Transformer(model="org/some-model", name="short").prefix == "short"


# Pickles


def test_a_poisoned_checkpoint_runs_nothing_unless_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without trust the file is refused and its code does not run; trust means that it runs."""
    mark = tmp_path / "ran"
    tiny = detoxify_checkpoint(tmp_path, "bert", callbacks=Poison(mark))
    with pytest.raises(InputError, match=r"bert\.ckpt.*posix\.mkdir.*trust = true"):
        locate(of(tiny))
    assert not mark.exists()
    found = locate(of(tiny, trust=True))
    assert mark.exists()
    mark.rmdir()
    load(of(tiny, trust=True), found)
    mark.rmdir()
    with pytest.raises(InputError, match="trust = true"):
        load(of(tiny), found)
    assert not mark.exists()


def test_a_poisoned_pytorch_model_runs_nothing_unless_it_is_trusted(
    folder: Path, tmp_path: Path
) -> None:
    """The same of the weights of a Hugging Face folder."""
    mark = tmp_path / "ran"
    plain = scores_of(Transformer(model=str(folder)))
    weights = folder / "pytorch_model.bin"
    state = state_of(folder / "model.safetensors")
    torch.save({**state, "extra": Poison(mark)}, weights)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*trust = true"):
        locate(Transformer(model=str(folder)))
    assert not mark.exists()
    torch.save(state, weights)
    assert scores_of(Transformer(model=str(folder))) == plain


def state_of(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(path))


def test_safetensors_come_before_pickles(folder: Path, tmp_path: Path) -> None:
    """Where a folder has both, the pickle is not opened."""
    mark = tmp_path / "ran"
    torch.save({"extra": Poison(mark)}, folder / "pytorch_model.bin")
    found = locate(Transformer(model=str(folder)))
    assert [file.name for file in found.weights] == ["model.safetensors"]
    assert not mark.exists()


# Pins


def test_another_sha256_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    """The pin is compared before a trusted pickle could run."""
    mark = tmp_path / "ran"
    tiny = detoxify_checkpoint(tmp_path, "bert", callbacks=Poison(mark))
    with pytest.raises(
        InputError, match=r"bert\.ckpt: sha256 must be 0{64}, as the recipe says, is"
    ):
        locate(of(tiny, trust=True, sha256="0" * 64))
    assert not mark.exists()


def test_the_right_sha256_is_taken(tiny: Tiny, folder: Path) -> None:
    for spec, path in (
        (of(tiny), tiny.checkpoint),
        (Transformer(model=str(folder)), folder / "model.safetensors"),
    ):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found = locate(msgspec.structs.replace(spec, sha256=digest))
        assert found.weights[0].sha256 == digest


def test_every_file_of_the_model_is_identified(tiny: Tiny) -> None:
    """Weights, configuration and tokenizer, each with the sha256 of its bytes."""
    found = {file.name: file.sha256 for file in locate(of(tiny)).files}
    assert {"bert.ckpt", "config.json", "tokenizer.json", "tokenizer_config.json"} <= found.keys()
    for name, digest in found.items():
        path = tiny.checkpoint if name == "bert.ckpt" else tiny.base / name
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_that_changes_after_it_was_located_is_refused(tiny: Tiny) -> None:
    found = locate(of(tiny))
    (tiny.base / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config\.json: was changed since the run began"):
        load(of(tiny), found)


def test_shards_are_read_and_identified(folder: Path) -> None:
    """Weights in several files give the same scores; a pin of one file is refused."""
    plain = scores_of(Transformer(model=str(folder)))
    sharded = folder.parent / "sharded"
    shutil.copytree(folder, sharded)
    (sharded / "model.safetensors").unlink()
    state = state_of(folder / "model.safetensors")
    from safetensors.torch import save_file

    halves = [dict(list(state.items())[k::2]) for k in range(2)]
    names = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    for half, name in zip(halves, names, strict=True):
        save_file(half, sharded / name)
    places = {key: name for half, name in zip(halves, names, strict=True) for key in half}
    index = sharded / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    spec = Transformer(model=str(sharded))
    assert [file.name for file in locate(spec).weights] == [index.name, *names]
    assert scores_of(spec) == plain
    with pytest.raises(InputError, match="weights are in several"):
        locate(msgspec.structs.replace(spec, sha256="0" * 64))
    index.write_text("[]")
    with pytest.raises(InputError, match=r"index\.json: is no index of weights"):
        locate(spec)


# Bad files


@pytest.mark.parametrize(
    "broken", [b"", b"not a checkpoint" * 99, None], ids=["empty", "text", "cut"]
)
def test_a_damaged_checkpoint_is_named(tiny: Tiny, broken: bytes | None) -> None:
    whole = tiny.checkpoint.read_bytes()
    tiny.checkpoint.write_bytes(whole[: len(whole) // 2] if broken is None else broken)
    for trust in (False, True):
        with pytest.raises(InputError, match=r"bert\.ckpt: .*(damaged|cannot be read)"):
            locate(of(tiny, trust=trust))


def test_a_damaged_safetensors_file_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    spec = Transformer(model=str(folder))
    with pytest.raises(InputError, match=r"model\.safetensors: "):
        load(spec, locate(spec))


def test_a_missing_file_is_named(tiny: Tiny, folder: Path) -> None:
    """The checkpoint, the base's configuration, the tokenizer, the weights."""
    spec = of(tiny)
    with pytest.raises(InputError, match="nowhere: cannot read the model: No such file"):
        locate(msgspec.structs.replace(spec, checkpoint="nowhere"))
    with pytest.raises(InputError, match=r"the folder has no config\.json"):
        locate(msgspec.structs.replace(spec, base="nowhere"))
    (tiny.base / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"bert-base: the folder has no tokenizer"):
        locate(spec)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model: the folder has no weights \(model\.safetensors"):
        locate(Transformer(model=str(folder)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([1], "must have `config` and `state_dict`"),
        ({"state_dict": {}}, "must have `config` and `state_dict`"),
        ({"config": {}, "state_dict": {}}, "config: Object missing required field `arch`"),
    ],
)
def test_a_checkpoint_of_something_else_is_named(tiny: Tiny, entries: Any, message: str) -> None:
    torch.save(entries, tiny.checkpoint)
    with pytest.raises(InputError, match=message):
        locate(of(tiny))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"model_name": "Popen"}, "has no PreTrainedModel 'Popen'"),
        ({"model_name": "BertTokenizer"}, "has no PreTrainedModel 'BertTokenizer'"),
        ({"tokenizer_name": "BertModel"}, "has no PreTrainedTokenizerBase 'BertModel'"),
        ({"num_classes": 3}, "names 6 classes, but has 3 outputs"),
        ({"num_classes": "six"}, r"Expected `int`, got `str` - at `\$\.arch\.args\.num_classes`"),
    ],
)
def test_a_header_that_cannot_be_is_refused(tiny: Tiny, args: dict[str, Any], message: str) -> None:
    change_header(tiny, **args)
    with pytest.raises(InputError, match=message):
        locate(of(tiny))


def test_weights_of_another_model_are_refused(tiny: Tiny, folder: Path) -> None:
    """No weight is left at random: what transformers would only warn of is an error."""
    entries = torch.load(tiny.checkpoint)
    del entries["state_dict"]["classifier.weight"]
    torch.save(entries, tiny.checkpoint)
    with pytest.raises(InputError, match=r"bert\.ckpt: .*lacks classifier\.weight"):
        load(of(tiny), locate(of(tiny)))
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 64'))
    spec = Transformer(model=str(folder))
    with pytest.raises(InputError, match=r"model\.safetensors: "):
        load(spec, locate(spec))


def test_two_outputs_of_one_label_are_refused(folder: Path) -> None:
    """They would be two columns of one name."""
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"neither"', '"good"'))
    with pytest.raises(InputError, match="two outputs have the label 'good'"):
        locate(Transformer(model=str(folder)))


def test_a_tokenizer_without_padding_is_refused(folder: Path) -> None:
    made = tokenizer("bert")
    made.pad_token = None
    made.save_pretrained(folder)
    with pytest.raises(InputError, match="no padding token: set pad_token"):
        locate(Transformer(model=str(folder)))


def test_code_in_a_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    """A configuration that wants its own Python files is refused, trusted or not."""
    mark = tmp_path / "ran"
    (folder / "mine.py").write_text(f"import os; os.mkdir({str(mark)!r})")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    for trust in (False, True):
        with pytest.raises(InputError, match="model: "):
            locate(Transformer(model=str(folder), trust=trust))
    assert not mark.exists()


def test_a_folder_does_not_choose_the_code_of_attention(folder: Path) -> None:
    """Transformers would fetch a kernel by the name that stands in config.json."""
    plain = scores_of(Transformer(model=str(folder)))
    config = json.loads((folder / "config.json").read_text())
    config |= {"_attn_implementation": "someone/kernel", "attn_implementation": "someone/kernel"}
    (folder / "config.json").write_text(json.dumps(config))
    assert scores_of(Transformer(model=str(folder))) == plain


# Libraries and devices


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named(
    library: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"pip install 'sluice\[transformers\]' .*{library}"):
        locate(of(tiny))


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_cuda_without_a_gpu_is_an_error(tiny: Tiny) -> None:
    with pytest.raises(InputError, match=r'device = "cuda", but torch .* sees no GPU'):
        load(of(tiny, device="cuda"), locate(of(tiny)))


# Caches and the network


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing of each request."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and where it is served by HTTP."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def hub_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def publish(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(sluice.filters.transformers.files.DETOXIFY_URLS, "original", url)


def test_a_published_checkpoint_is_downloaded_once_and_cached(
    tiny: Tiny, served: tuple[Path, str], hub_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into torch hub's cache, where detoxify finds it too; a second run needs no network."""
    folder, url = served
    name = f"original-{hashlib.sha256(tiny.checkpoint.read_bytes()).hexdigest()[:8]}.ckpt"
    shutil.copy(tiny.checkpoint, folder / name)
    publish(monkeypatch, url + name)
    spec = Transformer(model="detoxify/original", base=str(tiny.base))
    assert locate(spec).weights[0].path == str(hub_dir / name)
    publish(monkeypatch, f"{CLOSED}/{name}")
    assert locate(spec).weights[0].path == str(hub_dir / name)
    (hub_dir / name).write_bytes(b"damaged")
    with pytest.raises(InputError, match="is damaged: sha256 must begin with"):
        locate(spec)


def test_a_download_of_other_bytes_is_refused(
    served: tuple[Path, str], hub_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first digits of the sha256 are part of the published name."""
    folder, url = served
    (folder / "original-c1212f89.ckpt").write_bytes(b"something else")
    publish(monkeypatch, url + "original-c1212f89.ckpt")
    with pytest.raises(InputError, match="invalid hash value"):
        locate(Transformer(model="detoxify/original"))
    assert list(hub_dir.iterdir()) == []


def test_without_a_network_the_message_says_where_to_put_the_file(
    hub_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, f"{CLOSED}/original-c1212f89.ckpt")
    with pytest.raises(InputError) as caught:
        locate(Transformer(model="detoxify/original"))
    message = str(caught.value)
    assert f"{CLOSED}/original-c1212f89.ckpt" in message
    assert f"put it at {hub_dir / 'original-c1212f89.ckpt'}" in message
    assert "`checkpoint`" in message


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hugging Face hub, which cannot be reached."""
    cache = tmp_path / "hf"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def cached(cache: Path, name: str, folder: Path) -> None:
    """Puts a folder into the cache as the hub's own client lays it out."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)


def test_a_cached_repository_needs_no_network(folder: Path, no_hub: Path) -> None:
    cached(no_hub, "someone/tiny", folder)
    assert scores_of(Transformer(model="someone/tiny")) == scores_of(Transformer(model=str(folder)))


def test_the_base_of_a_checkpoint_is_found_in_the_cache(tiny: Tiny, no_hub: Path) -> None:
    """As detoxify's own checkpoints name it: bert-base-uncased."""
    change_header(tiny, model_type="tiny-uncased")
    cached(no_hub, "tiny-uncased", tiny.base)
    spec = Transformer(model="detoxify/mine", checkpoint=str(tiny.checkpoint))
    assert scores_of(spec) == scores_of(of(tiny))


@pytest.mark.parametrize("name", ["someone/absent", "no/such/name", "folder-not-there"])
def test_without_a_hub_the_message_says_how_to_bring_the_model(name: str, no_hub: Path) -> None:
    with pytest.raises(InputError) as caught:
        locate(Transformer(model=name))
    message = str(caught.value)
    assert message.startswith(f"{name}: is no folder, not in the cache ({no_hub})")
    assert f"hf download {name}" in message
