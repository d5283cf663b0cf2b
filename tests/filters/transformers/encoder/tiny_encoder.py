"""A tiny encoder with random weights, written as a trained one is."""

import string
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from sluice.filters.models.training.encoder.network import EncoderNetwork, Shape
from sluice.filters.models.training.encoder.quantise import HeadCalibration, shape_of, write_encoder
from sluice.filters.transformers.encoder.weights import read_tensors, unpacked
from sluice.schemas.arrays import Array

LABELS = ("toxicity", "spam", "quality")
POSITIONS = 24
"""The longest text that it reads, in pieces."""
CALIBRATION = (HeadCalibration(1.5, -0.2), HeadCalibration(0.7, 0.1), HeadCalibration(1.0, 0.0))
WORDS = ("the", "you", "are", "words", "free", "text", "of", "kind", "http", "@user")
LETTERS = tuple(string.ascii_letters + string.digits + ".,!?'@#:/é日本한")
SHAPE = Shape(
    pieces=500, layers=2, hidden=32, attention=4, inner=64, positions=POSITIONS, outputs=3
)


class TinyEncoder(NamedTuple):
    """The folder of an encoder, and the network that it was written from."""

    folder: Path
    network: EncoderNetwork


def tokenizer(path: Path) -> Path:
    """Writes a tokenizer of letters and a few words, in the form of XLM-RoBERTa's, and returns its path."""
    scored = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    scored += [(f"▁{word}", -3.0) for word in WORDS] + [(letter, -4.0) for letter in LETTERS]
    made = Tokenizer(models.Unigram(scored, unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [("<s>", 0), ("</s>", 2)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    made.save(str(path))
    return path


def state(seed: int = 1) -> dict[str, Array]:
    """Returns the parameters of an encoder, by their names in `network.EncoderNetwork`."""
    torch.manual_seed(seed)
    network = EncoderNetwork(SHAPE)
    for name, parameter in network.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def write(folder: Path, *, seed: int = 1) -> TinyEncoder:
    """Writes an encoder, and returns it with the network of the weights that were written."""
    found = state(seed)
    shape = shape_of(found, attention=SHAPE.attention, labels=LABELS)
    vocabulary = tokenizer(folder.with_suffix(".json"))
    write_encoder(folder, found, shape, calibration=CALIBRATION, tokenizer=vocabulary)
    return TinyEncoder(folder, network_of(folder / "encoder.safetensors"))


def network_of(weights: Path) -> EncoderNetwork:
    """Returns the network of the file's weights, as training has it."""
    tensors, network = read_tensors(weights), EncoderNetwork(SHAPE)
    dense = {"word.weight": unpacked(tensors["pieces.pairs"], tensors["pieces.scales"])}
    for name in network.state_dict():
        if name == "word.weight":
            continue
        dense[name] = tensors[name]
        if dense[name].dtype == "int8":
            scales = tensors[name.replace(".weight", ".scale")]
            dense[name] = (dense[name].astype("float32") * scales).T
    network.load_state_dict({name: torch.tensor(array) for name, array in dense.items()})
    return network.eval()
