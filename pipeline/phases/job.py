"""A job: a recipe, its inputs and its output; and what each of its phases depends on.

Each phase has a fingerprint: its recipe sections, the versions of the filters and models it uses, and
the fingerprints of what it reads. Its work is in a folder named by it, so that changing a threshold
reruns what depends on it and nothing else. Workers, memory and Beam flags are outside.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

import msgspec

from sluice.filters.dedup.minhash import MinHashSpec
from sluice.filters.language.identify import identifier_fingerprint
from sluice.filters.lists.search import COLUMNS
from sluice.filters.privacy.keyed_ids import AUTHOR_KEY, IdKey
from sluice.filters.transformers.load import Located, locate
from sluice.pipeline.history import versions as history
from sluice.pipeline.inputs import evaluation_sets
from sluice.pipeline.inputs.evaluation_sets import FoundSets, find_sets
from sluice.pipeline.inputs.forgotten import ForgottenPosts, forgotten_of
from sluice.pipeline.inputs.inventory import InputUnit, Inventory, cut, find_inputs
from sluice.pipeline.inputs.list_files import (
    CarriedLists,
    FoundLists,
    find_lists,
    keep_table,
    table_path,
)
from sluice.pipeline.inputs.reader import ReadOptions
from sluice.pipeline.inputs.source_notes import check_sources
from sluice.pipeline.processes.cores import WORKER_BYTES
from sluice.pipeline.recipes.schema import Classifier, PrivacySection, Recipe, canonical
from sluice.pipeline.storage import files as storage
from sluice.pipeline.storage.key_file import read_key
from sluice.pipeline.storage.output_folder import Owner
from sluice.pipeline.storage.sealed import read_sealed, write_sealed
from sluice.pipeline.storage.tombstones import FOLDER as TOMBSTONES
from sluice.pipeline.storage.tombstones import tombstone_files
from sluice.schemas.errors import InputError, RecipeError, did_you_mean
from sluice.schemas.payloads.known_formats import FORMATS, PAYLOAD_VERSION, ROWS
from sluice.schemas.post import KEPT_COLUMNS, OPTIONAL_COLUMNS

FORMAT = 9
"""Raised when the intermediate files change shape: finished units of another format are not reused."""
_INPUTS = {"phase": "inputs", "format": 5, "sluice": "0.1.0"}
"""Begins the hash of the inputs, as version 0.1 wrote it: outputs and histories know their inputs by it."""

INPUT_EXPANSION = {"gz": 4.0, "bz2": 5.0, "xz": 5.0, "zst": 5.0, "parquet": 3.0}
"""Bytes of JSON for a byte of a compressed input, about; only plans and partition counts use it."""
KEY_PARTITION_BYTES = 32 << 20
MAX_PARTITIONS = 4096
MAX_UNITS = 100_000
"""Units are named by five digits, so that the order of names is the order of rows."""
UNITS = "work/units.json"
LISTS = "work"
"""The folder of the table of lists."""
SETS = "work"
"""The folder of the table of evaluation sets, before common phrases are known."""
installed = cache(version)
"""The version of an installed distribution, looked up once: its metadata takes milliseconds to read."""


class KeptUnits(msgspec.Struct, frozen=True):
    """The units of a run's input, kept in its output so that a run that resumes need not cut it again.

    Attributes:
        key: a hash of the inputs and of how they are cut.
        units: in the order of their rows.
    """

    key: str
    units: tuple[InputUnit, ...]


@dataclass(frozen=True)
class Job:
    """What is to be done, to which files, and where the result goes.

    Attributes:
        heeded: posts that are left out because they were forgotten; None for those of all tombstones.
    """

    recipe: Recipe
    inventory: Inventory
    output: str
    heeded: ForgottenPosts | None = None

    @cached_property
    def forgotten(self) -> ForgottenPosts:
        """The posts that were forgotten: `heeded`, or those of all tombstones that the run knows.

        Raises:
            InputError: a folder of the recipe has no tombstones, or two folders are of different keys.
            OutputError: a file is none of tombstones.
        """
        if self.heeded is not None:
            return self.heeded
        history, others = self.recipe.dedup.history, self.recipe.input.forgotten
        folders = [storage.join(folder, TOMBSTONES) for folder in (self.output, history) if folder]
        for folder in others:
            if not tombstone_files(folder):
                raise InputError(
                    f"input.forgotten: {folder}: holds no tombstones: name folders as `sluice forget` writes "
                    f"them, OUTPUT/forgotten"
                )
        return forgotten_of([*folders, *others])

    def check_key_of_forgotten(self) -> None:
        """Raises RecipeError where posts were forgotten, and the recipe's key does not tell which."""
        forgotten = self.forgotten
        if len(forgotten) and (self.key is None or self.key.check != forgotten.key_check):
            what = "must be set" if self.key is None else "is another key"
            raise RecipeError(
                f"privacy.key_file: {what}: {len(forgotten):,} posts were forgotten, and only the key that "
                f"`sluice forget` was given tells which they are; set privacy.key_file to its file"
            )

    @cached_property
    def input_bytes(self) -> int:
        """Bytes of JSON that the inputs hold, about."""
        total = 0.0
        for file in self.inventory.files:
            packed = (*file.format.layers, file.format.content)
            total += file.bytes * max(INPUT_EXPANSION.get(part, 1.0) for part in packed)
        return int(total)

    @property
    def worker_bytes(self) -> int:
        """Memory of a process that does units: more where a file's decoder needs a long window."""
        return WORKER_BYTES + max((f.window_bytes for f in self.inventory.files), default=0)

    @property
    def minhash(self) -> MinHashSpec:
        """How duplicates are looked for."""
        d = self.recipe.dedup
        return MinHashSpec(bands=d.bands, rows=d.rows, ngram=d.ngram, seed=self.recipe.seed)

    @cached_property
    def inputs_fingerprint(self) -> str:
        """Returns a hash of the inputs' names and contents, the same in all versions of Sluice."""
        return _digest(_INPUTS, [f.identity for f in self.inventory.files])

    @cached_property
    def input_units(self) -> tuple[InputUnit, ...]:
        """The pieces that the input is cut into, in the order of their rows.

        To cut plain JSON lines is to read them: units that an earlier run has kept are taken as they are.

        Raises:
            InputError: there are too many.
        """
        units = _kept_units(self)
        if units is None:
            units = tuple(cut(self.inventory, unit_bytes=self.recipe.input.unit_bytes))
        if len(units) > MAX_UNITS:
            raise InputError(
                f"{len(units):,} units are more than {MAX_UNITS:,}: raise input.unit_bytes, or give Sluice "
                f"fewer and larger files"
            )
        return units

    @property
    def has_payloads(self) -> bool:
        """Whether a file of the input is what a platform sends."""
        return has_payloads(self.inventory)

    @property
    def excludes(self) -> bool:
        """Whether the run has a phase `exclude`: something may take out posts that clean kept."""
        capped = self.recipe.authors.max_posts_per_day is not None
        return self.has_payloads or capped or bool(self.recipe.input.deletions)

    @cached_property
    def deletions(self) -> Inventory | None:
        """The files of `input.deletions`; None where the recipe names none."""
        settings = self.recipe.input
        if not settings.deletions:
            return None
        return find_inputs(settings.deletions, identity=settings.identity, payload=ROWS)

    @cached_property
    def lists(self) -> FoundLists | None:
        """The lists of the recipe, their files read once; None where it has none."""
        return find_lists(self.recipe.lists)

    @cached_property
    def sets(self) -> FoundSets | None:
        """The evaluation sets of the recipe, their files hashed once; None where it has none."""
        return find_sets(self.recipe.decontamination.sets)

    @cached_property
    def remembered(self) -> tuple[history.Segment, ...]:
        """The segments of the history that this run may read, as they were when it first looked.

        A run holds the history's lock from before that look to its end.
        """
        folder = self.recipe.dedup.history
        version = history.current(folder) if folder is not None else None
        if folder is None or version is None:
            return ()
        history.check_sketch(version, self.sketch, folder=folder)
        return history.before(version, inputs=self.inputs_fingerprint)

    @cached_property
    def language_fingerprint(self) -> str:
        """The fingerprint of the language models, read once: they are large."""
        return identifier_fingerprint(self.recipe.language.model)

    @cached_property
    def tokenizer_sha256(self) -> str | None:
        """The SHA-256 of the frozen tokenizer, read once; None where one is trained."""
        path = self.recipe.vocabulary.tokenizer
        if path is None:
            return None
        try:
            return hashlib.sha256(storage.read_bytes(path)).hexdigest()
        except OSError as error:
            raise RecipeError(f"vocabulary.tokenizer = {path!r}: {error.strerror}") from None

    @cached_property
    def key(self) -> IdKey | None:
        """The key that ids are hashed with, read once; None where the recipe names none."""
        path = self.recipe.privacy.key_file
        return None if path is None else read_key(path, where="privacy.key_file")

    @property
    def privacy(self) -> PrivacySection:
        """The recipe's section, with the path of the key file as all workers find it."""
        section = self.recipe.privacy
        if section.key_file is None:
            return section
        return msgspec.structs.replace(section, key_file=storage.absolute(section.key_file))

    @property
    def sketch(self) -> history.Sketch:
        """What the keys and texts of a history depend on."""
        return history.sketch(self.minhash)

    @cached_property
    def located(self) -> tuple[Located, ...]:
        """The files of each transformer, found and checked.

        Raises:
            InputError: the packages are missing, or a file is missing or not the one that was pinned.
            RecipeError: a threshold is of a label that the model does not have.
        """
        return tuple(map(_located, self.recipe.transformers))

    def owner(self, command: str) -> Owner:
        """Returns what the output folder is made for, by a command."""
        return Owner(command, self.recipe.name, self.inputs_fingerprint)

    @property
    def screens(self) -> tuple[str, ...]:
        """The filters that run a model, in recipe order."""
        return tuple(f.name for f in self.recipe.filters if f.screen)

    def work(self, phase: str, fingerprint: str, stage: str = "") -> str:
        """Returns the folder of a phase's or a stage's work."""
        folder = storage.join(self.output, "work", f"{phase}-{fingerprint[:12]}")
        return storage.join(folder, stage) if stage else folder


