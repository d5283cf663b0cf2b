"""Where the files of a transformer are: on disk, in the caches of torch and Hugging Face, on the network."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from sluice.schemas.errors import InputError
from sluice.schemas.names import inside

_RELEASES = "https://github.com/unitaryai/detoxify/releases/download/"
DETOXIFY_URLS = {
    "original": _RELEASES + "v0.1-alpha/toxic_original-c1212f89.ckpt",
    "unbiased": _RELEASES + "v0.3-alpha/toxic_debiased-c7548aa0.ckpt",
    "multilingual": _RELEASES + "v0.4-alpha/multilingual_debiased-0b549669.ckpt",
    "original-small": _RELEASES + "v0.1.2/original-albert-0e1d6498.ckpt",
    "unbiased-small": _RELEASES + "v0.1.2/unbiased-albert-c8519128.ckpt",
}
"""What detoxify publishes (Apache-2.0). The digits at the end begin the sha256 of the file."""

CONFIG = "config.json"
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
TOKENIZER_FILES = (
    *("tokenizer.json", *_SETTINGS, "vocab.txt", "vocab.json", "merges.txt"),
    *("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"),
)
VOCABULARIES = sorted(set(TOKENIZER_FILES) - set(_SETTINGS))
SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
WEIGHTS = (SAFETENSORS, f"{SAFETENSORS}.index.json", PICKLE, f"{PICKLE}.index.json")
"""Files that hold the weights, or say which files do, the preferred one first."""


class IdentifiedFile(msgspec.Struct, frozen=True):
    """A file that scores depend on.

    Attributes:
        path: where it is.
        sha256: of its bytes, in hexadecimal.
    """

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name without folders."""
        return Path(self.path).name


def identify(path: Path) -> IdentifiedFile:
    """Returns a file with its sha256; raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return IdentifiedFile(str(path), hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as failure:
        raise InputError(f"{path}: cannot read the model: {failure.strerror}") from failure


def check_unchanged(files: Iterable[IdentifiedFile]) -> None:
    """Raises InputError where a file is not what it was when it was located."""
    for file in files:
        now = identify(Path(file.path))
        if now != file:
            raise InputError(
                f"{file.path}: was changed since the run began: sha256 must be {file.sha256}, "
                f"is {now.sha256}"
            )


def check_pin(file: IdentifiedFile, sha256: str | None) -> None:
    """Raises InputError where a file is not the one that the recipe pins."""
    if sha256 is not None and file.sha256 != sha256:
        raise InputError(
            f"{file.path}: sha256 must be {sha256}, as the recipe says, is {file.sha256}"
        )


class ModelFolder(NamedTuple):
    """A folder as Hugging Face's `save_pretrained` writes it.

    Attributes:
        path: of the folder.
        configs: configuration and tokenizer.
        weights: none for the base of a checkpoint.
    """

    path: Path
    configs: tuple[IdentifiedFile, ...]
    weights: tuple[IdentifiedFile, ...]


def read_folder(path: Path, *, weights: bool) -> ModelFolder:
    """Returns what a folder holds.

    Args:
        path: the folder.
        weights: whether it must have weights.

    Raises:
        InputError: it lacks the configuration, a tokenizer or the weights, or a file cannot be read.
    """
    missing = _missing(path, weights=weights)
    if missing:
        raise InputError(f"{path}: the folder has no {missing}")
    names = [CONFIG, *TOKENIZER_FILES]
    configs = tuple(identify(path / name) for name in names if (path / name).is_file())
    return ModelFolder(path, configs, tuple(map(identify, _weights(path))) if weights else ())


def _missing(path: Path, *, weights: bool) -> str | None:
    """Returns what a folder lacks, in words, or None."""
    if not (path / CONFIG).is_file():
        return CONFIG
    if not any((path / name).is_file() for name in VOCABULARIES):
        return f"tokenizer ({', '.join(VOCABULARIES)})"
    if weights and not any((path / name).is_file() for name in WEIGHTS):
        return f"weights ({', '.join(WEIGHTS)})"
    return None


def _weights(path: Path) -> list[Path]:
    """Returns the files of the weights, an index and its shards among them."""
    first = next(path / name for name in WEIGHTS if (path / name).is_file())
    if first.suffix != ".json":
        return [first]
    try:
        shards = sorted(map(inside, set(json.loads(first.read_bytes())["weight_map"].values())))
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(f"{first}: is no index of weights: weight_map: {fault}") from None
    return [first, *(path / shard for shard in shards)]


def detoxify_checkpoint(name: str) -> IdentifiedFile:
    """Returns a published checkpoint of detoxify, from the cache of torch hub or downloaded into it.

    Args:
        name: a key of `DETOXIFY_URLS`.

    Raises:
        InputError: it is not in the cache and cannot be downloaded, or is not what was published.
    """
    import torch

    url = DETOXIFY_URLS[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    prefix = path.stem.rpartition("-")[2]
    if not path.is_file():
        _download(url, path, prefix)
    file = identify(path)
    if not file.sha256.startswith(prefix):
        raise InputError(
            f"{path}: is damaged: sha256 must begin with {prefix}, is {file.sha256}; delete it"
        )
    return file


def _download(url: str, path: Path, prefix: str) -> None:
    import torch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as failure:  # URLError; a wrong hash is a RuntimeError
        raise InputError(
            f"cannot download {url}: {failure}; fetch the file elsewhere and put it at {path}, or give "
            f"its path as `checkpoint`"
        ) from failure


def hub_folder(name: str, *, revision: str | None, weights: bool) -> ModelFolder:
    """Returns a repository of the Hugging Face hub, from its cache or downloaded into it.

    Args:
        name: "organisation/name", or "name" for the hub's oldest models.
        revision: a commit, tag or branch; None for the branch `main`.
        weights: whether the repository must have weights.

    Raises:
        InputError: it is not in the cache and cannot be downloaded, or lacks a file.
    """
    from huggingface_hub import constants, snapshot_download, try_to_load_from_cache

    formats = [SAFETENSORS, PICKLE] if weights else [CONFIG]
    try:
        config = try_to_load_from_cache(name, CONFIG, revision=revision)
        folder = Path(config).parent if isinstance(config, str) else Path()
        while _missing(folder, weights=weights) and formats:
            stem, _, end = formats.pop(0).rpartition(".")
            wanted = [CONFIG, *TOKENIZER_FILES, f"{stem}*.{end}", f"{stem}*.{end}.index.json"]
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as failure:  # the hub's errors have no base of their own
        raise InputError(
            f"{name}: is no folder, not in the cache ({constants.HF_HUB_CACHE}), and cannot be downloaded: "
            f"{_first_line(failure)}; where there is a network, `hf download {name} --local-dir FOLDER` "
            f"makes a folder to name instead"
        ) from failure
    return read_folder(folder, weights=weights)


def _first_line(failure: Exception) -> str:
    return f"{type(failure).__name__}: {str(failure).strip().partition(chr(10))[0]}"
