"""Compares the fast encoder with `tokenizers` on a million posts, real and fuzzed: ids and speed.

    SLUICE_DATA=FOLDER python -m benchmarks.encoding RUN/tokenizer/tokenizer.json

The real posts are all of the firehose; the others are made from them: two posts
cut and joined anywhere, characters of `sluice.tokenizer.vocabulary.tricky_texts` put in anywhere, runs
repeated, case turned, any code points. CPU seconds, one thread.
"""

import os
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.command import add_data, parser_of, timed
from benchmarks.dedup_truth import read_posts
from benchmarks.page import publish, table
from benchmarks.process import this_machine
from sluice.tokenizer.encode import Encoded, Encoder
from sluice.tokenizer.vocabulary.tricky_texts import TRICKY

PAGE = Path(__file__).with_name("TOKENIZER.md")
NUM_POSTS, BATCH = 1_000_000, 20_000
HIGHEST = 0x10FFFF


def fuzzed(texts: Sequence[str], count: int, *, seed: int) -> list[str]:
    """Returns `count` texts made from others."""
    draw = random.Random(seed)
    return [_fuzzed(texts, draw) for _ in range(count)]


def _fuzzed(texts: Sequence[str], draw: random.Random) -> str:
    text, way = draw.choice(texts), draw.randrange(6)
    at = draw.randrange(len(text) + 1)
    if way == 0:
        other = draw.choice(texts)
        return text[:at] + other[draw.randrange(len(other) + 1) :]
    if way == 1:
        return text[:at] + draw.choice(TRICKY) + text[at:]
    if way == 2:
        end = min(len(text), at + draw.randrange(1, 6))
        return text[:at] + text[at:end] * draw.randrange(2, 40) + text[end:]
    if way == 3:
        return text[:at].swapcase() + text[at:]
    if way == 4:
        return "".join(_any_character(draw) for _ in range(draw.randrange(1, 40)))
    return text[:at] + _any_character(draw) + text[at:]


def _any_character(draw: random.Random) -> str:
    code = draw.randrange(HIGHEST + 1)
    return chr(code) if not 0xD800 <= code < 0xE000 else " "


def num_differing(a: Encoded, b: Encoded) -> int:
    """Returns how many texts have other ids."""
    of_a, of_b = (np.split(e.tokens_T, e.offsets_N1[1:-1]) for e in (a, b))
    return sum(not np.array_equal(*pair) for pair in zip(of_a, of_b, strict=True))


def compare(name: str, texts: Sequence[str], fast: Encoder, exact: Encoder) -> list[object]:
    """Returns the row of a table: texts, tokens, differing texts, microseconds per text of both."""
    differing, tokens, seconds = 0, 0, [0.0, 0.0]
    for start in range(0, len(texts), BATCH):
        batch = pa.array(texts[start : start + BATCH], pa.string())
        a, of_fast = timed(partial(fast.encode, batch))
        b, of_exact = timed(partial(exact.encode, batch))
        differing += num_differing(a, b)
        tokens += len(b.tokens_T)
        seconds = [seconds[0] + of_fast, seconds[1] + of_exact]
    usec = [1e6 * s / len(texts) for s in seconds]
    ratio = f"{usec[1] / usec[0]:.0f}"
    return [name, len(texts), tokens, differing, f"{usec[0]:.2f}", f"{usec[1]:.1f}", ratio]


def main() -> None:
    """Runs the command line above and writes the page's part."""
    parser = parser_of("encoding", __doc__)
    add_data(parser)
    parser.add_argument("tokenizer", type=Path)
    options = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"
    real = read_posts(options.data).raw.to_pylist()
    fast, exact = Encoder(options.tokenizer), Encoder(options.tokenizer, engine="tokenizers")
    rows = [
        compare("real", real, fast, exact),
        compare("fuzzed", fuzzed(real, NUM_POSTS - len(real), seed=1), fast, exact),
    ]
    head = ["posts", "", "tokens", "that differ", f"us per post, {fast.engine}"]
    lines = [f"Machine: {this_machine()}.", "", *table([*head, "tokenizers", "times"], rows)]
    publish("\n".join(lines), PAGE, name="encoding", title="Encoding")


if __name__ == "__main__":
    main()