def fingerprint_of(phase: str, part: Any) -> str:
    """Returns the SHA-256, in hex, of what a phase depends on."""
    return _digest({"phase": phase, "format": FORMAT, "sluice": installed("sluice")}, part)


def _digest(of: dict[str, object], part: Any) -> str:
    whole = {**of, "part": canonical(part)}
    return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()


def _located(spec: Classifier) -> Located:
    found = locate(spec)
    for key in ("max_scores", "min_scores"):
        for label in getattr(spec, key):
            if label not in found.labels:
                raise RecipeError(
                    f"transformers.{spec.prefix}.{key}.{label}: the model has no such label"
                    f"{did_you_mean(label, found.labels)}; it has {', '.join(found.labels)}"
                )
    return found


def key_partitions(job: Job) -> int:
    """Returns the partitions of the key exchange: enough that each fits a small part of memory."""
    return min(MAX_PARTITIONS, max(8, math.ceil(job.input_bytes / KEY_PARTITION_BYTES)))


def optional_columns(recipe: Recipe, inventory: Inventory) -> tuple[str, ...]:
    """Returns those of OPTIONAL_COLUMNS that something of the run reads, in clean or later."""
    used = {name for spec in recipe.filters for name in spec.columns}
    used |= {"platform" for spec in recipe.lists if spec.platforms}
    used.update(*(COLUMNS.get(spec.kind, ()) for spec in recipe.lists))
    used |= {"platform"} if recipe.privacy.author_key else set()
    used |= _later_columns(recipe, inventory)
    return tuple(name for name in OPTIONAL_COLUMNS if name in used)


