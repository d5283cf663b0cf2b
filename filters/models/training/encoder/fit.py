"""Fits an encoder: batches of like lengths, source-specific lines, AdamW in bfloat16, with checkpoints."""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from sluice.filters.models.training.encoder.examples import Examples
from sluice.filters.models.training.encoder.network import EncoderNetwork
from sluice.filters.models.training.encoder.posts import Pieces, batches, padded
from sluice.schemas.arrays import Array

BATCH_PIECES = 3_072
POOL = 4_096
"""Texts that are sorted by length together, before their batches are shuffled."""
RATE, HEAD_RATE, DECAY = 1.2e-4, 1e-3, 0.9
"""Learning rates of the top layer and of the heads, and what each lower layer has of the one above."""
FROZEN = 2
"""Layers that stay as they are, with the embeddings below them."""
WARM_UP = 0.06
BIAS_PENALTY = 0.02
CHECKPOINT_SECONDS = 120.0


class Plan(NamedTuple):
    """How long to train: texts drawn, with what seed."""

    draws: int
    seed: int


def fit(
    encoder: EncoderNetwork, found: Examples, pieces: Pieces, plan: Plan, *, checkpoint: Path
) -> None:
    """Trains an encoder in place; goes on from the checkpoint where there is one."""
    torch.manual_seed(plan.seed)
    for part in (encoder.word, encoder.position, encoder.norm, *list(encoder.layers)[:FROZEN]):
        part.requires_grad_(False)
    lines = torch.nn.Parameter(torch.zeros(len(found.sources)))
    optimizer = torch.optim.AdamW(_groups(encoder, lines), betas=(0.9, 0.98), eps=1e-6, fused=True)
    schedule = _schedule(pieces.lengths_N, found.weight_N, plan)
    factors = [_rate(step / len(schedule)) for step in range(len(schedule) + 1)]
    rates = [group["lr"] for group in optimizer.param_groups]
    first = _restore(checkpoint, encoder, lines, optimizer)
    biased = torch.from_numpy(found.biased_S).float()
    begun = saved = time.monotonic()
    losses = []
    encoder.train()
    for step in range(first, len(schedule)):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factors[step]
        rows_B = schedule[step]
        loss = _loss(encoder, lines * biased, found, pieces, rows_B)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if time.monotonic() - saved > CHECKPOINT_SECONDS or step + 1 == len(schedule):
            saved = time.monotonic()
            _save(checkpoint, step + 1, encoder, lines, optimizer)
            print(
                f"step {step + 1} of {len(schedule)}, loss {np.mean(losses[-100:]):.4f}, "
                f"{time.monotonic() - begun:.0f} s",
                flush=True,
            )
    encoder.eval()


def _loss(
    encoder: EncoderNetwork, lines_S: torch.Tensor, found: Examples, pieces: Pieces, rows_B: Array
) -> torch.Tensor:
    ids_BT, lengths_B = padded(pieces, rows_B)
    with torch.autocast("cpu", torch.bfloat16):
        logits_BH = encoder(ids_BT, lengths_B)
    source_B = torch.from_numpy(found.source_N[rows_B])
    labels_BH = torch.from_numpy(found.labels_NH[rows_B])
    known_BH = ~labels_BH.isnan()
    logits_BH = logits_BH + lines_S[source_B][:, None]
    each = functional.binary_cross_entropy_with_logits(
        logits_BH, labels_BH.nan_to_num(), reduction="none"
    )
    return (each * known_BH).sum() / len(rows_B) + BIAS_PENALTY * lines_S.square().mean()


def _groups(encoder: EncoderNetwork, lines: torch.nn.Parameter) -> list[dict[str, object]]:
    groups: list[dict[str, object]] = []
    for depth, layer in enumerate(reversed(list(encoder.layers)[FROZEN:])):
        groups.append(
            {"params": list(layer.parameters()), "lr": RATE * DECAY**depth, "weight_decay": 0.01}
        )
    groups.append(
        {"params": list(encoder.heads.parameters()), "lr": HEAD_RATE, "weight_decay": 0.0}
    )
    groups.append({"params": [lines], "lr": 1e-2, "weight_decay": 0.0})
    return groups


def _rate(done: float) -> float:
    return min(done / WARM_UP, 1.0) * (0.02 + 0.98 * (0.5 + 0.5 * float(np.cos(np.pi * done))))


def _schedule(lengths_N: Array, weight_N: Array, plan: Plan) -> list[Array]:
    """Returns the rows of each batch: draws by weight, as even as their number allows, in a random order."""
    rng = np.random.default_rng(plan.seed)
    wanted_N = weight_N * plan.draws
    times_N = np.floor(wanted_N + rng.random(len(wanted_N))).astype(np.int64)
    rows = rng.permutation(np.repeat(np.arange(len(weight_N)), times_N))
    found: list[Array] = []
    for first in range(0, len(rows), POOL):
        own = list(batches(lengths_N, rows[first : first + POOL], pieces=BATCH_PIECES))
        found += [own[i] for i in rng.permutation(len(own))]
    return found


def _save(
    path: Path,
    step: int,
    encoder: EncoderNetwork,
    lines: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> None:
    partial = path.with_suffix(".partial")
    state = {
        "step": step,
        "encoder": encoder.state_dict(),
        "lines": lines.detach(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    torch.save(state, partial)
    partial.replace(path)


def _restore(
    path: Path, encoder: EncoderNetwork, lines: torch.nn.Parameter, optimizer: torch.optim.Optimizer
) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    encoder.load_state_dict(state["encoder"])
    lines.data.copy_(state["lines"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    return int(state["step"])


def logits(encoder: EncoderNetwork, pieces: Pieces, *, batch_pieces: int = 6_144) -> Array:
    """Returns (N, heads) float32 logits of texts."""
    encoder.eval()
    found_NH = np.empty((len(pieces.lengths_N), encoder.shape.outputs), np.float32)
    rows = np.arange(len(pieces.lengths_N))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for rows_B in batches(pieces.lengths_N, rows, pieces=batch_pieces):
            found_NH[rows_B] = encoder(*padded(pieces, rows_B)).float().numpy()
    return found_NH
