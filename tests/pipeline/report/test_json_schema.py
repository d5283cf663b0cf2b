"""The shipped JSON Schemas are those of the types, and what a run writes is valid by them."""

import json

import jsonschema
import pytest

from sluice.schemas.json_schema import FOLDER, TYPES, encoded, json_schema
from tests.pipeline.runs import Job


@pytest.mark.parametrize("name", TYPES)
def test_shipped_schemas_are_up_to_date(name: str) -> None:
    """`python -m sluice.schemas.json_schema` would write the same bytes."""
    assert FOLDER.joinpath(f"{name}.schema.json").read_bytes() == encoded(name)


@pytest.mark.parametrize("name", TYPES)
def test_a_run_writes_what_the_schema_says(job: Job, name: str) -> None:
    """A real report and manifest are valid; one with a count that is a text is not."""
    folder = {"report": job.output / "report", "manifest": job.output}[name]
    written = json.loads((folder / f"{name}.json").read_bytes())
    validator = jsonschema.Draft202012Validator(json_schema(name))
    validator.validate(written)
    written["posts"]["kept"] = "many"
    assert not validator.is_valid(written)