def kept_columns(recipe: Recipe, inventory: Inventory) -> tuple[str, ...]:
    """Returns the columns that pass clean: KEPT_COLUMNS, optional ones read later, the author's key."""
    later = _later_columns(recipe, inventory)
    author_key = [AUTHOR_KEY.name] if recipe.privacy.author_key else []
    others = (name for name in OPTIONAL_COLUMNS if name in later)
    return (*KEPT_COLUMNS, *others, *author_key)


def carried_columns(recipe: Recipe) -> tuple[str, ...]:
    """Returns the columns of posts that go with them to the provenance."""
    author_key = [AUTHOR_KEY.name] if recipe.privacy.author_key else []
    return (*recipe.tokens.provenance, *author_key)


def _later_columns(recipe: Recipe, inventory: Inventory) -> set[str]:
    """Returns columns that phases behind clean read, beside those that every run has.

    Those that posts name each other by pass clean wherever the input has them, so that clean and dedup do not
    depend on what is made of conversations.
    """
    is_payload = has_payloads(inventory)
    linking = {n for n in LINK_COLUMNS if is_payload or n in recipe.input.columns}
    media = {"media"} if recipe.media.placeholders else set()
    header = {field.column for field in recipe.tokens.header_fields if field.column is not None}
    return linking | media | header.union(recipe.tokens.provenance)


