"""What the shipped models are trained on: every source, with its licence, and why the others are not.

The rule: a source is used only if its licence lets anyone use, change and pass on what is made of it,
for any purpose, without obliging them to a licence of ours or theirs. That leaves out licences that
forbid commercial use, share-alike licences, and data without a stated licence.
"""

from typing import Literal, NamedTuple

ALLOWED_LICENCES = ("MIT", "BSD-3-Clause", "Apache-2.0", "CC0 1.0", "CC BY 4.0")


class ScreenSource(NamedTuple):
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


class ScreenRecipe(NamedTuple):
    """How one of the shipped models is made.

    Attributes:
        name: of the model and of its files.
        positive: the label whose probability is the score.
        negative: the other label.
        train_files: below the data folder; only these are read for training and calibration.
        clean_files: the files of the `as_clean` sources.
        test_files: their labels are read after training, to fill the model card.
        sources: what is used of the training files.
        left_out: source -> why it is not.
        not_ordinary: sources made for a model of this kind, whose false alarms are not counted.
        most: posts a source and label.
        clean_weight: what all ordinary posts weigh together; a source's posts of one label weigh 1.
        seeds_weight: what all made posts (`screen_seeds.py`) weigh together; 0 for none.
        shape: whether the features of `sluice.filters.screens.shape` are used.
        l2: penalty on the weights of n-grams.
        l2_shape: penalty on the weights of shape features.
        min_posts: an n-gram has a weight if it is in so many training posts; sets the file's size.
    """

    name: Literal["spam", "toxicity"]
    positive: str
    negative: str
    train_files: tuple[str, ...]
    clean_files: tuple[str, ...]
    test_files: tuple[str, ...]
    sources: tuple[ScreenSource, ...]
    left_out: dict[str, str]
    not_ordinary: tuple[str, ...]
    most: int
    clean_weight: float
    seeds_weight: float
    shape: bool
    l2: float
    l2_shape: float
    min_posts: int


_UCI = "(as the UCI repository lists it; the copy states none)"
_NO_LICENCE = "states no licence"
_SHARE_ALIKE = "CC BY-SA 4.0: share-alike"
_NON_COMMERCIAL = "CC BY-NC-SA 4.0: not for commercial use"

_WISESIGHT = ScreenSource("wisesight", "CC0 1.0", "PyThaiNLP/wisesight-sentiment")
_ORDINARY = (
    ScreenSource("afrisenti", "CC BY 4.0", "afrisenti-semeval/afrisent-semeval-2023"),
    ScreenSource("arsarcasm2", "MIT", "iabufarha/ArSarcasm-v2"),
    ScreenSource("ira-ru-silver", "CC BY 4.0", "bet4a/russian-troll-tweets-by-author"),
    ScreenSource(
        "liga", "Apache-2.0", "nitotm/efficient-language-detector-js (texts: LIGA Benelearn11)"
    ),
    ScreenSource("ltec", "MIT", "Usprogis/Latvian-Twitter-Eater-Corpus"),
    ScreenSource("malay-twitter", "CC BY 4.0", "huseinzol05/malay-dataset"),
    ScreenSource("parstwiner", "MIT", "overfit-ir/parstwiner"),
    ScreenSource("ylilauta-fi", "MIT", "spyysalo/finnish-sentiment"),
)

# Few of the ordinary posts above hold a link; without these, news with links looks like spam
_WITH_LINKS = (
    ScreenSource("btc", "CC BY 4.0", "GateNLP/broad_twitter_corpus"),
    ScreenSource("crisislext26", "MIT", "sajao/CrisisLex"),
    ScreenSource("ira", "CC BY 4.0", "bet4a/russian-troll-tweets-by-author"),
)

SPAM = ScreenRecipe(
    name="spam",
    positive="spam",
    negative="ham",
    train_files=("spam/train.jsonl.gz", "spam/x_train.jsonl.gz"),
    clean_files=("langid/train.jsonl.gz", "firehose/part-00.jsonl.gz"),
    test_files=("spam/test.jsonl.gz", "spam/x_test.jsonl.gz"),
    sources=(
        ScreenSource("uci-sms", "CC BY 4.0", "hamzaaacodes/sms-spam-collection " + _UCI),
        ScreenSource(
            "uci-youtube", "CC BY 4.0", "Saravanan-20G/Youtube-Comments-Spam-Dataset " + _UCI
        ),
        ScreenSource("thai-sms", "MIT", "ssivakorn/Thai-SMS-spam-filter"),
        ScreenSource("tg-spam", "MIT", "umputun/tg-spam"),
        ScreenSource("janitr-x", "MIT", "janitrai/janitr"),
        ScreenSource("judol-youtube", "MIT", "gbennnn/judol-comment-classification"),
        *(source._replace(as_clean=150) for source in (*_ORDINARY, *_WITH_LINKS)),
        # Thai SMS alone would make all of Thai look like SMS
        _WISESIGHT._replace(as_clean=900),
    ),
    left_out={"crypto-tweets": _NO_LICENCE},
    not_ordinary=(),
    most=6000,
    clean_weight=3,
    seeds_weight=0,
    shape=True,
    l2=1e-4,
    l2_shape=1e-2,
    min_posts=3,
)

TOXICITY = ScreenRecipe(
    name="toxicity",
    positive="toxic",
    negative="clean",
    train_files=("toxicity/train.jsonl.gz",),
    clean_files=("langid/train.jsonl.gz",),
    test_files=("toxicity/test.jsonl.gz",),
    sources=(
        ScreenSource("davidson2017", "MIT", "t-davidson/hate-speech-and-offensive-language"),
        ScreenSource("germeval2018", "CC BY 4.0", "uds-lsv/GermEval-2018-Data"),
        ScreenSource("cold-zh", "Apache-2.0", "thu-coai/COLDataset"),
        ScreenSource(
            "offenseval2020-tr",
            "CC BY 4.0",
            "OffensEval-TR 2020 (CC BY as its authors publish it; the copy states none)",
        ),
        ScreenSource("roman-urdu", "MIT", "haroonshakeel/roman_urdu_hate_speech"),
        ScreenSource("ro-fb-offense", "Apache-2.0", "readerbench/ro-fb-offense"),
        ScreenSource(
            "dravidian-ml",
            "CC BY 4.0",
            "DravidianCodeMix (the Zenodo release; the copy states none)",
        ),
        ScreenSource(
            "dravidian-kn",
            "CC BY 4.0",
            "DravidianCodeMix (the Zenodo release; the copy states none)",
        ),
        ScreenSource("mlma-fr", "MIT", "HKUST-KnowComp/MLMA_hate_speech"),
        ScreenSource("mlma-ar", "MIT", "HKUST-KnowComp/MLMA_hate_speech"),
        ScreenSource(
            "poleval2019-cbd",
            "BSD-3-Clause",
            "ptaszynski/cyberbullying-Polish (the copy states none)",
        ),
        *(source._replace(as_clean=200) for source in (*_ORDINARY, _WISESIGHT)),
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
    not_ordinary=("bengali-hate", "safesense-vi", "vk-toxicity"),
    most=4000,
    clean_weight=30,
    seeds_weight=10,
    shape=False,
    l2=3e-5,
    l2_shape=0,
    min_posts=5,
)

RECIPES = {recipe.name: recipe for recipe in (SPAM, TOXICITY)}
