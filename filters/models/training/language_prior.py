"""How common a language is, as the shipped pool takes it.

The prior of a language is a number times the logarithm of its speakers in thousand millions: WELL_KNOWN
where wordfreq has a list of it or the shipped model learnt it from posts, LITTLE_KNOWN for all others.
Speakers are those of Unicode CLDR's territoryInfo.json, second languages too, summed over territories.
wordfreq has lists of the languages that it found enough text of on social media, in films and on the web:
the others are rarely written, and what models say for them is learnt from a declaration or an
encyclopaedia, not from posts.

The numbers are small: they decide what the models leave open.
"""

import json
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from sluice.filters.language.codes import language_of
from sluice.filters.language.pool import Groups
from sluice.filters.models.training.language_sources import package

WELL_KNOWN, LITTLE_KNOWN = 0.15, 0.4
ENGLISH = 1.0
"""Added for English: a fifth of all people speak it, and half of all posts are written in it."""
ROMANISED = 0.1
"""The share of speakers who count for a language in other letters than its own: CLDR has no number."""
FEWEST_SPEAKERS = 2e4
"""For languages without a number, and for less."""
_TERRITORIES = "package/supplemental/territoryInfo.json"
_CLDR_CODES = {"tl": "fil", "pnb": "lah", "tw": "ak", "nb": "no", "gom": "kok", "bxr": "bua"}
"""Codes of CLDR that are not ours."""
_LISTED_CODES = {"sr": "sh", "tl": "fil"}


def priors(groups: Groups, packages: Path) -> dict[str, float]:
    """Returns the prior of each candidate, rounded to four digits."""
    import wordfreq  # an extra; only making the model needs it

    speakers, listed = speakers_by_code(packages), set(wordfreq.available_languages("best"))
    found = {}
    for group, labels in groups.items():
        for label in labels:
            code = language_of(label)
            counted = speakers.get(_CLDR_CODES.get(code, code), 0.0)
            counted *= ROMANISED if "_" in label else 1
            is_known = group in ("own", "posts") or _LISTED_CODES.get(code, code) in listed
            share = np.log(max(counted, FEWEST_SPEAKERS) / 1e9)
            prior = (WELL_KNOWN if is_known else LITTLE_KNOWN) * float(share)
            found[label] = round(prior + ENGLISH * (code == "en"), 4)
    return found


def speakers_by_code(packages: Path) -> dict[str, float]:
    """Returns code -> speakers; `zh_Hant` counts for `zh`."""
    with tarfile.open(package(packages, "cldr-core")) as archive:
        handle = archive.extractfile(_TERRITORIES)
        found = json.loads(handle.read() if handle else "{}")["supplemental"]["territoryInfo"]
    speakers: dict[str, float] = defaultdict(float)
    for territory in found.values():
        for code, row in territory.get("languagePopulation", {}).items():
            share = float(row["_populationPercent"]) / 100
            speakers[code.split("_")[0]] += float(territory["_population"]) * share
    return speakers
