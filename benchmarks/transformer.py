"""Measures transformers: our scorer beside detoxify's own `predict` and the device's matrix multiply.

    SLUICE_DATA=FOLDER python -m benchmarks.transformer [--device cpu|cuda] [--repeats N]

The model has the shapes of bert-base and random weights: speed does not depend on them. The tokenizer is
a WordPiece of 30,522 entries trained on the posts. All ways read the same checkpoint, in detoxify's
format. On the CPU everything runs on one thread and seconds are CPU seconds; on a GPU they are seconds
of the clock, up to the scores' arrival on the host. The slower ways get a part of the posts.

Shape suffixes: N posts, L labels.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import torch
import transformers
from detoxify import Detoxify

from benchmarks.command import add_data, parser_of
from benchmarks.dedup_truth import read_posts
from benchmarks.page import Aim, aim_table, table
from benchmarks.process import this_machine
from sluice.filters.transformers.load import Transformer, TransformerScorer, load, locate
from sluice.filters.transformers.scorer import CPU_BATCH_TOKENS, CUDA_BATCH_TOKENS
from sluice.schemas.arrays import Array

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
VOCABULARY, PAD_TO, PREDICT_BATCH = 30_522, 512, 32
TRAINING_POSTS = 50_000
POSTS = {"cpu": 1_024, "cuda": 200_000}
PREDICT, PADDED = f"detoxify's `predict`, {PREDICT_BATCH} at a time", f"padded to {PAD_TO}"
PREDICT_PART, PADDED_PART = 16, 32
"""One post in so many is scored by the slower ways."""
LAYERS = 12
GEMM_SECONDS = 1.0

T = TypeVar("T")


class Way(NamedTuple):
    """A way to score posts, as measured.

    Attributes:
        name: of the way.
        dtype: it computes with.
        posts: scored.
        tokens: of these posts, without padding.
        seconds: that it took.
        flops: of the model on these tokens.
        scores_NL: (N, L) what it gave.
    """

    name: str
    dtype: str
    posts: int
    tokens: int
    seconds: float
    flops: float
    scores_NL: Array

    @property
    def rate(self) -> float:
        """Posts per second."""
        return self.posts / self.seconds


def write_checkpoint(folder: Path, texts: Sequence[str]) -> Transformer:
    """Writes a checkpoint of bert-base shapes as detoxify does, and returns its spec."""
    base = folder / "base"
    tokenizer = transformers.BertTokenizer().train_new_from_iterator(
        texts[:TRAINING_POSTS], VOCABULARY, show_progress=False
    )
    tokenizer.model_max_length = PAD_TO
    tokenizer.save_pretrained(base)
    config = transformers.BertConfig(num_labels=len(LABELS), vocab_size=VOCABULARY)
    config.save_pretrained(base)
    torch.manual_seed(1)
    model = transformers.BertForSequenceClassification(config)
    arch = {
        "model_type": str(base),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(LABELS),
    }
    header = {"arch": {"args": arch}, "dataset": {"args": {"classes": list(LABELS)}}}
    path = folder / "bert.ckpt"
    torch.save({"config": header, "state_dict": model.state_dict()}, path)
    return Transformer(model="detoxify/shapes", checkpoint=str(path), base=str(base))


def model_flops(lengths_N: Array) -> float:
    """Returns the floating-point operations that the scores of bert-base need, of texts of these lengths.

    A multiply and an add are two, padding needs none. Counted are the matrix products of 11 layers, of
    the last layer as far as its first token depends on it, and of the pooler; Kaplan et al. 2020
    (arXiv:2001.08361, table 1).
    """
    square = 768**2
    texts, tokens = len(lengths_N), float(lengths_N.sum())
    pairs = float((lengths_N.astype(np.float64) ** 2).sum())
    whole_layers = (LAYERS - 1) * (2 * 12 * square * tokens + 4 * 768 * pairs)
    last_layer = 2 * square * (2 * tokens + 10 * texts) + 4 * 768 * tokens
    return whole_layers + last_layer + 2 * square * texts


def gemm_flops(device: str, dtype: torch.dtype) -> float:
    """Returns the operations a second of a layer's matrix products alone, on a batch of our size."""
    tokens = CUDA_BATCH_TOKENS if device == "cuda" else CPU_BATCH_TOKENS
    narrow, wide = (torch.randn(tokens, n, dtype=dtype, device=device) for n in (768, 3072))
    square, up, down = (
        torch.randn(*shape, dtype=dtype, device=device)
        for shape in ((768, 768), (3072, 768), (768, 3072))
    )

    def layer() -> None:
        for _ in range(4):
            torch.nn.functional.linear(narrow, square)
        torch.nn.functional.linear(narrow, up)
        torch.nn.functional.linear(wide, down)

    layer()
    layers, begun = 0, now(device)
    while (seconds := now(device) - begun) < GEMM_SECONDS:
        for _ in range(LAYERS):
            layer()
        layers += LAYERS
    return layers * 2 * tokens * (4 * 768**2 + 2 * 768 * 3072) / seconds


