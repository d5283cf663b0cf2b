"""The wrapped filter keeps Sluice's contract, and its verdicts are datatrove's."""

from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter
from sluice_datatrove.c4_quality import DatatroveC4

from sluice import list_filters
from sluice.filters.batch import Batch
from sluice.testing import check_filter, posts_of

TEXTS = ["Lorem ipsum dolor sit amet.", "see {this} here", "the boats leave at six", ""]


def test_contract() -> None:
    """Every rule of Sluice holds, on posts that break what is careless."""
    check_filter(DatatroveC4())


def test_verdicts_are_those_of_datatrove() -> None:
    """What datatrove's filter keeps has the score 1, what it drops 0."""
    peer = C4QualityFilter(min_num_sentences=-1, filter_no_terminal_punct=False)
    theirs = [peer.filter(Document(text=text, id="")) is True for text in TEXTS]
    assert theirs == [False, False, True, True]
    assert DatatroveC4().build()(Batch(posts_of(TEXTS))).tolist() == theirs


def test_a_rule_can_be_switched_off() -> None:
    """Without the rule about brackets code is kept."""
    score = DatatroveC4(curly_brackets=False).build()
    assert score(Batch(posts_of(TEXTS))).tolist() == [0, 1, 1, 1]


def test_it_is_listed() -> None:
    """Where the package is installed, recipes can name the filter."""
    (found,) = (info for info in list_filters() if info.name == "datatrove_c4")
    assert (found.origin.distribution, found.refused) == ("sluice-datatrove", "")
