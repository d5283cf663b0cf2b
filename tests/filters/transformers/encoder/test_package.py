"""The encoder's package: found without importing it, held to its pins, with a remedy where it is not."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from sluice.filters.models.training.encoder.quantise import publish, shape_of
from sluice.filters.transformers.encoder import package
from sluice.filters.transformers.load import Transformer, load, locate
from sluice.schemas.errors import InputError
from tests.filters.transformers.encoder import tiny_encoder
from tests.filters.transformers.encoder.tiny_encoder import CALIBRATION, LABELS, TinyEncoder

FILES = ("encoder.safetensors", "encoder.onnx", "tokenizer.json")
SPEC = Transformer(model="sluice/encoder", device="cpu")


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEncoder:
    return tiny_encoder.write(tmp_path / "tiny")


@pytest.fixture
def installed(tiny: TinyEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny encoder as an installed package, with its pins; importing it is an error."""
    site = tmp_path / "site"
    shutil.copytree(tiny.folder, site / "sluice_encoder")
    (site / "sluice_encoder" / "__init__.py").write_text("raise AssertionError('imported')\n")
    digests = {n: hashlib.sha256((tiny.folder / n).read_bytes()).hexdigest() for n in FILES}
    pins = tmp_path / "encoder.json"
    pins.write_text(json.dumps({"version": "1.2", "sha256": digests}))
    monkeypatch.setattr(package, "PINS", pins)
    package.pins.cache_clear()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "sluice_encoder", raising=False)
    yield site / "sluice_encoder"
    package.pins.cache_clear()


def test_the_installed_package_is_found(installed: Path) -> None:
    """Its files are located and the encoder is loaded, without an import of the package."""
    found = locate(SPEC)
    assert found.folder == str(installed)
    assert found.labels == LABELS
    assert load(SPEC, found, threads=1).labels == LABELS
    assert "sluice_encoder" not in sys.modules


def test_what_is_published_is_what_is_pinned(tmp_path: Path) -> None:
    """The package's version and the SHA-256s of its three files."""
    state = tiny_encoder.state()
    shape = shape_of(state, attention=4, labels=LABELS)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "3.4"\n')
    vocabulary, pins = tiny_encoder.tokenizer(tmp_path / "pieces.json"), tmp_path / "pins.json"
    about = {"calibration": CALIBRATION, "tokenizer": vocabulary, "distribution": tmp_path}
    publish(state, shape, pins=pins, **about)
    folder = tmp_path / "sluice_encoder"
    digests = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in FILES}
    assert json.loads(pins.read_text()) == {"version": "3.4", "sha256": digests}


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_pinned(installed: Path, name: str) -> None:
    """A file that is not the one of this version is refused, with the version to install."""
    path = installed / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=rf"{name}: sha256 must be .* sluice-encoder==1\.2"):
        locate(SPEC)


def test_a_change_after_the_run_began_is_told(installed: Path) -> None:
    found = locate(SPEC)
    path = installed / "encoder.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match="was changed since the run began"):
        load(SPEC, found)


def test_where_it_is_not_installed_the_error_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "PACKAGE", "sluice_encoder_of_nobody")
    with pytest.raises(InputError, match=r"not installed: pip install 'sluice\[encoder\]' sluice-"):
        locate(SPEC)


def test_where_the_engine_is_missing_the_error_names_the_extra(
    tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    spec = Transformer(model="sluice/encoder", checkpoint=str(tiny.folder), device="cpu")
    with pytest.raises(
        InputError, match=r"onnxruntime runs it here: pip install 'sluice\[encoder\]'"
    ):
        locate(spec)


def test_a_folder_of_ones_own_is_held_to_the_recipes_pin(tiny: TinyEncoder) -> None:
    """Files outside the package have no pin but the recipe's."""
    spec = Transformer(model="sluice/encoder", checkpoint=str(tiny.folder), sha256="0" * 64)
    with pytest.raises(InputError, match=r"sha256 must be 0000.*, as the recipe says"):
        locate(spec)


def test_a_missing_file_is_told(tiny: TinyEncoder) -> None:
    (tiny.folder / "tokenizer.json").unlink()
    spec = Transformer(model="sluice/encoder", checkpoint=str(tiny.folder))
    with pytest.raises(InputError, match=r"tokenizer\.json: cannot read the model"):
        locate(spec)


@pytest.mark.parametrize("key", [{"revision": "main"}, {"trust": True}, {"base": "x"}])
def test_keys_without_effect_are_refused(key: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(key))} (has no effect|is for models)"):
        Transformer(model="sluice/encoder", **key)  # type: ignore[arg-type]  # any key
