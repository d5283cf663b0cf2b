"""The intermediate files of an output, after posts were forgotten from it: none is left.

They hold texts, tokens and ids. What a later run of a changed recipe needs of them it makes again, from the
input and without what was forgotten; a run of the same recipe has nothing to do (see `unchanged`).
"""

from typing import Final

from sluice.pipeline.inputs.forgotten import HEEDED
from sluice.pipeline.phases.job import UNITS
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.output_folder import LEASE, LOCK, OWNER

KEPT: Final = frozenset({OWNER, LOCK, LEASE, UNITS, HEEDED})
"""Files of `work/` that stay: whose the output is, where its units begin, and what was forgotten."""
_COUNTS: Final = "phase.json"
"""What the units of a phase counted; that of clean tells a history which day the posts are of."""


def forget_in_work(output: str) -> int:
    """Deletes the intermediate files of an output; returns how many. What was done before is not done again.

    The caller holds the output.
    """
    work, found = storage.join(output, "work"), 0
    for folder in storage.folders(work):
        name, there = storage.name_of(folder), storage.listing(folder, recursive=True)
        counts = storage.join(folder, _COUNTS) if name.startswith("clean-") else None
        found += sum(file.path != counts for file in there)
        if counts is None or not storage.is_file(counts):
            storage.delete_tree(folder)
            continue
        for stage in storage.folders(folder):
            storage.delete_tree(stage)
        for file in storage.listing(folder):
            if file.path != counts:
                storage.delete(file.path)
    for file in storage.listing(work):
        if f"work/{storage.name_of(file.path)}" not in KEPT:
            storage.delete(file.path)
            found += 1
    return found
