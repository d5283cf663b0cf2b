"""A recipe that names filters of other distributions is checked as one that names ours alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.pipeline.phases.clean.phase import filter_part
from sluice.pipeline.phases.job import fingerprint_of
from sluice.pipeline.recipes import loader
from sluice.schemas.errors import RecipeError
from sluice.schemas.origin import FilterOrigin
from tests.distributions import FILTER, on_the_path, write_distribution

RECIPE = """
name = "loud"
[[filters]]
filter = "min_words"
[[filters]]
filter = "loud"
max_marks = 2
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder on the path, where distributions can be written."""
    folder = tmp_path / "site"
    folder.mkdir()
    with on_the_path(folder):
        yield folder


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "loud.toml"
    path.write_text(RECIPE)
    return str(path)


def test_a_filter_of_another_distribution_is_named_like_ours(site: Path, recipe: str) -> None:
    """It stands in the recipe's order, its settings can be set, and the rest of the recipe is as always."""
    write_distribution(site)
    loaded = loader.load(recipe, sets=("filters.loud.max_marks=5", "dedup.threshold=0.9"))
    assert [(f.name, f.threshold) for f in loaded.filters] == [("min_words", 2), ("loud", 5)]
    assert loaded.filters[1].reason == "too_loud"
    assert (loaded.name, loaded.dedup.threshold) == ("loud", 0.9)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "filters.loud.max_mraks=2",
            r"\$\.filters\[1\]\.max_mraks: unknown key; did you mean 'max_marks'\?",
        ),
        ("filters.loud.max_marks=many", r"\$\.filters\[1\]\.max_marks: expected `int`, got `str`"),
        (
            "filters.min_words.max=2",
            r"\$\.filters\[0\]\.max: unknown key; (did you|known:).*min_words",
        ),
        (
            "filters.min_words.filter=lout",
            r"\$\.filters\[0\]\.filter: no filter 'lout'; did .*'loud'",
        ),
        ("filters.min_words.filter=loud", r"\$\.filters: 'loud' is there twice"),
        ("dedpu.rows=2", r"\$\.dedpu: unknown key; did you mean 'dedup'\?"),
    ],
)
def test_a_typo_is_named(site: Path, recipe: str, setting: str, message: str) -> None:
    """Unknown keys, wrong types and names fail with their path and the closest match."""
    write_distribution(site)
    with pytest.raises(RecipeError, match=message):
        loader.load(recipe, sets=(setting,))


def test_without_the_distribution_the_name_is_unknown(recipe: str) -> None:
    """The message has the path and the names that are known."""
    with pytest.raises(RecipeError, match=r"\$\.filters\[1\]\.filter: no filter 'loud'"):
        loader.load(recipe)


def test_a_name_that_is_claimed_twice_is_refused(site: Path, recipe: str) -> None:
    """With the path of the entry; a recipe that does not name it is not concerned."""
    write_distribution(site)
    write_distribution(site, "other-loud", filters={"loud": "Loud", "spam": "Loud"})
    with pytest.raises(RecipeError, match=r"\$\.filters\[1\]\.filter: the name 'loud' is claimed"):
        loader.load(recipe)
    loader._shipped.cache_clear()  # as in a new process
    with pytest.raises(
        RecipeError, match=r"\$\.filters\[\d+\]\.filter: the name 'spam' is that of a"
    ):
        loader.load("default")
    assert loader.load("gopher").filters


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_marks: int = 1", "max_marks: float = 1", None),
        (
            "max_marks: int = 1",
            "max_marks: int = 1\n    words: list[str] = []",
            "declare a list as",
        ),
        (
            "    def build",
            "    @property\n    def name(self) -> str:\n        return 'Very loud'\n\n    def build",
            "its name is 'Very loud'; must match",
        ),
        (
            "    def build",
            "    def __post_init__(self) -> None:\n        raise ValueError('no day')\n\n    def build",
            "no day",
        ),
        ("max_marks: int = 1", "max_marks: bool = True", "expected `bool`, got `int`"),
    ],
)
def test_settings_are_checked(
    site: Path, recipe: str, old: str, new: str, message: str | None
) -> None:
    """What a spec cannot be is refused with its path and name, before anything is read."""
    write_distribution(site, code=FILTER.replace(old, new, 1))
    if message is None:
        with pytest.raises(
            RecipeError, match=r"\(loud\): max_marks must be a finite number, got nan"
        ):
            loader.load(recipe, sets=("filters.loud.max_marks=nan",))
        return
    with pytest.raises(RecipeError, match=rf"\$\.filters\[1\].*{message}"):
        loader.load(recipe)


def test_distribution_and_version_are_in_the_fingerprint(tmp_path: Path, recipe: str) -> None:
    """Another version of a distribution makes another phase; our filters' fingerprints have none."""
    of_version = {}
    for version in ("1.0", "1.1"):
        write_distribution(tmp_path / version, version=version)
        with on_the_path(tmp_path / version):
            ours, loud = loader.load(recipe).filters
            of_version[version] = fingerprint_of("clean", [filter_part(ours), filter_part(loud)])
            assert filter_part(loud)[3:] == [
                FilterOrigin("sluice-loud", version, "sluice_loud:Loud")
            ]
            assert len(filter_part(ours)) == 3
    assert of_version["1.0"] != of_version["1.1"]
