"""The ledger of a run: its equations, and what happens where they do not balance."""

import msgspec
import pytest

from sluice.schemas.errors import LedgerError
from sluice.schemas.report import InputReport, PostReport, TokenLedger, TokenReport, table_problems

POSTS = PostReport(
    read=10,
    kept=5,
    rejected={"too_short": 2},
    duplicates={"redelivered": 0, "exact": 1, "near": 1},
    malformed=1,
    by_lang={"en": 4, "unknown": 1},
    by_day={"unknown": 5},
    by_source={"web": 5},
)
INPUT = InputReport(
    records=13, records_with_posts=9, notices={"delete": 3}, dead_letters=1, posts=9, files=2
)
LEDGER = TokenLedger(
    encoded=90, end_of_document=6, padding=4, in_shards=60, leftover=30, truncated=10
)
TOKENS = TokenReport(encoded=90, by_lang={"en": 90}, by_day={"unknown": 90}, by_source={"web": 90})


def test_a_balanced_ledger_passes() -> None:
    """Counts that add up raise nothing, and the equations show the figures."""
    POSTS.check()
    LEDGER.check()
    INPUT.check(POSTS)
    assert INPUT.equation == "13 records = 9 with posts + 3 notices + 1 dead letter"
    assert POSTS.equation.startswith("10 read = 5 kept + 2 rejected by rules + 2 duplicates")
    assert LEDGER.equation.startswith("90 encoded + 6 end-of-document + 4 padding = 60 in shards")
    assert list(table_problems(POSTS, TOKENS)) == []


@pytest.mark.parametrize("key", ["read", "kept", "malformed", "errors"])
def test_a_lost_post_is_an_error(key: str) -> None:
    """One post more or less on either side of the equation fails the run."""
    with pytest.raises(LedgerError, match="off by"):
        msgspec.structs.replace(POSTS, **{key: getattr(POSTS, key) + 1}).check()


@pytest.mark.parametrize("key", ["records", "records_with_posts", "dead_letters", "posts"])
def test_a_lost_record_is_an_error(key: str) -> None:
    """One record more or less, or posts that come of none, fail the run."""
    with pytest.raises(LedgerError):
        msgspec.structs.replace(INPUT, **{key: getattr(INPUT, key) + 1}).check(POSTS)


@pytest.mark.parametrize("key", TokenLedger.__struct_fields__)
def test_a_lost_token_is_an_error(key: str) -> None:
    """One token more or less anywhere fails the run."""
    with pytest.raises(LedgerError):
        msgspec.structs.replace(LEDGER, **{key: getattr(LEDGER, key) + 1}).check()


def test_a_table_that_does_not_sum_is_named() -> None:
    """Each table of posts and tokens is compared with its total."""
    posts = msgspec.structs.replace(POSTS, by_lang={"en": 4})
    tokens = msgspec.structs.replace(TOKENS, by_source={"web": 91})
    assert list(table_problems(posts, tokens)) == [
        "posts.by_lang sums to 4, posts.kept is 5",
        "tokens.by_source sums to 91, tokens.encoded is 90",
    ]
