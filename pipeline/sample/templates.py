"""Sentences with slots: unwanted advertisements, and what automatic accounts write.

They are in `templates.toml`. Slots: {link} {handle} {tag} {name} {number} {money} {words} {face}.
"""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from sluice.pipeline.sample.scene import Scene
from sluice.pipeline.sample.words import together

_TABLES: dict[str, dict[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("templates.toml").read_text("utf-8")
)
SPAM, BOTS = _TABLES["spam"], _TABLES["automatic"]
"""Language -> templates."""

_SLOT = re.compile(r"\{(\w+)\}")
_FILLINGS: dict[str, Callable[[Scene], pa.StringArray]] = {
    "link": Scene.link,
    "handle": lambda scene: scene.pick(scene.handles),
    "tag": Scene.hashtag,
    "name": Scene.hashtag,
    "money": lambda scene: scene.pick(_TABLES["fillings"]["money"]),
    "number": lambda scene: scene.pick(tuple(str(n) for n in range(2, 1000))),
    "face": Scene.emoji,
    "words": Scene.sentence,
}
"""Slot -> what it is filled with."""


def filled(template: str, scene: Scene) -> pa.StringArray:
    """Returns (N,) string: the template with other slots each time, in words of its language."""
    parts = _SLOT.split(template)
    return together(*(_FILLINGS[part](scene) if k % 2 else part for k, part in enumerate(parts)))
