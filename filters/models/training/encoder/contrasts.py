"""Made posts that differ in what they mean, not in their words: contrast pairs for training a classifier.

Source: ours; the templates were written for Sluice and hold no labelled post and no sentence of a
functional test. `templates/KIND/LANGUAGE.toml` says in `[slots]` what may fill `{name}`, one a line, and
in `[posts]` the templates of both labels, one a line; `templates/slots.toml` has what fills slots in any
language. What fills slots stands in templates of both labels, so that neither a group nor an insult, an
address, or a subject is a sign in itself.
"""

import re
import tomllib
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa

from sluice.schemas.errors import did_you_mean

TEMPLATES = Path(__file__).with_name("templates")
SHARED_SLOTS = TEMPLATES / "slots.toml"
KINDS = ("quality", "spam", "toxicity")
LABELS = {"bad": 1, "good": 0}
SLOT = re.compile(r"\{(\w+)\}")

Slots = dict[str, list[str]]


def contrast_posts(seed: int, most_per_language: int, kind: str = "toxicity") -> pa.Table:
    """Returns made posts, as many of label 1 as of label 0 in each language; pure.

    Args:
        seed: of what fills the slots.
        most_per_language: posts of a language at most; fewer where its templates do not give so many.
        kind: one of KINDS.

    Returns:
        text: string, lang: string, label: int8 (1 is toxic, spam, or of low quality); no text twice.

    Raises:
        ValueError: there is no such kind, or a template names a slot that its file lacks.
    """
    if kind not in KINDS:
        raise ValueError(f"no templates of kind {kind!r}{did_you_mean(kind, KINDS)}")
    files = sorted((TEMPLATES / kind).glob("*.toml"))
    return pa.concat_tables([_of_language(path, seed, most_per_language // 2) for path in files])


def _of_language(path: Path, seed: int, most_per_label: int) -> pa.Table:
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    slots = _slots(SHARED_SLOTS) | _slots(path)
    _refuse_unknown_slots(path, slots, tables["posts"])
    rng = np.random.default_rng([seed, *path.stem.encode()])
    made = {
        label: _posts(_lines(tables["posts"][name]), slots, rng, most_per_label)
        for name, label in LABELS.items()
    }
    size = min(map(len, made.values()))
    texts = [text for posts in made.values() for text in posts[:size]]
    labels = np.repeat(np.array(list(made), np.int8), size)
    return pa.table({"text": texts, "lang": pa.array([path.stem] * len(texts)), "label": labels})


def _slots(path: Path) -> Slots:
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _lines(text) for name, text in tables.get("slots", {}).items()}


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _refuse_unknown_slots(path: Path, slots: Slots, posts: dict[str, str]) -> None:
    named = {name for text in posts.values() for name in SLOT.findall(text)}
    if unknown := sorted(name for name in named if not slots.get(name)):
        hint = did_you_mean(unknown[0], slots)
        raise ValueError(f"{path.name}: its [slots] lack {unknown[0]!r}{hint}")


def _posts(templates: list[str], slots: Slots, rng: np.random.Generator, most: int) -> list[str]:
    """Returns `most` posts or fewer, one of each template in turn: a cut keeps every template."""
    columns = [_of_template(template, slots, rng, most) for template in templates]
    turns = (text for turn in zip_longest(*columns) for text in turn if text is not None)
    return list(islice(dict.fromkeys(turns), most))


def _of_template(template: str, slots: Slots, rng: np.random.Generator, most: int) -> Iterator[str]:
    """Yields the template filled in different ways, each way once, in an order drawn at random."""
    names = sorted(set(SLOT.findall(template)))
    shape = [len(slots[name]) for name in names]
    for way in rng.permutation(int(np.prod(shape, dtype=np.int64)))[:most]:
        places = np.unravel_index(way, shape) if names else ()
        yield _fill(template, {name: slots[name][i] for name, i in zip(names, places, strict=True)})


def _fill(template: str, values: dict[str, str]) -> str:
    text = SLOT.sub(lambda slot: values[slot[1]], template)
    plain = template.startswith("{") and not text[1:2].isupper()  # iPhone stays as it is
    return text[0].upper() + text[1:] if plain else text
