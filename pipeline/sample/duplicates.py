"""Copies of posts, and the truth about how alike two posts are.

The truth is computed here from the definition of the comparison text, in plain Python, and not by
the filters that it is there to judge.
"""

import html
import re
import unicodedata
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.pipeline.sample.draws import Draws, cumulative
from sluice.pipeline.sample.scene import links
from sluice.pipeline.sample.words import Lexicon, together
from sluice.schemas.arrays import Int64s

GRAM = 5
"""Code points in a gram of the Jaccard index."""

_URL = re.compile(r"https?://\S+")
_HANDLE = re.compile(r"@[a-z0-9_]+")
_REPOST = re.compile(r"(?:\s*rt(?=[\s:@]|$)[\s:]*(?:@[a-z0-9_]+[\s:]*)?)+")


def comparison_text(text: str) -> str:
    """Returns the text that duplicates are compared by.

    NFC, entities decoded, lower case, leading RTs dropped with their handle and colon, links and
    handles to a blank, blanks collapsed. Exact for what this sample writes, not for every link.
    """
    text = html.unescape(unicodedata.normalize("NFC", text)).replace("\u0130", "i")
    text = "".join(map(str.lower, text))  # letter by letter: a last sigma is a sigma
    repost = _REPOST.match(text)
    text = text[repost.end() :] if repost else text
    text = _HANDLE.sub(" ", _URL.sub(" ", text))
    return " ".join(text.split())


def similarity(text: str, other: str) -> float:
    """Returns the Jaccard index of the 5-grams of two comparison texts, in [0, 1]."""
    grams, others = _grams(text), _grams(other)
    return len(grams & others) / len(grams | others)


def _grams(text: str) -> set[str]:
    return {text[k : k + GRAM] for k in range(max(1, len(text) - GRAM + 1))}


def bucket(jaccard: float) -> str:
    """Returns the name of the band that a Jaccard index is in."""
    for bound, name in ((0.9, "J>=0.9"), (0.8, "0.8<=J<0.9"), (0.6, "0.6<=J<0.8")):
        if jaccard >= bound:
            return name
    return "J<0.6"


def edited(pieces: pa.ListArray, words: Lexicon, *, draws: Draws) -> pa.ListArray:
    """Returns the sentences with one to three words changed, added or left out.

    Args:
        pieces: (N,) list<string>, of two pieces or more each; the first piece stays as it is.
        words: the language of all the sentences.
        draws: the stream.
    """
    offsets_N1 = pieces.offsets.to_numpy().astype(np.int64)
    edits_N = draws.index(cumulative([6, 3, 1]), size=len(pieces)) + 1
    values = pieces.values
    for k in range(3):
        rows_M = np.flatnonzero(edits_N > k)
        inner_M = (offsets_N1[1:] - offsets_N1[:-1] - 1)[rows_M]
        at_M = offsets_N1[rows_M] + 1 + draws.below(inner_M, size=len(rows_M))
        values = _edited_at(values, at_M, words, draws)
    return pa.ListArray.from_arrays(pieces.offsets, values)


def _edited_at(
    values: pa.StringArray, at_M: Int64s, words: Lexicon, draws: Draws
) -> pa.StringArray:
    drawn_M = draws.index(words.cumulative_V, size=len(at_M))
    new = together(words.style.joiner, words.forms.take(pa.array(drawn_M)))
    old = values.take(pa.array(at_M))
    kinds = [new, together(old, new), pa.repeat(pa.scalar(""), len(new))]
    kind_M = draws.index(cumulative([7, 2, 1]), size=len(at_M))
    mask_T = np.zeros(len(values), np.bool_)
    mask_T[at_M] = True
    return pc.replace_with_mask(values, pa.array(mask_T), pc.choose(pa.array(kind_M), *kinds))


Disguise = Callable[[pa.StringArray, pa.StringArray, Draws], pa.StringArray]
"""(texts, handles, draws) -> texts."""


def disguised(
    texts: pa.StringArray, handles: pa.StringArray, *, draws: Draws
) -> tuple[pa.StringArray, pa.StringArray]:
    """Returns (texts, kinds), both (N,) string: changes that the comparison text does not see.

    The kind is `verbatim` where the text is as it was.

    Args:
        texts: (N,) string.
        handles: (H,) string, whose posts are reposted.
        draws: the stream.
    """
    weights = [weight for weight, _ in _DISGUISES.values()]
    kind_N = draws.index(cumulative(weights), size=len(texts))
    result, names = texts, pa.repeat(pa.scalar("verbatim"), len(texts))
    for k, (kind, (_, change)) in enumerate(_DISGUISES.items()):
        mask_N = pa.array(kind_N == k)
        changed = change(texts.filter(mask_N), handles, draws)
        result = pc.replace_with_mask(result, mask_N, changed)
        names = pc.if_else(mask_N, kind, names)
    return result, pc.if_else(pc.equal(result, texts), "verbatim", names)


def _replaced(pattern: str, replacement: str) -> Disguise:
    """Returns a disguise that replaces what a regular expression matches."""
    return lambda texts, handles, draws: pc.replace_substring_regex(texts, pattern, replacement)


def _in_case(change: Callable[[pa.StringArray], pa.StringArray]) -> Disguise:
    """Returns a disguise that changes the case of texts without an entity and without a dotted I."""

    def disguise(texts: pa.StringArray, handles: pa.StringArray, draws: Draws) -> pa.StringArray:
        stays = pc.match_substring_regex(texts, "&|\u0130|\u0307")
        return pc.if_else(stays, texts, change(texts))

    return disguise


def _repost(texts: pa.StringArray, handles: pa.StringArray, draws: Draws) -> pa.StringArray:
    return together("RT @", draws.pick(handles, size=len(texts)), ": ", texts)


def _link_added(texts: pa.StringArray, handles: pa.StringArray, draws: Draws) -> pa.StringArray:
    return together(texts, " ", links(size=len(texts), draws=draws))


def _blanks(texts: pa.StringArray, handles: pa.StringArray, draws: Draws) -> pa.StringArray:
    return together(pc.replace_substring(texts, " ", "  ", max_replacements=3), "\n")


def _entities(texts: pa.StringArray, handles: pa.StringArray, draws: Draws) -> pa.StringArray:
    for old, new in (("&amp;", "&"), ("'", "&#39;"), ('"', "&quot;")):
        texts = pc.replace_substring(texts, old, new)
    return texts


_DISGUISES: dict[str, tuple[float, Disguise]] = {
    "verbatim": (26, lambda texts, handles, draws: texts),
    "repost": (20, _repost),
    "handle_changed": (13, _replaced("@([a-z0-9_]+)", "@the_\\1")),
    "link_changed": (11, _replaced("(https?://[a-zA-Z0-9./]+)", "\\1Q7")),
    "link_added": (8, _link_added),
    "blanks_changed": (7, _blanks),
    "lower_case": (5, _in_case(pc.ascii_lower)),
    "upper_case": (4, _in_case(pc.ascii_upper)),
    "unicode_form": (3, lambda texts, handles, draws: pc.utf8_normalize(texts, "NFD")),
    "entities": (3, _entities),
}
"""Kind -> (weight, change)."""
