"""Outputs from which posts were forgotten, and of which a run has nothing else to do.

The units of such an output are gone with its `work/`: what counts is the manifest and the report that the
forgetting left. A run that depends on anything else does everything again, and leaves out what was forgotten.
"""

import dataclasses

from sluice.pipeline.history import versions as history
from sluice.pipeline.inputs.forgotten import forgotten_of, read_heeded
from sluice.pipeline.outputs.finished import read_manifest, read_report
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.run_order import contract_sizes, fingerprints
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.output_folder import COMPLETED
from sluice.pipeline.storage.tombstones import FOLDER
from sluice.schemas.manifest import Manifest
from sluice.schemas.report import Report


def report_of_unchanged(job: Job) -> Report | None:
    """Returns the report of an output from which posts were forgotten, where nothing else has changed.

    That is: recipe, inputs and versions are those of its run, all posts that were forgotten since were
    forgotten from this output, its history still has its posts, and its files are there. The caller holds
    the output and the history.
    """
    own = forgotten_of([storage.join(job.output, FOLDER)])
    if not len(own) or not storage.is_file(storage.join(job.output, COMPLETED)):
        return None
    before, manifest = read_heeded(job.output), read_manifest(job.output)
    if len(job.forgotten.less(before).less(own)):
        return None
    same = fingerprints(dataclasses.replace(job, heeded=before)) == manifest.fingerprints
    return read_report(job.output) if same and _is_whole(job, manifest) else None


def _is_whole(job: Job, manifest: Manifest) -> bool:
    """Returns whether the files of the manifest are there with their sizes, and the history has the posts."""
    tombstones = storage.listing(storage.join(job.output, FOLDER))
    there = contract_sizes(job.output)
    there |= {f"{FOLDER}/{storage.name_of(file.path)}": file.bytes for file in tombstones}
    return _is_remembered(job) and all(there.get(f.path) == f.bytes for f in manifest.files)


def _is_remembered(job: Job) -> bool:
    """Returns whether the history that the recipe names, if any, has posts of these inputs."""
    if job.recipe.dedup.history is None:
        return True
    version = history.current(job.recipe.dedup.history)
    segments = version.segments if version else ()
    return any(segment.inputs == job.inputs_fingerprint for segment in segments)
