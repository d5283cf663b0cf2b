"""manifest.json: what a run read and made, with sizes, SHA-256, counts and fingerprints.

It holds what a reader relies on, and nothing that differs between two runs of the same job: no times, hosts
or absolute paths.
"""

from typing import Any, Final

import msgspec

from sluice.schemas.counts import PhaseCounts
from sluice.schemas.names import inside
from sluice.schemas.origin import FilterOrigin
from sluice.schemas.report import (
    InputReport,
    ModelFile,
    PostReport,
    SourcesReport,
    TokenLedger,
    TokenReport,
)

MANIFEST_VERSION: Final = 1


class ContractFile(msgspec.Struct, kw_only=True):
    """A file of the output contract.

    Attributes:
        path: relative to the output folder, inside it.
    """

    path: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        inside(self.path)


class ShardFile(ContractFile, kw_only=True, omit_defaults=True):
    """A token shard; `tokens` without padding.

    Attributes:
        written_sha256: its SHA-256 as its run wrote it, where posts were forgotten since: the loader knows
            shards by it, so that a training goes on.
    """

    sequences: int
    tokens: int
    written_sha256: str = ""


class InputEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An input file: its SHA-256, or the time that its store lists where that is its identity."""

    path: str
    bytes: int
    sha256: str | None = None
    modified_ns: int | None = None


class ListFileEntry(msgspec.Struct, kw_only=True):
    """A file of a list of the recipe, by its name below the longest common folder of the list's files."""

    list: str
    path: str
    bytes: int
    sha256: str


class TokenFormat(msgspec.Struct, kw_only=True):
    """The numbers that a reader of the shards needs."""

    sequence_length: int
    vocabulary_size: int
    pad_id: int
    eod_id: int
    sequences_per_shard: int


class FilterVersion(msgspec.Struct, kw_only=True):
    """A filter of the run.

    Attributes:
        version: of the filter: raised whenever the same settings give other scores.
        origin: the distribution that it is of; None for those of Sluice.
    """

    name: str
    version: int
    origin: FilterOrigin | None = None


class ForgottenCounts(msgspec.Struct, kw_only=True):
    """What `sluice forget` changed since the run, whose own counts stay in `phases`.

    Attributes:
        times: forgets that ended; the tombstones of each are a file of `forgotten/`.
        earlier: those of them that ended before the run, which left out their posts; not counted here.
        posts: that were kept.
        tokens: that were overwritten.
        id_sum: what the sum of ids in provenance grew by, see `pipeline.phases.tokens.mixture.sum_of_ids`.
    """

    times: int = 0
    earlier: int = 0
    posts: int = 0
    tokens: int = 0
    id_sum: int = 0


class Manifest(msgspec.Struct, kw_only=True):
    """manifest.json.

    Attributes:
        recipe: the recipe with its defaults and without paths, as JSON.
        sources: licences and terms of the input, as in the report; None where the recipe has none.
        lists: the files of lists, in recipe order.
        filters: in recipe order; none in an output of a version before 0.3.
        input: None in an output of a version before 0.3.
        key_check: which key ids are hashed with, where the recipe names one; nothing about the key.
        forgotten: None where nothing was.
    """

    manifest_version: int
    sluice: str
    recipe: dict[str, Any]
    fingerprints: dict[str, str]
    inputs: list[InputEntry]
    sources: SourcesReport | None = None
    lists: list[ListFileEntry] = []
    filters: list[FilterVersion] = []
    models: list[ModelFile]
    phases: PhaseCounts
    input: InputReport | None = None
    posts: PostReport
    tokens: TokenReport
    token_ledger: TokenLedger
    format: TokenFormat
    shards: list[ShardFile]
    files: list[ContractFile]
    key_check: str | None = None
    forgotten: ForgottenCounts | None = None