LINK_COLUMNS = ("platform", "quoted_id", "reposted_id", "alias_id")
"""Those of OPTIONAL_COLUMNS that hold ids which posts name each other by, and the platform whose they are."""


def has_payloads(inventory: Inventory) -> bool:
    """Returns whether a file is what a platform sends."""
    return any(file.payload != ROWS for file in inventory.files)


def read_options(recipe: Recipe, inventory: Inventory) -> ReadOptions:
    """Returns how the reader is to read."""
    return ReadOptions(
        columns=recipe.input.columns,
        time_format=recipe.input.time_format,
        ids=recipe.input.ids,
        optional_columns=optional_columns(recipe, inventory),
        notices=has_payloads(inventory),
        max_text_bytes=recipe.input.max_text_bytes,
    )


def keep_units(job: Job) -> None:
    """Writes the units of the input into the output, which the caller holds, unless they are there."""
    if _kept_units(job) is None:
        write_sealed(storage.join(job.output, UNITS), KeptUnits(_units_key(job), job.input_units))


def keep_lists(job: Job) -> None:
    """Writes the table of the recipe's lists into the output, which the caller holds, unless it is there.

    Raises:
        RecipeError: a line of a list is no entry.
    """
    if job.lists is not None:
        keep_table(job.lists, storage.join(job.output, LISTS))


def carried_lists(job: Job) -> CarriedLists | None:
    """Returns the lists as stages carry them; None where the recipe has none."""
    if job.lists is None:
        return None
    path = table_path(job.lists, storage.join(job.output, LISTS))
    return CarriedLists(job.lists.specs, job.lists.names, path)


def keep_sets(job: Job) -> None:
    """Writes the table of the evaluation sets into the output, which the caller holds, unless it is there.

    Raises:
        RecipeError: a file of a set cannot be read, or has not the fields that the recipe names.
    """
    if job.sets is not None:
        evaluation_sets.keep_table(job.sets, storage.join(job.output, SETS))


def sets_table(job: Job) -> str:
    """Returns the path of the table that `keep_sets` wrote."""
    if job.sets is None:
        raise ValueError("the recipe has no evaluation sets")
    return evaluation_sets.table_path(job.sets, storage.join(job.output, SETS))


def _kept_units(job: Job) -> tuple[InputUnit, ...] | None:
    """Returns the units of these inputs that an earlier run has kept, or None."""
    try:
        kept = read_sealed(storage.join(job.output, UNITS), KeptUnits)
    except (FileNotFoundError, ValueError):
        return None
    return kept.units if kept.key == _units_key(job) else None


def _units_key(job: Job) -> str:
    formats = [job.recipe.input.format, sorted(FORMATS), PAYLOAD_VERSION]
    return fingerprint_of("units", [job.inputs_fingerprint, job.recipe.input.unit_bytes, formats])


def make_job(recipe: Recipe, *, out: str) -> Job:
    """Returns the job of a recipe: its inputs found, hashed and in order.

    Raises:
        RecipeError: the recipe names no input.
        InputError: a pattern matches nothing, or a file cannot be read.
    """
    if not recipe.input.files:
        raise RecipeError("no input: give --input GLOB, or input.files in the recipe")
    if storage.is_remote(recipe.dedup.history or ""):
        raise RecipeError(
            f"dedup.history = {recipe.dedup.history!r}: must be a folder on a file system that all workers "
            f"share; a history is not kept in an object store"
        )
    settings = recipe.input
    inventory = find_inputs(settings.files, identity=settings.identity, payload=settings.payload)
    job = Job(recipe, inventory, storage.absolute(out))
    _check_dropped_authors(job)
    check_sources(recipe.sources, inventory.files)
    # A file that is missing is an error before anything is done.
    _ = job.deletions, job.key, job.lists, job.sets
    return job


def _check_dropped_authors(job: Job) -> None:
    """Raises RecipeError where authors' ids are dropped, and notices may name authors."""
    if job.recipe.privacy.author_id == "drop" and (job.has_payloads or job.recipe.input.deletions):
        raise RecipeError(
            'privacy.author_id = "drop": the input has notices of deletions and refusals, which name '
            'authors, and would find none of their posts: take "hash"'
        )
