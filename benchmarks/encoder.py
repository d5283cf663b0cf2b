"""Measures the encoder: posts per second by engine, how far engines are apart, and what company changes.

    SLUICE_DATA=FOLDER python -m benchmarks.encoder [--device cpu|cuda] [--encoder FOLDER] [--posts N]

Without `--encoder` it is the one of the package sluice-encoder. On the CPU each engine runs on one thread
and seconds are CPU seconds, tokenising included; on a GPU they are seconds of the clock, up to the scores'
arrival on the host. The ways take turns, and the fastest turn of each counts.

Shape suffixes: N posts, L labels.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.command import add_data, parser_of
from benchmarks.page import table
from benchmarks.process import this_machine
from benchmarks.real_posts import posts_of, rows_of
from sluice.filters.text.normalize import normalize
from sluice.filters.transformers.load import Transformer, TransformerScorer, load, locate
from sluice.filters.transformers.scorer import Scored
from sluice.schemas.arrays import Array

POSTS = {"cpu": 1_024, "cuda": 200_000}
ALONE = 200
"""Posts that are scored alone, too."""
PARITY = 4_096
"""Posts whose scores on a GPU are compared with those of float32 on the CPU, at most."""
THREADS = "OMP_NUM_THREADS", "RAYON_NUM_THREADS"


class Engine(NamedTuple):
    """An engine, as measured.

    Attributes:
        name: of it.
        seconds: that the fastest turn took.
        scored: what it gave.
    """

    name: str
    seconds: float
    scored: Scored


def scorer_of(folder: str | None, device: str, dtype: str) -> TransformerScorer:
    """Returns the encoder on a device, on one thread of the CPU."""
    made = {"model": "sluice/encoder", "checkpoint": folder, "device": device, "dtype": dtype}
    spec = Transformer(**made)  # type: ignore[arg-type]  # strings of the command line
    return load(spec, locate(spec), threads=1)


def fastest(
    scorers: dict[str, TransformerScorer],
    texts: pa.StringArray,
    *,
    turns: int,
    clock: Callable[[], float],
) -> list[Engine]:
    """Returns the engines, each with its fastest turn; the first call of each does not count."""
    for scorer in scorers.values():
        scorer.score(texts.slice(0, 256))
    best: dict[str, Engine] = {}
    for _ in range(turns):
        for name, scorer in scorers.items():
            begun = clock()
            scored = scorer.score(texts)
            found = Engine(name, clock() - begun, scored)
            best[name] = min(best.get(name, found), found, key=lambda engine: engine.seconds)
    return list(best.values())


def apart(scores_NL: Array, exact_NL: Array, labels: Sequence[str]) -> str:
    """Returns how far scores are apart, the most and on average, by label."""
    far_NL = np.abs(scores_NL - exact_NL)
    found = zip(labels, far_NL.max(axis=0), far_NL.mean(axis=0), strict=True)
    return ", ".join(f"{label} {most:.4f} ({mean:.5f})" for label, most, mean in found)


def moved(scorer: TransformerScorer, texts: pa.StringArray, scored: Scored) -> str:
    """Returns how many of the first posts score otherwise alone than among the others, and by how much."""
    first = min(ALONE, len(texts))
    alone_NL = np.concatenate([scorer.score(texts.slice(i, 1)).scores_NL for i in range(first)])
    far_NL = np.abs(alone_NL - scored.scores_NL[:first])
    return f"{int((far_NL > 0).any(axis=1).sum())} of {first} posts, by {far_NL.max():.4g} at most"


def texts_of(data: Path, posts: int) -> pa.StringArray:
    """Returns posts of the firehose, drawn with a seed, normalised; more than there are come again."""
    texts = [row["text"] for row in rows_of(posts_of(data)[:4])]
    drawn = random.Random(1).sample(texts, min(posts, len(texts)))
    whole = (drawn * (1 + posts // len(drawn)))[:posts]
    return normalize(pa.array(whole, pa.string()))


def measure(texts: pa.StringArray, *, folder: str | None, device: str, turns: int) -> list[str]:
    """Returns the figures of a device, as lines of Markdown."""
    exact = scorer_of(folder, "cpu", "float32")
    whole = scorer_of(folder, "cpu", "auto")
    if device == "cpu":
        rough = scorer_of(folder, "cpu", "bfloat16")
        named = {"ONNX Runtime, int8": whole, "torch, bfloat16": rough, "torch, float32": exact}
        clock = time.process_time
    else:
        kinds = ("bfloat16", "float32")
        named = {f"torch, {kind}": scorer_of(folder, "cuda", kind) for kind in kinds}
        clock = time.perf_counter
    engines = fastest(named, texts, turns=turns, clock=clock)
    part = texts.slice(0, PARITY)
    exact_NL = exact.score(part).scores_NL
    rows = []
    for engine in engines:
        far = apart(engine.scored.scores_NL[: len(part)], exact_NL, exact.labels)
        company = moved(named[engine.name], texts, engine.scored)
        rate, tokens = len(texts) / engine.seconds, int(engine.scored.tokens_N.sum())
        rates = (f"{rate:,.0f}", f"{tokens / engine.seconds:,.0f}")
        rows.append((engine.name, *rates, far, company))
    head = ("engine", "posts/s", "pieces/s", "from float32: most (mean)", "alone otherwise")
    mean = engines[0].scored.tokens_N.mean()
    lines = [f"{len(texts):,} posts of the firehose, {mean:.1f} pieces each.", ""]
    lines += table(head, rows)
    if device == "cuda":
        far = apart(
            engines[0].scored.scores_NL[: len(part)], whole.score(part).scores_NL, exact.labels
        )
        lines += ["", f"{engines[0].name} on the GPU from int8 on the CPU: {far}."]
    return lines


def main() -> None:
    """Measures and prints the figures."""
    parser = parser_of("encoder", __doc__)
    add_data(parser)
    parser.add_argument("--device", choices=tuple(POSTS), default="cpu")
    parser.add_argument("--encoder", metavar="FOLDER", help="by default the installed package")
    parser.add_argument("--posts", type=int, help="by default 1,024, and 200,000 on a GPU")
    parser.add_argument("--turns", type=int, default=3, help="the fastest counts")
    arguments = parser.parse_args()
    for name in THREADS if arguments.device == "cpu" else ():
        os.environ[name] = "1"
    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} sees no GPU: nothing was measured")
    texts = texts_of(arguments.data, arguments.posts or POSTS[arguments.device])
    print(f"{this_machine('torch', 'onnxruntime', 'tokenizers')}; load {os.getloadavg()[0]:.1f}.")
    if arguments.device == "cuda":
        print(f"{torch.cuda.get_device_name()}.")
    about = {"folder": arguments.encoder, "device": arguments.device, "turns": arguments.turns}
    print("\n".join(measure(texts, **about)))


if __name__ == "__main__":
    main()
