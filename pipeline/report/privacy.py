"""What a run masked of personal data, by kind and language."""

from collections.abc import Sequence

from sluice.pipeline.ledger.tally import most_first
from sluice.schemas.counts import MaskedCounts
from sluice.schemas.report import PrivacyReport


def privacy_report(counts: MaskedCounts | None, kinds: Sequence[str]) -> PrivacyReport | None:
    """Returns what was masked in kept posts; None where a recipe masks nothing.

    >>> privacy_report(MaskedCounts(1, {"email": 2}, {"en": {"email": 2}}), ["email", "ip"]).by_kind
    {'email': 2, 'ip': 0}
    """
    if not kinds:
        return None
    found = counts or MaskedCounts()
    totals = {name: sum(table.values()) for name, table in found.by_lang.items()}
    return PrivacyReport(
        posts=found.posts,
        values=sum(found.by_kind.values()),
        by_kind={kind: found.by_kind.get(kind, 0) for kind in kinds},
        by_lang={name: found.by_lang[name] for name, _ in most_first(totals)},
    )
