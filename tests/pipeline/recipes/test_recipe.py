"""Recipes: every key is checked, and an error says where, what and the closest match."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from sluice.pipeline.recipes import loader
from sluice.pipeline.recipes import schema as recipe
from sluice.schemas.errors import RecipeError
from tests.repository import ROOT

SMALL = """
name = "small"
[[filters]]
filter = "min_chars"
min_chars = 5
[[filters]]
filter = "hashtag_ratio"
[dedup]
threshold = 0.7
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


def test_every_shipped_recipe_loads() -> None:
    """The shipped recipes decode, name themselves as their files do, and build."""
    assert {"default", "encoder", "sample", "gopher"} <= set(loader.shipped_recipes())
    for name in loader.shipped_recipes():
        loaded = loader.load(name)
        assert loaded.name == name
        assert loaded.filters


def test_the_encoders_recipe_is_default_with_it() -> None:
    """Word for word, but for the head, the name and one table: what changes in default.toml changes there."""
    shipped = ROOT / "pipeline" / "recipes"
    wanted, found = ((shipped / f"{name}.toml").read_text() for name in ("default", "encoder"))
    table = found[found.index("[[transformers]]") : found.index("[vocabulary]")]
    body = found.replace(table, "").partition('name = "encoder"')[2]
    assert body == wanted.partition('name = "default"')[2]
    (encoder,) = loader.load("encoder").transformers
    assert encoder.model == "sluice/encoder"
    assert encoder.prefix == "encoder"
    cascade = re.sub(r"(?m)^# (?=screen|max_share)", "", found)
    assert tomllib.loads(cascade)["transformers"][0]["max_share"] == 0.05


def test_set_changes_one_key(small: str) -> None:
    """--set reaches sections, new sections, and filters by name; values are TOML."""
    loaded = loader.load(
        small,
        sets=(
            "dedup.threshold=0.9",
            "filters.hashtag_ratio.max_ratio=0.25",
            "language.model=other.ftz",
            "seed=7",
        ),
    )
    assert loaded.dedup.threshold == 0.9
    assert loaded.filters[1].threshold == 0.25
    assert (loaded.language.model, loaded.seed) == ("other.ftz", 7)
    assert loaded.filters[0] == loader.load(small).filters[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dedup.treshold=0.9", r"\$\.dedup\.treshold: unknown key; did you mean 'threshold'\?"),
        ("dedup.history_day=2026-99-01", r"\$\.dedup\.history_day: must be a day, YYYY-MM-DD"),
        ("dedpu.rows=2", r"\$\.dedpu: unknown key; did you mean 'dedup'\?"),
        ("dedup.threshold=1.5", r"\$\.dedup\.threshold: expected `float` <= 1\.0"),
        (
            "dedup.keep=newest",
            r"\$\.dedup\.keep: must be one of earliest, longest, informative, got 'newest'",
        ),
        ("filters.min_cars.min_chars=2", r"no such filter; did you mean 'min_chars'\?"),
        ("filters.min_chars.max=2", r"\$\.filters\[0\]\.max: unknown key; .*min_chars"),
        ("seed", r"--set seed: must be KEY=VALUE"),
        ("seed.x=1", r"--set seed\.x=1: seed holds no keys|\$\.seed"),
        (
            "training.sequence_length='a'",
            r"\$\.training\.sequence_length: expected `int`, got `str`",
        ),
    ],
)
def test_a_typo_is_named(small: str, setting: str, message: str) -> None:
    """An unknown key, filter or value fails with its path and, where there is one, the closest match."""
    with pytest.raises(RecipeError, match=message):
        loader.load(small, sets=(setting,))


def test_a_filter_is_named_beside_its_number() -> None:
    """The path of a filter has its place in the list, which nobody counts, and its name."""
    with pytest.raises(RecipeError, match=r"\$\.filters\[\d+\] \(spam\): max_spam must be in"):
        loader.load("default", sets=("filters.spam.max_spam=2",))


def test_an_unknown_filter_is_named(tmp_path: Path) -> None:
    """A filter that does not exist is refused with its place in the recipe and the closest name."""
    path = tmp_path / "bad.toml"
    path.write_text('name = "bad"\n[[filters]]\nfilter = "min_char"\n')
    with pytest.raises(
        RecipeError, match=r"\$\.filters\[0\]\.filter: no filter 'min_char'; did you mean"
    ):
        loader.load(str(path))


def test_a_filter_stands_once(tmp_path: Path) -> None:
    """One filter, one threshold: a second entry of the same name is refused."""
    path = tmp_path / "twice.toml"
    path.write_text('name = "t"\n' + '[[filters]]\nfilter = "min_chars"\n' * 2)
    with pytest.raises(RecipeError, match="'min_chars' is there twice"):
        loader.load(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "defualt",
            r"no shipped recipe has this name \(a path ends in .toml\); did you mean 'default'",
        ),
        ("nowhere/x.toml", "no such recipe file"),
    ],
)
def test_a_recipe_that_is_not_there(name: str, message: str) -> None:
    """A wrong name or path says which recipes there are."""
    with pytest.raises(RecipeError, match=message):
        loader.load(name)


def test_not_toml(tmp_path: Path) -> None:
    """A file that is not TOML is an error with its line."""
    path = tmp_path / "x.toml"
    path.write_text("name = \n")
    with pytest.raises(RecipeError, match=r"not TOML: .*line 1"):
        loader.load(str(path))


def test_recipes_are_values(small: str) -> None:
    """Equal files give equal, hashable filters and the same canonical form."""
    one, two = loader.load(small), loader.load(small)
    assert one == two
    assert hash(one.filters) == hash(two.filters)
    assert msgspec.json.encode(recipe.canonical(one)) == msgspec.json.encode(recipe.canonical(two))
