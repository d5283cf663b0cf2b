"""What the shipped models are trained on: every source, with its licence, and why the others are not.

The rule: a source is used only if its licence lets anyone use, change and pass on what is made of it,
for any purpose, without obliging them to a licence of ours or theirs. That leaves out licences that
forbid commercial use, share-alike licences, and data without a stated licence.
"""

from typing import Literal, NamedTuple

ALLOWED_LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0", "CC0 1.0", "CC BY 4.0")


class Source(NamedTuple):
    """A labelled collection of posts.

    Attributes:
        name: as in the column `source` of the data files.
        licence: one of ALLOWED_LICENCES, as the table in the data's README has it.
        where: its repository.
        as_clean: taken as label 0 whatever its label: ordinary posts, collected for another purpose,
            that keep a model from taking a language itself for a sign. The figure is the most
            posts a language.
    """

    name: str
    licence: str
    where: str
    as_clean: int = 0


class Recipe(NamedTuple):
    """How one of the shipped models is made.

    Attributes:
        name: of the model and of its files.
        positive: the label whose probability is the score.
        negative: the other label.
        train_files: below the data folder; only these are read for training and calibration.
        clean_file: where the `as_clean` sources lie.
        test_files: read after training, to fill the model card.
        sources: what is used of those files.
        left_out: source -> why it is not.
        most: posts a source and label.
        ratio: positives a source gives at most, as a multiple of its negatives.
        cutoff: input rows that quantisation keeps; sets the size of the file.
        fit: options of fastText's train_supervised.
        left_one_out: sources that a second model is trained without, to see how the first does on
            sources that nobody has seen.
    """

    name: Literal["spam", "toxicity"]
    positive: str
    negative: str
    train_files: tuple[str, ...]
    clean_file: str
    test_files: tuple[str, ...]
    sources: tuple[Source, ...]
    left_out: dict[str, str]
    most: int
    ratio: float
    cutoff: int
    fit: dict[str, float]
    left_one_out: tuple[str, ...] = ()


_UCI = "(as the UCI repository lists it; the copy states none)"
_NO_LICENCE = "states no licence"
_SHARE_ALIKE = "CC BY-SA 4.0: share-alike"
_NON_COMMERCIAL = "CC BY-NC-SA 4.0: not for commercial use"

_WISESIGHT = Source("wisesight", "CC0 1.0", "PyThaiNLP/wisesight-sentiment", as_clean=400)

SPAM = Recipe(
    name="spam",
    positive="spam",
    negative="ham",
    train_files=("spam/train.jsonl.gz", "spam/x_train.jsonl.gz"),
    clean_file="langid/train.jsonl.gz",
    test_files=("spam/test.jsonl.gz", "spam/x_test.jsonl.gz"),
    sources=(
        Source("uci-sms", "CC BY 4.0", "hamzaaacodes/sms-spam-collection " + _UCI),
        Source("uci-youtube", "CC BY 4.0", "Saravanan-20G/Youtube-Comments-Spam-Dataset " + _UCI),
        Source("thai-sms", "MIT", "ssivakorn/Thai-SMS-spam-filter"),
        Source("tg-spam", "MIT", "umputun/tg-spam"),
        Source("janitr-x", "MIT", "janitrai/janitr"),
        Source("judol-youtube", "MIT", "gbennnn/judol-comment-classification"),
        _WISESIGHT,  # Thai SMS alone would make all of Thai look like SMS
    ),
    left_out={"crypto-tweets": _NO_LICENCE},
    most=3000,
    ratio=4,
    cutoff=40_000,
    fit={
        "dim": 16,
        "lr": 0.2,
        "epoch": 15,
        "wordNgrams": 2,
        "minn": 2,
        "maxn": 5,
        "bucket": 200_000,
    },
    left_one_out=(
        "uci-sms",
        "uci-youtube",
        "thai-sms",
        "tg-spam",
        "janitr-x",
        "judol-youtube",
    ),
)

TOXICITY = Recipe(
    name="toxicity",
    positive="toxic",
    negative="clean",
    train_files=("toxicity/train.jsonl.gz",),
    clean_file="langid/train.jsonl.gz",
    test_files=("toxicity/test.jsonl.gz",),
    sources=(
        Source("davidson2017", "MIT", "t-davidson/hate-speech-and-offensive-language"),
        Source("germeval2018", "CC BY 4.0", "uds-lsv/GermEval-2018-Data"),
        Source("cold-zh", "Apache-2.0", "thu-coai/COLDataset"),
        Source(
            "offenseval2020-tr",
            "CC BY 4.0",
            "OffensEval-TR 2020 (CC BY as its authors publish it; the copy states none)",
        ),
        Source("roman-urdu", "MIT", "haroonshakeel/roman_urdu_hate_speech"),
        Source("ro-fb-offense", "Apache-2.0", "readerbench/ro-fb-offense"),
        Source(
            "dravidian-ml",
            "CC BY 4.0",
            "DravidianCodeMix (the Zenodo release; the copy states none)",
        ),
        Source(
            "dravidian-kn",
            "CC BY 4.0",
            "DravidianCodeMix (the Zenodo release; the copy states none)",
        ),
        Source("mlma-fr", "MIT", "HKUST-KnowComp/MLMA_hate_speech"),
        Source("mlma-ar", "MIT", "HKUST-KnowComp/MLMA_hate_speech"),
        Source(
            "poleval2019-cbd",
            "BSD-3-Clause",
            "ptaszynski/cyberbullying-Polish (the copy states none)",
        ),
        _WISESIGHT._replace(as_clean=200),
        Source("afrisenti", "CC BY 4.0", "afrisenti-semeval/afrisent-semeval-2023", as_clean=200),
        Source("ltec", "MIT", "Usprogis/Latvian-Twitter-Eater-Corpus", as_clean=200),
        Source("parstwiner", "MIT", "overfit-ir/parstwiner", as_clean=200),
        Source("malay-twitter", "CC BY 4.0", "huseinzol05/malay-dataset", as_clean=200),
        Source("ylilauta-fi", "MIT", "spyysalo/finnish-sentiment", as_clean=200),
    ),
    left_out={
        "olid2019": _NO_LICENCE,
        "hasoc2019-hi": _NO_LICENCE,
        "told-br": _SHARE_ALIKE,
        "beep-korean": _SHARE_ALIKE,
        "id-hsab": _NON_COMMERCIAL,
        "mahahate": _NON_COMMERCIAL,
        "ja-toxic": "has no training split",
    },
    most=12_000,
    ratio=2,
    cutoff=50_000,
    fit={
        "dim": 16,
        "lr": 0.15,
        "epoch": 5,
        "wordNgrams": 2,
        "minn": 1,
        "maxn": 4,
        "bucket": 300_000,
    },
)

RECIPES = {recipe.name: recipe for recipe in (SPAM, TOXICITY)}