def now(device: str) -> float:
    """Returns seconds: of this process's CPU time, or of the clock once the GPU has nothing to do."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(device: str, run: Callable[[], T]) -> tuple[float, T]:
    """Returns the seconds that a call took, and what it gave."""
    begun = now(device)
    result = run()
    return now(device) - begun, result


def predict(theirs: Detoxify, texts: Sequence[str]) -> Array:
    """Returns (N, L) scores as detoxify's users get them: `predict` on lists of 32, as they come."""
    rows = [
        theirs.predict(list(texts[begin : begin + PREDICT_BATCH]))
        for begin in range(0, len(texts), PREDICT_BATCH)
    ]
    return np.concatenate([np.atleast_2d(np.array(list(row.values())).T) for row in rows])


def predict_padded(theirs: Detoxify, texts: Sequence[str]) -> Array:
    """Returns (N, L) scores of texts padded to 512 tokens, 32 at a time."""
    rows: list[Array] = []
    for begin in range(0, len(texts), PREDICT_BATCH):
        inputs = theirs.tokenizer(
            list(texts[begin : begin + PREDICT_BATCH]),
            return_tensors="pt",
            truncation=True,
            padding="max_length",
        )
        with torch.inference_mode():
            outputs = theirs.model(**inputs.to(theirs.model.device))[0]
        rows.append(outputs.sigmoid().cpu().numpy())
    return np.concatenate(rows)


def lengths_of(tokenizer: Any, texts: Sequence[str]) -> Array:
    """Returns (N,) int64, the tokens that a model reads of each text."""
    return np.array([len(ids) for ids in tokenizer(list(texts), truncation=True)["input_ids"]])


def scorer_of(spec: Transformer, *, device: str, dtype: str) -> TransformerScorer:
    """Returns our scorer, which has scored some texts when it was loaded."""
    spec = msgspec.structs.replace(spec, device=device, dtype=dtype)
    return load(spec, locate(spec))


def measure(spec: Transformer, texts: Sequence[str], *, device: str, repeats: int) -> list[Way]:
    """Returns all ways, each on its part of the posts: the fastest of its turns.

    The ways take turns, so that all see the same neighbours on the machine.
    """
    exact, rough = (scorer_of(spec, device=device, dtype=d) for d in ("float32", "bfloat16"))
    theirs = Detoxify(checkpoint=spec.checkpoint, huggingface_config_path=spec.base, device=device)
    column = pa.array(texts, pa.string())
    runs: list[tuple[str, str, int, Callable[[], Array]]] = [
        ("Sluice", "float32", 1, lambda: exact.score(column).scores_NL),
        ("Sluice", "bfloat16", 1, lambda: rough.score(column).scores_NL),
        (PREDICT, "float32", PREDICT_PART, partial(predict, theirs, texts[::PREDICT_PART])),
        (PADDED, "float32", PADDED_PART, partial(predict_padded, theirs, texts[::PADDED_PART])),
    ]
    turns = [[timed(device, run) for *_, run in runs] for _ in range(repeats)]
    lengths_N = lengths_of(theirs.tokenizer, texts)
    ways = []
    for place, (name, dtype, part, _) in enumerate(runs):
        seconds, scores_NL = min((turn[place] for turn in turns), key=lambda found: found[0])
        mine_N = lengths_N[::part]
        figures = len(mine_N), int(mine_N.sum()), seconds, model_flops(mine_N)
        ways.append(Way(name, dtype, *figures, scores_NL))
    return ways


