"""Calibrates the trained encoder, and writes its files and what this version of Sluice holds them to.

    python -m sluice.filters.models.training.encoder.ship --data DIR --folder DIR

The folder is that of `train.py`. Posts that were held out of training, a tenth of each source and ordinary
ones, give each head its calibration. `filters/models/encoder/` gets the files, `filters/models/encoder.json`
their pins.
"""

import argparse
from pathlib import Path

import torch

from sluice.filters.models.training.encoder.calibrate import lines
from sluice.filters.models.training.encoder.examples import Examples, examples
from sluice.filters.models.training.encoder.fit import logits
from sluice.filters.models.training.encoder.network import EncoderNetwork
from sluice.filters.models.training.encoder.posts import in_pieces
from sluice.filters.models.training.encoder.quantise import (
    HeadCalibration,
    publish,
    shape_of,
)
from sluice.filters.models.training.encoder.sources import HEADS
from sluice.filters.models.training.encoder.train import read
from sluice.filters.models.training.encoder.vocabulary import begun
from sluice.schemas.arrays import Array


def calibrations(found: Examples, logits_NH: Array) -> list[HeadCalibration]:
    """Returns what makes a probability of each head's logit, fitted on posts held out of training."""
    return [HeadCalibration(*line) for line in lines(found, logits_NH)]


def ship(encoder: EncoderNetwork, made: list[HeadCalibration], *, tokenizer: Path) -> None:
    """Writes the files of the package, and what they are held to."""
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    shape = shape_of(state, attention=encoder.shape.attention, labels=HEADS)
    publish(state, shape, calibration=made, tokenizer=tokenizer)


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
    ship(encoder, made, tokenizer=tokenizer)
    for head, one in zip(HEADS, made, strict=True):
        print(f"{head}: slope {one.slope}, intercept {one.intercept}")


if __name__ == "__main__":
    main()
