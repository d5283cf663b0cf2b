"""The tokenizer in the libraries that people have: `tokenizers`, `transformers`, `tiktoken`, gigatoken."""

import gzip
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiktoken
import transformers
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from sluice.schemas.errors import InputError
from sluice.tokenizer.encode import Encoder
from sluice.tokenizer.export.tiktoken import tiktoken_vocabulary
from sluice.tokenizer.vocabulary.special import EOD, SPECIAL_TOKENS
from sluice.tokenizer.vocabulary.tricky_texts import TRICKY

Texts = list[str]
Ids = list[list[int]]
Library = Callable[[Texts], Ids]

ATOMS = [
    *("<|", "|>", "<|eod|>", "<|pad|", "eod", "a<|bod|>b", "<|reserved_0|>"),
    *(
        " ",
        "  ",
        "\n",
        "\r\n",
        "\u3000",
        "'s",
        "'\u017f",
        "I'LL",
        "#",
        "@",
        "/",
        "http://",
        "\u200d",
    ),
    *("12345", "\u0661", "abc", "Abc", "ABC", "\u00e9", "e\u0301", "\u0434\u0430", "\u0e01\u0e34"),
    *("\u4e2d\u6587", "\u3042", "\u1112\u1161", "\U0001f44d\U0001f3fd", "\ufe0f", "\uffff"),
]
texts_of_atoms = st.lists(st.sampled_from(ATOMS) | st.text(max_size=6), max_size=12).map("".join)


@pytest.fixture(scope="module")
def libraries(vocabulary: Path) -> dict[str, Library]:
    """Each library's ids of texts, with the settings that docs/export.md states."""
    path = vocabulary / "tokenizer.json"
    plain = Tokenizer.from_file(str(path))
    plain.encode_special_tokens = True
    auto = transformers.AutoTokenizer.from_pretrained(vocabulary)
    encoding = tiktoken.Encoding("sluice", **tiktoken_vocabulary(path)._asdict())
    encoder = Encoder(path)
    assert encoder.engine == "gigatoken"

    def by_gigatoken(texts: Texts) -> Ids:
        tokens_T, offsets_N1 = encoder.encode(pa.array(texts, pa.string()))
        return [tokens_T[a:b].tolist() for a, b in itertools.pairwise(offsets_N1)]

    return {
        "tokenizers": lambda texts: [
            e.ids for e in plain.encode_batch_fast(texts, add_special_tokens=False)
        ],
        "transformers": lambda texts: auto(texts, add_special_tokens=False)["input_ids"],
        "tiktoken": lambda texts: [encoding.encode_ordinary(text) for text in texts],
        "gigatoken": by_gigatoken,
    }


def check_equal(libraries: dict[str, Library], texts: Texts) -> Ids:
    """Returns the ids of texts, which all libraries agree on."""
    found = {name: encode(texts) for name, encode in libraries.items()}
    for name, ids in found.items():
        assert ids == found["tokenizers"], name
    return found["tokenizers"]


@settings(max_examples=150)
@given(texts=st.lists(texts_of_atoms, min_size=1, max_size=6))
def test_equal_ids(libraries: dict[str, Library], texts: Texts) -> None:
    """All four give the same ids for any text, and none of them is that of a special token."""
    ids = check_equal(libraries, texts)
    assert min(itertools.chain(*ids), default=len(SPECIAL_TOKENS)) >= len(SPECIAL_TOKENS)


def test_equal_ids_of_tricky_texts(libraries: dict[str, Library]) -> None:
    """So they do for texts that tell engines apart, and for every imitation of a special token."""
    imitations = [f"{before}{name}{after}" for name in SPECIAL_TOKENS for before, after in AROUND]
    ids = check_equal(libraries, [*TRICKY, *imitations])
    assert min(itertools.chain(*ids)) >= len(SPECIAL_TOKENS)


AROUND = (("", ""), ("a", "b"), (" ", " "), ("<|eod|>", ""))


def test_equal_classes_of_code_points(tokenizer_json: Path) -> None:
    """Every class and folded letter in the pattern has the same code points in both pattern engines."""
    spec = json.loads(tokenizer_json.read_text())
    pattern = spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    classes = set(re.findall(r"\\p\{\w+\}|\\s|\(\?i:.*?\)", pattern))
    assert len(classes) >= 4
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for each in sorted(classes):
        text = ("'" if "'" in each else "").join(points)
        rest = normalizers.Replace(Regex(each), "").normalize_str(text)
        matched = matches(each, text)
        assert matched
        assert len(matched) + len(rest) == len(text), each
        assert not set(matched) - {"'"} & set(rest), each


