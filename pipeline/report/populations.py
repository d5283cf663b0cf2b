"""Whose posts a run read and kept: by platform, and how they spread over authors."""

from sluice.pipeline.inputs.source_notes import platform_of
from sluice.pipeline.phases.job import Job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.units.manifest import done_units, manifests
from sluice.schemas.counts import AuthorSample, CleanCounts, EncodeCounts
from sluice.schemas.report import AuthorSpread, PlatformReport


def platform_reports(job: Job, results: Results) -> dict[str, PlatformReport]:
    """Returns posts read and kept, and tokens, by the platform whose payloads files are."""
    found: dict[str, PlatformReport] = {}
    names = [platform_of(unit.payload) for unit in job.input_units]
    folder = job.work("clean", results.fingerprints["clean"], "clean")
    for manifest, name in zip(manifests(done_units(folder)), names, strict=True):
        found.setdefault(name, PlatformReport()).read += manifest.counted(CleanCounts).read
    folder = job.work("tokens", results.fingerprints["tokens"], "encode")
    for manifest in manifests(done_units(folder)):
        documents = manifest.counted(EncodeCounts).documents
        platform = found[names[manifest.index]]
        platform.kept += documents.distinct_posts
        platform.tokens += documents.tokens
    return dict(sorted(found.items()))


def author_spread(sample: AuthorSample | None) -> AuthorSpread | None:
    """Returns how the posts of a sample's authors spread over them; None where posts name none.

    >>> spread = author_spread(AuthorSample({"0a": 9, "0b": 1}, without=5))
    >>> spread.authors, spread.posts_per_author, spread.one_post_ratio, spread.top_tenth_ratio
    (2, 5.0, 0.5, 0.9)
    """
    if sample is None or not sample.posts:
        return None
    counts = sorted(sample.posts.values(), reverse=True)
    size, total = len(counts), sum(counts)
    is_all = size < sample.SIZE
    authors = size if is_all else round((size - 1) / int(max(sample.posts), 16) * 2**64)
    return AuthorSpread(
        authors=authors,
        sampled=size,
        without=sample.without,
        posts_per_author=round(total / size, 4),
        one_post_ratio=round(counts.count(1) / size, 4),
        top_tenth_ratio=round(sum(counts[: -(-size // 10)]) / total, 4),
    )
