"""Calibrates the trained encoder, and writes its files and what this version of Sluice holds them to.

    python -m sluice.filters.models.training.encoder.ship --data DIR --folder DIR

The folder is that of `train.py`. Posts that were held out of training, a tenth of each source and ordinary
ones, give each head its calibration. `filters/models/encoder/` gets the files, `filters/models/encoder.json`
their pins.
"""

import argparse
import hashlib
import tomllib
from pathlib import Path

import msgspec
import torch

from sluice.filters.models.training.encoder.calibrate import lines
from sluice.filters.models.training.encoder.examples import Examples, examples
from sluice.filters.models.training.encoder.fit import logits
from sluice.filters.models.training.encoder.network import EncoderNetwork
from sluice.filters.models.training.encoder.posts import in_pieces
from sluice.filters.models.training.encoder.quantise import (
    HeadCalibration,
    shape_of,
    write_encoder,
)
from sluice.filters.models.training.encoder.sources import HEADS
from sluice.filters.models.training.encoder.train import read
from sluice.filters.models.training.encoder.vocabulary import begun
from sluice.filters.transformers.encoder.package import GRAPH, PINS, TOKENIZER, WEIGHTS, Pins
from sluice.schemas.arrays import Array

FOLDER = Path(__file__).parents[2] / "encoder"
FILES = (WEIGHTS, GRAPH, TOKENIZER)


def calibrations(found: Examples, logits_NH: Array) -> list[HeadCalibration]:
    """Returns what makes a probability of each head's logit, fitted on posts held out of training."""
    return [HeadCalibration(*line) for line in lines(found, logits_NH)]


def ship(
    encoder: EncoderNetwork, made: list[HeadCalibration], *, tokenizer: Path, folder: Path
) -> Pins:
    """Writes the files of the package in the folder, and returns what they are held to."""
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    shape = shape_of(state, attention=encoder.shape.attention, labels=HEADS)
    package = folder / "sluice_encoder"
    write_encoder(package, state, shape, calibration=made, tokenizer=tokenizer)
    version = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    sha256 = {name: hashlib.sha256((package / name).read_bytes()).hexdigest() for name in FILES}
    return Pins(version, sha256)


def main() -> None:
    """Calibrates the encoder of a folder and writes its package."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled posts")
    parser.add_argument("--folder", type=Path, required=True, help="of the trained encoder")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    encoder, tokenizer = read(asked.folder / "encoder-final.pt"), asked.folder / "tokenizer.json"
    found = examples(asked.data, fold=None, held_out=True)
    made = calibrations(found, logits(encoder, in_pieces(found.texts, begun(tokenizer))))
    pins = ship(encoder, made, tokenizer=tokenizer, folder=FOLDER)
    PINS.write_bytes(msgspec.json.format(msgspec.json.encode(pins)) + b"\n")
    for head, one in zip(HEADS, made, strict=True):
        print(f"{head}: slope {one.slope}, intercept {one.intercept}")


if __name__ == "__main__":
    main()
