"""`import sluice`: what it has, what it does not load, and that its functions are the commands."""

import subprocess
import sys

import pytest

import sluice
import sluice.errors
from sluice.schemas import errors
from tests.docs.pages import quoted, table


def test_the_import_loads_nothing_heavy() -> None:
    """Neither Beam nor numba, Arrow, NumPy or torch is loaded before a name is used."""
    heavy = "{'apache_beam', 'numba', 'pyarrow', 'numpy', 'torch', 'msgspec'}"
    code = f"import sys, sluice, sluice.errors; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["Recipe", "Progress", "filter_table", "inspect", "open_output"])
def test_only_runs_need_beam(name: str) -> None:
    """Beam takes seconds to import: what does not run a phase leaves it alone."""
    code = f"import sys, sluice; sluice.{name}; assert 'apache_beam' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dataset_can_be_named_without_torch() -> None:
    """Torch is asked for when a dataset is made, by the extra that brings it."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sluice import TokenDataset, TokenLoader\n"
        "try: TokenDataset('out', micro_batch_sequences=1)\n"
        "except ModuleNotFoundError as error: assert \"pip install 'sluice[train]'\" in str(error)\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", sluice.__all__)
def test_every_name_is_there(name: str) -> None:
    """What `__all__` has can be imported, and `dir` shows it."""
    assert getattr(sluice, name) is not None
    assert name in dir(sluice)


def test_the_page_has_every_name() -> None:
    """docs/python.md lists all that `sluice` has."""
    assert sorted(name for row in table("python") for name in quoted(row[0])) == sluice.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module, so that `hasattr` and `from sluice import x` do what they should."""
    assert not hasattr(sluice, "no_such_name")


def test_all_errors_are_public() -> None:
    """`sluice.errors` has every error class that the schemas define."""
    ours = {
        n
        for n, e in vars(errors).items()
        if isinstance(e, type) and e.__module__ == errors.__name__
    }
    assert set(sluice.errors.__all__) == ours