def matches(pattern: str, text: str) -> str:
    """Returns what tiktoken's engine matches in a text; it leaves out what is not matched."""
    ranks = {bytes([b]): b for b in range(256)}
    encoding = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return encoding.decode(encoding.encode_ordinary(text))


@pytest.mark.real
def test_equal_ids_of_real_posts(libraries: dict[str, Library], data: Path) -> None:
    """So they do for 20,000 real posts."""
    with gzip.open(data / "firehose" / "part-03.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in itertools.islice(lines, 20_000)]
    check_equal(libraries, texts)


def test_tiktoken_reads_back_and_knows_special_tokens(vocabulary: Path) -> None:
    """Ids become the text again, names are special where they are allowed, and the size is right."""
    path = vocabulary / "tokenizer.json"
    encoding = tiktoken.Encoding("sluice", **tiktoken_vocabulary(path)._asdict())
    assert [encoding.decode(encoding.encode_ordinary(text)) for text in TRICKY] == list(TRICKY)
    assert encoding.encode("<|eod|>", allowed_special="all") == [SPECIAL_TOKENS.index(EOD)]
    assert encoding.n_vocab == Tokenizer.from_file(str(path)).get_vocab_size()


def test_the_pattern_is_that_of_the_file(tokenizer_json: Path, tmp_path: Path) -> None:
    """Another pattern in the file is another pattern in tiktoken, with the ids of `tokenizers`."""
    spec = json.loads(tokenizer_json.read_text())
    spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}{1,2}|\s|[^\s\p{L}]+"
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(spec))
    encoding = tiktoken.Encoding("other", **tiktoken_vocabulary(path)._asdict())
    expected = Tokenizer.from_file(str(path))
    expected.encode_special_tokens = True
    for text in TRICKY:
        assert encoding.encode_ordinary(text) == expected.encode(text).ids


LITERALS = ("http", " http", "http:/", "ab", "abc", "  x", "\u00e9'", "1", "..")


@pytest.fixture(scope="module")
def with_literals(
    tokenizer_json: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tokenizer, tiktoken.Encoding]:
    """The vocabulary with added tokens that are text, begin each other and begin with anything."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in LITERALS])
    path = tmp_path_factory.mktemp("literals") / "tokenizer.json"
    tokenizer.save(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer, tiktoken.Encoding("x", **tiktoken_vocabulary(path)._asdict())


@settings(max_examples=400)
@given(text=st.lists(st.sampled_from([*LITERALS, *ATOMS, "x", "c", "\t", " \n"])).map("".join))
def test_added_tokens_that_are_text(
    with_literals: tuple[Tokenizer, tiktoken.Encoding], text: str
) -> None:
    """Added tokens are found as `tokenizers` finds them, and what lies between is cut on its own."""
    tokenizer, encoding = with_literals
    assert encoding.encode_ordinary(text) == tokenizer.encode(text).ids


# --- vocabularies that ranks cannot express ------------------------------------------------------


def write_bpe(path: Path, merges: list[tuple[str, str]], alphabet: str) -> Path:
    """Writes a byte-level BPE of single letters and some merges, ids in the order of making."""
    entries = dict.fromkeys([*alphabet, *(left + right for left, right in merges)])
    vocab = {entry: i for i, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.save(str(path))
    return path


def naive(path: Path) -> tiktoken.Encoding:
    """Returns tiktoken with ids for ranks, unchecked."""
    vocab = json.loads(path.read_text())["model"]["vocab"]
    ranks = {entry.encode(): i for entry, i in vocab.items()}
    return tiktoken.Encoding("naive", pat_str=r"\p{L}+", mergeable_ranks=ranks, special_tokens={})


def test_an_entry_that_merges_do_not_make(tmp_path: Path) -> None:
    """Where b joins c before a joins b, abc is never made; tiktoken would make it, so it is refused."""
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]
    path = write_bpe(tmp_path / "t.json", merges, "abc")
    assert naive(path).encode("abc") != Tokenizer.from_file(str(path)).encode("abc").ids
    with pytest.raises(InputError, match="merges do not make 1 entries, such as id 5"):
        tiktoken_vocabulary(path)


def test_ids_that_do_not_ascend_with_merges(tmp_path: Path) -> None:
    """Where the later merge has the lower id, tiktoken would do it first, so it is refused."""
    path = write_bpe(tmp_path / "t.json", [("a", "b"), ("b", "c")], "abc")
    spec = json.loads(path.read_text())
    spec["model"]["vocab"] |= {"ab": 4, "bc": 3}
    path.write_text(json.dumps(spec))
    assert naive(path).encode("abc") != Tokenizer.from_file(str(path)).encode("abc").ids
    with pytest.raises(InputError, match="ids must ascend with merges, 1 fall, the first to 3"):
        tiktoken_vocabulary(path)


@st.composite
def merge_lists(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Lists of pairs, each of entries that stand before it; most are unlike what training gives."""
    entries, merges = ["a", "b"], []
    for _ in range(draw(st.integers(1, 7))):
        pair = draw(st.tuples(st.sampled_from(entries), st.sampled_from(entries)))
        if pair not in merges:
            merges.append(pair)
            entries += [pair[0] + pair[1]] * (pair[0] + pair[1] not in entries)
    return merges


