"""How much template spam 5-gram MinHash catches: the same frame, other fillers, four thresholds.

Two fillings of a frame of n code points, s = n - 4 shingles, whose m slots inside the text hold f
code points in all, share all shingles but g = f + 4 m of each, so that J = (s - g) / (s + g): they
are duplicates at threshold t while g <= s (1 - t) / (1 + t), a ninth of the shingles at 0.8.

Shape suffix: N posts.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.dedup_resolve import resolve
from benchmarks.dedup_short import KINDS, near_duplicates
from benchmarks.dedup_truth import shingles
from benchmarks.page import share, table
from sluice.filters.dedup.minhash import MinHashSpec
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import dedup_text
from sluice.pipeline.inputs.inventory import cut, find_inputs
from sluice.pipeline.inputs.reader import ReadOptions, read_unit
from sluice.pipeline.sample.draws import Draws
from sluice.pipeline.sample.scene import Scene, handle_pool
from sluice.pipeline.sample.templates import BOTS, SPAM, filled
from sluice.pipeline.sample.words import lexicon
from sluice.pipeline.sample.write import LABELS_NAME, write_sample
from sluice.schemas.arrays import Array

THRESHOLDS = (0.6, 0.7, 0.8, 0.9)
COPIES = 20
FRAMES = 50
LENGTHS, SLOTS, FILLER_SHARES = (40, 80, 130), (1, 3), (0.05, 0.1, 0.2)


def expected_jaccard(length: int, *, slots: int, filler: int) -> float:
    """Returns the index of two fillings that share no shingle that a filler touches.

    Args:
        length: n, code points of the whole text.
        slots: m, none at an end of the text.
        filler: f, code points of all slots.
    """
    same, other = length - 4 - filler - 4 * slots, filler + 4 * slots
    return max(0.0, same / (same + 2 * other))


def removed(texts: Sequence[str], *, threshold: float) -> Array:
    """Returns (N,) bool, what Sluice removes."""
    posts = pa.array(texts, pa.string())
    return resolve(posts, MinHashSpec(), threshold=threshold).reason_N != 0


class Filling(NamedTuple):
    """Posts of one kind of frame.

    Attributes:
        texts: those of a frame follow each other.
        num_frames: one post of each has to stay.
    """

    texts: list[str]
    num_frames: int

    def shares(self) -> list[str]:
        """Returns the share of the posts that need not stay that goes, by threshold."""
        due = len(self.texts) - self.num_frames
        gone = [int(removed(self.texts, threshold=t).sum()) for t in THRESHOLDS]
        return [share(min(due, n), due, digits=2) for n in gone]


def jaccard(text: str, other: str) -> float:
    """Returns the exact index of two texts."""
    ours, theirs = shingles(text), shingles(other)
    return len(ours & theirs) / len(ours | theirs)


def real_frames(texts: Sequence[str]) -> list[str]:
    """Returns the table of real posts as frames, with pieces of other posts in slots of equal size.

    Of each length FRAMES posts are drawn, and each is filled COPIES times.
    """
    rng = np.random.default_rng(1)
    rows = []
    for length, slots in product(LENGTHS, SLOTS):
        frames = [text for text in texts if len(text) == length]
        for each in sorted({max(1, round(length * part / slots)) for part in FILLER_SHARES}):
            chosen = rng.choice(frames, FRAMES, replace=False).tolist()
            filling = _fill(chosen, texts, slots=slots, each=each, rng=rng)
            rows.append(_row(filling, length, slots, each * slots))
    head = ("code points", "slots", "code points in slots", "J by formula", "J, mean of pairs")
    return table((*head, *(f"at {t}" for t in THRESHOLDS)), rows)


def _row(filling: Filling, length: int, slots: int, filler: int) -> tuple[Any, ...]:
    index = [
        jaccard(filling.texts[k], filling.texts[k + 1])
        for k in range(0, len(filling.texts), COPIES)
    ]
    formula = expected_jaccard(length, slots=slots, filler=filler)
    return (length, slots, filler, f"{formula:.2f}", f"{np.mean(index):.2f}", *filling.shares())


def _fill(
    frames: Sequence[str], texts: Sequence[str], *, slots: int, each: int, rng: Any
) -> Filling:
    """Puts pieces of other texts into the same slots of every copy of a frame, all apart."""
    pieces = [t for t in texts if len(t) >= 5 + each]
    made = []
    for frame in frames:
        room = (len(frame) - 8) // slots
        at = [4 + k * room + int(rng.integers(0, room - each - 3)) for k in range(slots)]
        for _ in range(COPIES):
            text = frame
            for start in at:
                other = pieces[int(rng.integers(len(pieces)))]
                first = int(rng.integers(0, len(other) - each + 1))
                text = text[:start] + other[first : first + each] + text[start + each :]
            made.append(text)
    return Filling(made, len(frames))


def sample_frames() -> list[str]:
    """Returns the table of the templates of `sluice sample`, by the share of code points in slots.

    Each is filled 100 times, and all are resolved on their own.
    """
    draws = Draws(1, 2)
    handles = handle_pool(draws=draws)
    groups: dict[int, list[list[str]]] = defaultdict(list)
    for language, frame in ((k, f) for of in (SPAM, BOTS) for k, fs in of.items() for f in fs):
        posts = filled(frame, Scene(lexicon(language), handles, COPIES * 5, draws))
        texts = dedup_text(normalize(posts)).to_pylist()
        bare = dedup_text(pa.array([re.sub(r"[@#]?\{\w+\}", "", frame)]))[0].as_py()
        slots = 1 - len(bare) / (sum(map(len, texts)) / len(texts))
        groups[min(4, int(max(0.0, slots) * 10))].append(texts)
    rows = []
    for tenth, of in sorted(groups.items()):
        filling = Filling([t for texts in of for t in texts], len(of))
        lengths = [len(t) for t in filling.texts]
        index = np.mean([jaccard(texts[0], texts[1]) for texts in of])
        name = f"{tenth * 10}-{tenth * 10 + 10}%" if tenth < 4 else "40% and more"
        rows.append((name, len(of), int(np.median(lengths)), f"{index:.2f}", *filling.shares()))
    head = ("share in slots", "frames", "code points", "J, mean of pairs")
    return table((*head, *(f"at {t}" for t in THRESHOLDS)), rows)


def labelled_sample(folder: Path, *, num_posts: int) -> list[str]:
    """Returns the table of what goes of the templates among all posts of a labelled sample.

    Args:
        folder: for the sample.
        num_posts: its size.
    """
    write_sample(folder, num_posts=num_posts, seed=1, compress=False)
    posts = read_labelled(folder)
    texts = [post.pop("text") for post in posts]
    gone = {t: removed(texts, threshold=t) for t in THRESHOLDS}
    rows = []
    for label, frame in (("template", "duplicate_of"), ("spam", "detail")):
        here_N = np.array([post["label"] == label for post in posts])
        frames = {post[frame] for post in posts if post["label"] == label} - {None}
        due = int(here_N.sum()) - len(frames)
        shares = [share(int(gone[t][here_N].sum()), due, digits=2) for t in THRESHOLDS]
        rows.append((label, int(here_N.sum()), len(frames), *shares))
    return table(("label", "posts", "frames", *(f"at {t}" for t in THRESHOLDS)), rows)


def read_labelled(folder: Path) -> list[dict[str, Any]]:
    """Returns the labels of the posts that have a deduplication text, with it."""
    inventory = find_inputs([str(folder / "posts-*.jsonl")])
    found = {}
    for unit in cut(inventory):
        for batch in read_unit(inventory.root, unit, ReadOptions()):
            files, rows = (batch.posts[n].to_pylist() for n in ("source_file", "source_row"))
            texts = dedup_text(normalize(batch.posts["text"])).to_pylist()
            found.update(zip(zip(files, rows, strict=True), texts, strict=True))
    labels = pq.read_table(folder / LABELS_NAME).to_pylist()
    texts = [found.get((row["source_file"], row["source_row"]), "") for row in labels]
    return [{**row, "text": text} for row, text in zip(labels, texts, strict=True) if text]


def by_threshold(texts: pa.StringArray) -> list[str]:
    """Returns the table of what goes of all real posts at each threshold, and how it differs."""
    listed = texts.to_pylist()
    rows = []
    for threshold in THRESHOLDS:
        resolved = resolve(texts, MinHashSpec(), threshold=threshold)
        kinds = Counter(near.kind for near in near_duplicates(listed, resolved))
        removed_posts = int((resolved.reason_N != 0).sum())
        rows.append((threshold, removed_posts, kinds.total(), *(kinds[name] for name in KINDS)))
    return table(("threshold", "removed", "near", *KINDS), rows)
