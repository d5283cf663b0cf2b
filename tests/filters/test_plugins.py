"""Filters of other distributions: found by name, held to the rules, refused by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.filters.base import Filter
from sluice.filters.origin import claims, origin_of
from sluice.filters.plugins import SHIPPED, find
from sluice.filters.rules.spam import Spam
from sluice.schemas.errors import FilterError
from sluice.schemas.origin import FilterOrigin
from tests.distributions import FILTER, on_the_path, write_distribution


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder on the path, where distributions can be written."""
    folder = tmp_path / "site"
    folder.mkdir()
    with on_the_path(folder):
        yield folder


def refusal(name: str) -> str:
    with pytest.raises(FilterError) as refused:
        find(name, claims())
    return str(refused.value)


def test_a_filter_is_found_by_its_entry_point(site: Path) -> None:
    """The name leads to the class, and the class to its distribution and version."""
    write_distribution(site)
    kind = find("loud", claims())
    assert kind is not None
    assert kind.__name__ == "Loud"
    assert origin_of(kind) == FilterOrigin("sluice-loud", "1.0", "sluice_loud:Loud")


def test_a_value_that_is_no_reference_harms_nobody(site: Path) -> None:
    """An entry point that leads nowhere is an error of its own name alone."""
    write_distribution(site)
    write_distribution(site, "broken", filters={"quiet": " no reference"})
    kind = find("loud", claims())
    assert kind is not None
    assert str(origin_of(kind)) == "sluice-loud 1.0"
    assert "filter 'quiet' of broken 1.0" in refusal("quiet")


def test_a_class_of_nobody_has_no_origin(site: Path) -> None:
    """A class that has the name of an entry point, and is another one, is not of its distribution."""

    class Loud(Filter, frozen=True, kw_only=True, tag="loud"):
        """Not the one that is installed."""

    write_distribution(site)
    assert origin_of(Loud) is None


def test_ours_have_no_origin() -> None:
    """A filter of ours is found without a look at entry points, and is of no other distribution."""
    assert find("spam", {}) is Spam
    assert {origin_of(kind) for kind in SHIPPED.values()} == {None}
    assert find("no_such_filter", {}) is None


def test_nothing_is_imported_that_is_not_named(site: Path) -> None:
    """To know who claims a name, no code of others is run."""
    write_distribution(site, code="raise SystemExit('was imported')")
    assert list(claims()["loud"]) != []
    assert find("spam", claims()) is Spam
    assert "sluice_loud" not in sys.modules


def test_two_distributions_that_claim_a_name_are_refused(site: Path) -> None:
    """Both are named, with their versions, whichever is found first."""
    write_distribution(site)
    write_distribution(site, "other-loud", version="2.1", code="raise SystemExit")
    said = refusal("loud")
    assert "'loud' is claimed by other-loud 2.1 (other_loud:Loud) and sluice-loud 1.0" in said
    assert "uninstall all of them but one" in said


def test_the_name_of_a_shipped_filter_is_refused(site: Path) -> None:
    """It could mean either; Sluice and the other distribution are named."""
    write_distribution(site, filters={"spam": "Loud"})
    said = refusal("spam")
    assert "filter of sluice " in said
    assert "sluice-loud 1.0 (sluice_loud:Loud) claims it, too" in said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'sluice_loud' has no attribute 'Loud'"),
        ("Loud = 1 +", "SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_is_named(site: Path, code: str, said: str) -> None:
    """The message has the filter, the distribution, the entry point, the cause and the remedy."""
    write_distribution(site, code=code)
    whole = refusal("loud")
    assert "filter 'loud' of sluice-loud 1.0 (sluice_loud:Loud) cannot be loaded" in whole
    assert said in whole
    assert "pip install --force-reinstall 'sluice-loud==1.0'" in whole


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class Loud(Filter, frozen=True, kw_only=True, tag=", "def Loud(x=", "a subclass of"),
        (
            'tag="loud"',
            'tag="silent"',
            "its tag is 'silent'; must be 'loud', the entry point's name",
        ),
        (', tag="loud"', "", "its tag is 'Loud'; must be 'loud'"),
        ('"loud"', '"loud", forbid_unknown_fields=False', "must be frozen, with forbid_unknown"),
        ('"too_loud"', '"Too loud"', "reason = 'Too loud' must match"),
        ('"too_loud"', '"near"', "reason = 'near' is one of Sluice's own"),
        ('reason: ClassVar[str] = "too_loud"', "", "reason = None must match"),
        ('ClassVar[str] = "max_marks"', 'ClassVar[str] = "marks"', "begin with min_ or max_"),
        (
            'ClassVar[str] = "max_marks"',
            'ClassVar[str] = "max_mraks"',
            "the field of the threshold",
        ),
        ("max_marks: int = 1", "max_marks: int = 1\n    version = '2'", "version = '2' must be"),
        (
            "max_marks: int = 1",
            "max_marks: int = 1\n    columns: ClassVar = ('likes',)",
            "columns = ('likes',) must be a tuple of columns of POST",
        ),
        ("def build(self)", "def made(self)", "must define build()"),
    ],
)
def test_a_class_that_breaks_a_rule_is_refused(site: Path, old: str, new: str, said: str) -> None:
    """The message has the rule, and whose filter it is."""
    assert old in FILTER
    write_distribution(site, code=FILTER.replace(old, new, 1))
    whole = refusal("loud")
    assert "filter 'loud' of sluice-loud 1.0" in whole
    assert said in whole


@pytest.mark.parametrize("name", ["post_id", "language", "normalize", "Loud", "loud-er", "1"])
def test_a_name_that_cannot_be_a_column_is_refused(site: Path, name: str) -> None:
    """Names of columns and stages are taken, and a name has small letters, digits and underscores."""
    code = FILTER.replace('tag="loud"', f'tag="{name}"')
    write_distribution(site, filters={name: "Loud"}, code=code)
    assert "its name must match" in (said := refusal(name)) or "is the name of a column" in said
