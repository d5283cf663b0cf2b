"""The mapping: which columns of an input become those of POST."""

import pytest

from sluice.schemas.errors import InputError
from sluice.schemas.payloads.mapping import Constant, Sources, column_mapping


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"txt": "body"}, "input.columns.txt: not a column of a post; did you mean 'text'?"),
        ({"text": ""}, "input.columns.text: must name a column, got an empty string"),
        ({"text": ("body", "")}, "input.columns.text: must name a column, got an empty string"),
        ({"source": ()}, "input.columns.source: must name a column, got an empty string"),
        (
            {"post_id": Constant("1")},
            "input.columns.post_id: cannot be a constant, as each post has its own",
        ),
        (
            {"source": (Constant("forum"), "site")},
            "input.columns.source: what stands behind a constant has no effect",
        ),
        ({"text": "media"}, "input.columns: text and media cannot be the same column"),
    ],
)
def test_mapping_errors(overrides: dict[str, Sources], message: str) -> None:
    """A mapping that cannot be read says which key is wrong and what is meant."""
    with pytest.raises(InputError) as error:
        column_mapping(overrides)
    assert str(error.value) == message
