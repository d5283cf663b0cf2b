"""Filters on their way to workers: equal where they arrive, and a named error where they cannot."""

import pickle
from pathlib import Path

import pytest

from sluice.filters.base import Filter
from sluice.filters.carried import carried, unpacked
from sluice.filters.origin import claims
from sluice.filters.plugins import find
from sluice.filters.registry import MinWords
from sluice.filters.rules.language_allowed import LanguageAllowed
from sluice.schemas.errors import FilterError
from tests.distributions import on_the_path, write_distribution


def loud_of(folder: Path, version: str) -> bytes:
    """Returns the pickle of a recipe's filters, one of them of sluice-loud."""
    write_distribution(folder, version=version)
    with on_the_path(folder):
        kind = find("loud", claims())
        assert kind is not None
        return pickle.dumps(carried([MinWords(), kind(max_marks=3)]))


def test_filters_arrive_as_they_were() -> None:
    """Specs of ours are equal after the way, in their order."""
    specs = (MinWords(min_words=3), LanguageAllowed(languages=("en", "yue")))
    assert unpacked(pickle.loads(pickle.dumps(carried(specs)))) == specs


def test_a_filter_of_nobody_is_refused() -> None:
    """A class of a notebook or a script could not be found by a worker."""

    class Local(Filter, frozen=True, kw_only=True, tag="local"):
        """A filter of this test."""

    with pytest.raises(FilterError, match=r"filter 'local': no distribution has an entry point"):
        carried([MinWords(), Local()])


def test_filters_of_others_arrive_where_they_are_installed(tmp_path: Path) -> None:
    """The class is found by its entry point there."""
    sent = loud_of(tmp_path, "1.0")
    with on_the_path(tmp_path):
        ours, loud = unpacked(pickle.loads(sent))
        kind = find("loud", claims())
        assert kind is not None
        assert (ours, loud) == (MinWords(), kind(max_marks=3))


def test_a_worker_without_the_distribution_says_so(tmp_path: Path) -> None:
    """The pickle is read without it, and the error names filter, distribution, version and remedy."""
    filters = pickle.loads(loud_of(tmp_path, "1.1"))
    with pytest.raises(FilterError) as missing:
        unpacked(filters)
    assert "filter 'loud' needs sluice-loud 1.1 on every worker" in str(missing.value)
    assert "it is not installed: run pip install 'sluice-loud==1.1' there" in str(missing.value)


def test_a_worker_with_another_version_says_so(tmp_path: Path) -> None:
    """Both versions are named: another one may give other scores."""
    filters = pickle.loads(loud_of(tmp_path / "driver", "1.2"))
    write_distribution(tmp_path / "worker", version="1.3")
    with (
        on_the_path(tmp_path / "worker"),
        pytest.raises(FilterError, match=r"needs sluice-loud 1\.2"),
    ):
        unpacked(filters)
    with on_the_path(tmp_path / "worker"), pytest.raises(FilterError, match=r"1\.3 is installed"):
        unpacked(filters)
