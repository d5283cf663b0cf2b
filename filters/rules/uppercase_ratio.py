"""Upper case: drops posts that shout."""

from typing import ClassVar

from sluice.filters.base import Filter, Scorer
from sluice.filters.rules.bounds import Count, Ratio, ratio


class UppercaseRatio(Filter, frozen=True, kw_only=True, tag="uppercase_ratio"):
    """Drops a post in capitals. Score: upper-case letters / letters of own text, those without a case too.

    A few Latin capitals in a Thai or Chinese post so do not make it shout.

    Attributes:
        max_ratio: in [0, 1].
        min_cased: a post with fewer cased letters scores 0: "OK" and "LOL" do not shout.

    Source: ours.
    """

    version: ClassVar[int] = 2
    reason: ClassVar[str] = "too_much_upper_case"
    bound: ClassVar[str] = "max_ratio"

    max_ratio: Ratio = 0.7
    min_cased: Count = 10

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, in [0, 1]."""
        return lambda batch: ratio(
            batch.features.num_upper * (batch.features.num_cased >= self.min_cased),
            batch.features.num_letters,
        )