def markdown(ways: Sequence[Way], ceilings: dict[str, float], *, device: str) -> list[str]:
    """Returns the figures: the machine, the ways, how far their scores are apart, and the aims."""
    exact, rough, predicted, _ = ways
    rows = []
    for w in ways:
        rates = (f"{w.rate:,.1f}", f"{w.tokens / w.seconds:,.0f}")
        flops = w.flops / w.seconds
        shares = (f"{flops / ceilings[w.dtype]:.2f}", f"{w.rate / predicted.rate:.1f}")
        row = (w.name, w.dtype, w.posts, f"{w.seconds:.1f}", *rates, f"{flops / 1e9:,.0f}", *shares)
        rows.append(row)
    head = ("way", "dtype", "posts", "seconds", "posts/s", "tokens/s", "GFLOP/s", "of the ceiling")
    apart = np.abs(exact.scores_NL[::PREDICT_PART] - predicted.scores_NL).max()
    return [
        f"{this_machine('torch', 'transformers', 'detoxify')}; {device_name(device)}.",
        f"Load average {os.getloadavg()[0]:.1f}.",
        "",
        *table((*head, "times `predict`"), rows),
        "",
        f"Ceiling: {ceilings['float32'] / 1e9:,.0f} GFLOP/s in float32, "
        f"{ceilings['bfloat16'] / 1e9:,.0f} in bfloat16. "
        f"{exact.tokens / exact.posts:.1f} tokens per post.",
        f"Scores in float32 are at most {apart:.1e} from those of `predict`, in bfloat16 at most "
        f"{np.abs(exact.scores_NL - rough.scores_NL).max():.1e} from those in float32.",
        "",
        *aim_table(aims(ways, ceilings, device=device)),
    ]


def aims(ways: Sequence[Way], ceilings: dict[str, float], *, device: str) -> list[Aim]:
    """Returns what was wanted on this kind of device, and what was measured."""
    exact, rough, predicted, padded = ways
    share = rough.flops / rough.seconds / ceilings["bfloat16"]
    if device == "cpu":
        times = f"times the posts/s of {PADDED}: at least 20"
        found = [(f"{w.dtype}: {times}", w.rate / padded.rate, 20.0) for w in (exact, rough)]
    else:
        times = f"times the posts/s of {PREDICT}: at least 10"
        found = [
            ("bfloat16: share of the ceiling: at least 0.5", share, 0.5),
            (f"bfloat16: {times}", rough.rate / predicted.rate, 10.0),
        ]
    return [Aim(what, f"{got:.2f}", got >= must) for what, got, must in found]


def device_name(device: str) -> str:
    """Returns what the model ran on."""
    if device == "cpu":
        return f"CPU, {torch.get_num_threads()} thread, {torch.backends.cpu.get_cpu_capability()}"
    return str(torch.cuda.get_device_name())


def main() -> None:
    """Measures and prints the figures."""
    parser = parser_of("transformer", __doc__)
    add_data(parser)
    parser.add_argument("--device", choices=tuple(POSTS))
    parser.add_argument("--repeats", type=int, default=3, help="turns; the fastest counts")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} sees no GPU: nothing was measured")
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        torch.set_num_threads(1)
    posts = read_posts(arguments.data)
    texts = random.Random(1).sample(posts.raw.to_pylist(), len(posts.raw))
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        spec = write_checkpoint(Path(folder), texts)
        ways = measure(spec, texts[: POSTS[device]], device=device, repeats=arguments.repeats)
    ceilings = {name: gemm_flops(device, dtype) for name, dtype in dtypes.items()}
    print("\n".join(markdown(ways, ceilings, device=device)))


if __name__ == "__main__":
    main()
