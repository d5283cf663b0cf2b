"""One word and two words: how many are named right, in the languages of the benchmark of Lingua and ELD.

    cargo add lingua && cargo fetch      # in an empty crate: the words come with its 75 crates of models
    python -m benchmarks.language_words ~/.cargo/registry/src/*

The words are those that Lingua measures itself on (`testdata/single-words.txt`, `word-pairs.txt`, 1,000 a
language), and the languages the 54 of them that are among the 60 of ELD, whose benchmark is the same. They
are of newspapers, not of posts, and nothing is trained on them. Accuracy is the mean of the languages, a
dialect counts as its language, Serbian is in Cyrillic letters, and `und` is wrong.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from sluice.filters.language.codes import group_of
from sluice.filters.language.identify import build_identifier
from sluice.filters.models.training.language_measure import mean_by
from sluice.filters.text.normalize import normalize
from sluice.filters.text.views import classifier_text
from sluice.schemas.arrays import Array

KINDS = ("single-words", "word-pairs")
THRESHOLDS = (0.3, 0.5, 0.7)
_PAIRS = """
albanian:sq arabic:ar armenian:hy azerbaijani:az basque:eu belarusian:be bengali:bn bokmal:no
bulgarian:bg catalan:ca chinese:zh croatian:hr czech:cs danish:da dutch:nl english:en estonian:et
finnish:fi french:fr georgian:ka german:de greek:el gujarati:gu hebrew:he hindi:hi hungarian:hu
icelandic:is italian:it japanese:ja korean:ko latvian:lv lithuanian:lt malay:ms marathi:mr
nynorsk:no persian:fa polish:pl portuguese:pt punjabi:pa romanian:ro russian:ru serbian:sr slovak:sk
slovene:sl spanish:es swedish:sv tagalog:tl tamil:ta telugu:te thai:th turkish:tr ukrainian:uk
urdu:ur vietnamese:vi yoruba:yo
"""
LANGUAGES = dict(pair.split(":") for pair in _PAIRS.split())
"""Name of a crate -> the code of its language."""


def words_of(crates: Path, kind: str) -> tuple[pa.StringArray, Array]:
    """Returns the texts of a kind and their languages; of the two kinds of Norwegian, half of each."""
    texts: list[str] = []
    codes: list[str] = []
    for name, code in LANGUAGES.items():
        (folder,) = crates.glob(f"lingua-{name}-language-model-*")
        found = (folder / "testdata" / f"{kind}.txt").read_text("utf-8").split("\n")
        found = [line.strip() for line in found if line.strip()][:: 2 if code == "no" else 1]
        texts += found
        codes += [code] * len(found)
    return classifier_text(normalize(pa.array(texts))), np.array(codes)


def main() -> None:
    """Prints a line a kind, then the languages that are named worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crates", type=Path, help="the folder that cargo unpacks crates in")
    parser.add_argument("--model", default="combined", help="as in [language] model")
    args = parser.parse_args()
    identify = build_identifier(args.model)
    for kind in KINDS:
        texts, gold_N = words_of(args.crates, kind)
        found = identify(texts)
        right_N = np.array([group_of(c) for c in found.language.to_pylist()]) == gold_N
        line = f"{kind}: {len(texts):,} texts, {mean_by(right_N, gold_N):.3f} right"
        for threshold in THRESHOLDS:
            kept_N = found.confidence_N >= np.float32(threshold)
            line += f"; at {threshold} {kept_N.mean():.3f} kept, {right_N[kept_N].mean():.3f} right"
        print(line)
        by_code = {str(code): float(right_N[gold_N == code].mean()) for code in np.unique(gold_N)}
        worst = sorted(by_code.items(), key=lambda pair: pair[1])[:20]
        print("  " + ", ".join(f"{code} {share:.2f}" for code, share in worst))


if __name__ == "__main__":
    main()
