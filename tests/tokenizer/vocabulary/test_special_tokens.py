from sluice.tokenizer.vocabulary import special


def test_ids_of_named_tokens_are_fixed() -> None:
    """The named tokens have the ids that shards and models rely on, and 46 names are in reserve."""
    named = ["pad", "bod", "eod", "turn", "email", "phone", "image", "video"]
    named += ["ip", "account", "handle", "url", "audio"]
    named += ["national_id", "key", "wallet", "coordinates", "url_secret"]
    reserved = [f"reserved_{n}" for n in range(46)]
    assert list(special.SPECIAL_TOKENS) == [f"<|{name}|>" for name in named + reserved]
    assert special.SPECIAL_TOKENS[:4] == (special.PAD, special.BOD, special.EOD, special.TURN)


def test_fillers_repeat_no_name() -> None:
    """The numbers of fillers follow those of the reserved special tokens."""
    assert special.fillers(2) == ["<|reserved_46|>", "<|reserved_47|>"]
    assert special.fillers(0) == []
    assert not set(special.fillers(500)) & set(special.SPECIAL_TOKENS)


def test_link_tokens_are_the_beginnings_of_links() -> None:
    """Twelve literal strings, in an order that is fixed, none of them a special token."""
    assert special.NUM_LINKS == len(set(special.LINK_TOKENS)) == 12
    assert special.LINK_TOKENS[:3] == ("https://", "https://www.", "https://t.co/")
    assert special.LINK_TOKENS[6:] == tuple(" " + link for link in special.LINK_TOKENS[:6])
    assert not set(special.LINK_TOKENS) & set(special.SPECIAL_TOKENS)
