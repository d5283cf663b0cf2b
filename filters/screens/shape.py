"""What a screen knows of a post besides its words: links, mentions, digits, capitals, length, repetition.

Links and handles are blanks in the text that the models read, and capitals are lowered: these counts bring
them back. They are what ranks spam of a source, or in a language, that no model has seen.

The models were trained on short posts: a long one is described by what PIECE_CHARS of it have on average, so
that it is not spam for its length, and a text without blanks not for its long pieces.
"""

import numpy as np

from sluice.filters.text.features import TextFeatures
from sluice.schemas.arrays import Array

_COUNTS = {
    "log_urls": "num_urls",
    "log_mentions": "num_mentions",
    "log_hashtags": "num_hashtags",
    "log_digits": "num_digits",
    "log_emoji": "num_emoji",
    "log_chars": "num_chars",
    "log_longest_run": "longest_run",
    "log_lines": "num_lines",
}
_SHARES = {
    "url_chars_ratio": ("num_url_chars", "num_chars"),
    "digit_ratio": ("num_digits", "num_chars"),
    "emoji_ratio": ("num_emoji", "num_chars"),
    "punctuation_ratio": ("num_punctuation", "num_chars"),
    "uppercase_ratio": ("num_upper", "num_cased"),
    "repeated_words_ratio": ("num_repeated_tokens", "num_tokens"),
    "mean_token_length": ("num_visible", "num_tokens"),
}
PIECE_CHARS = 280
"""Code points to which the counts of a longer post are reduced."""
LONGEST_TOKEN = 40
"""The greatest mean length of pieces between blanks; scripts without blanks have longer ones."""

SHAPE_NAMES = (*_COUNTS, *_SHARES)
"""The names of the features, in the order of the columns."""


def shape_features(features: TextFeatures) -> Array:
    """Returns (N, K) float64, the features of SHAPE_NAMES; row i depends on text i alone.

    `log_x` is log(1 + count), where the count of a post of more than PIECE_CHARS is that of so many on
    average; a ratio is of characters (capitals: of letters with a case; repeated words and the length: of
    tokens), and 0 where there are none.
    """
    piece_N = PIECE_CHARS / np.maximum(features.num_chars, PIECE_CHARS)
    columns = [np.log1p(getattr(features, count) * piece_N) for count in _COUNTS.values()]
    for part, whole in _SHARES.values():
        columns.append(getattr(features, part) / np.maximum(getattr(features, whole), 1))
    columns[-1] = np.minimum(columns[-1], LONGEST_TOKEN)
    return np.stack(columns, axis=1).astype(np.float64)
