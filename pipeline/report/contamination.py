"""What became of evaluation sets, and the posts that held their items."""

from msgspec.structs import asdict

from sluice.pipeline.phases.results import Results
from sluice.schemas.report import DecontaminationReport, SetReport


def decontamination_report(results: Results) -> DecontaminationReport | None:
    """Returns what was found of each evaluation set; None for a recipe without any."""
    counts = results.phases.phrases
    if counts is None:
        return None
    posts = results.phases.clean.clean.contaminated or {}
    return DecontaminationReport(
        posts=sum(posts.values()),
        sampled_posts=counts.count.posts,
        common_ngrams=counts.learn.ngrams,
        common_parts=counts.learn.parts,
        sets={
            name: SetReport(**asdict(of_set), posts=posts.get(name, 0))
            for name, of_set in counts.learn.sets.items()
        },
    )