WORDS = ["".join(word) for n in range(1, 9) for word in itertools.product("ab", repeat=n)]


@settings(max_examples=300)
@given(merges=merge_lists())
def test_what_is_accepted_is_equal(
    merges: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any vocabulary that is not refused gives equal ids for all words of up to 8 letters."""
    path = write_bpe(tmp_path_factory.getbasetemp() / "merges.json", merges, "ab")
    try:
        made = tiktoken_vocabulary(path)
    except InputError:
        event("refused")
        return
    event("accepted")
    encoding = tiktoken.Encoding("made", **made._asdict())
    expected = Tokenizer.from_file(str(path)).encode_batch_fast(WORDS)
    assert [encoding.encode_ordinary(word) for word in WORDS] == [e.ids for e in expected]


def lower(spec: dict[str, Any]) -> None:
    spec["normalizer"] = {"type": "Lowercase"}


def set_dropout(spec: dict[str, Any]) -> None:
    spec["model"]["dropout"] = 0.1


def set_suffix(spec: dict[str, Any]) -> None:
    spec["model"]["end_of_word_suffix"] = "</w>"


def set_fallback(spec: dict[str, Any]) -> None:
    spec["model"]["byte_fallback"] = True


def stripped_token(spec: dict[str, Any]) -> None:
    spec["added_tokens"][9]["lstrip"] = True


def folded_literal(spec: dict[str, Any]) -> None:
    spec["added_tokens"][9] |= {"content": "said", "special": False}


def grouped_pattern(spec: dict[str, Any]) -> None:
    spec["added_tokens"][9]["special"] = False
    spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"(\p{L}+ ?)+|\s+"


def foreign_entry(spec: dict[str, Any]) -> None:
    spec["model"]["vocab"]["\u4e2d"] = len(spec["model"]["vocab"])


def only_byte_level(spec: dict[str, Any]) -> None:
    spec["pre_tokenizer"] = spec["pre_tokenizer"]["pretokenizers"][1]


def removed_matches(spec: dict[str, Any]) -> None:
    spec["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"


def word_level(spec: dict[str, Any]) -> None:
    vocab = spec["model"]["vocab"]
    spec["model"] = {"type": "WordLevel", "vocab": vocab, "unk_token": "<|pad|>"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lower, "there must be no normalizer"),
        (set_dropout, "model.dropout must be empty"),
        (set_suffix, "model.end_of_word_suffix must be empty"),
        (set_fallback, "model.byte_fallback must be false"),
        (stripped_token, "added tokens must be found anywhere"),
        (folded_literal, "added tokens that are not special need a pattern of classes"),
        (grouped_pattern, "added tokens that are not special need a pattern of classes"),
        (foreign_entry, "1 entries are not byte-level"),
        (only_byte_level, "the pre-tokenizer must be a Split by a Regex"),
        (removed_matches, "the pre-tokenizer must be a Split by a Regex"),
        (word_level, "the model must be BPE, got WordLevel"),
    ],
)
def test_what_tiktoken_cannot_do_is_refused(
    tokenizer_json: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    """A tokenizer.json with a part that tiktoken lacks is an error that names the part."""
    spec = json.loads(tokenizer_json.read_text())
    change(spec)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(spec))
    with pytest.raises(InputError, match=rf"changed\.json: tiktoken would differ: .*{message}"):
        tiktoken_vocabulary(path)


@pytest.mark.parametrize("content", [None, "", "{}", "[1, 2", '{"model": 3}'])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    """A missing or broken file is an error that names it."""
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"broken\.json: must be a tokenizer.json"):
        tiktoken_vocabulary(path)
