"""What a screen knows of a post besides its words: links, mentions, digits, capitals, length, repetition.

Links and handles are blanks in the text that the models read, and capitals are lowered: these counts bring
them back. They are what ranks spam of a source, or in a language, that no model has seen.
"""

from collections.abc import Sequence

import numpy as np

from sluice.filters.text.features import TextFeatures
from sluice.schemas.arrays import Array

SHAPE_NAMES = (
    "log_urls",
    "log_mentions",
    "log_hashtags",
    "log_digits",
    "log_emoji",
    "log_chars",
    "log_longest_run",
    "log_lines",
    "url_chars_ratio",
    "digit_ratio",
    "emoji_ratio",
    "punctuation_ratio",
    "uppercase_ratio",
    "repeated_words_ratio",
    "mean_token_length",
)
"""The names of the features, in the order of the columns."""


def shape_features(features: TextFeatures) -> Array:
    """Returns (N, K) float64, the features of SHAPE_NAMES; row i depends on text i alone.

    `log_x` is log(1 + count); a ratio is of characters (capitals: of letters with a case; repeated words
    and the length: of tokens), and 0 where there are none.
    """
    f = features
    counts: Sequence[Array] = (
        f.num_urls,
        f.num_mentions,
        f.num_hashtags,
        f.num_digits,
        f.num_emoji,
        f.num_chars,
        f.longest_run,
        f.num_lines,
    )
    shares: Sequence[tuple[Array, Array]] = (
        (f.num_url_chars, f.num_chars),
        (f.num_digits, f.num_chars),
        (f.num_emoji, f.num_chars),
        (f.num_punctuation, f.num_chars),
        (f.num_upper, f.num_cased),
        (f.num_repeated_tokens, f.num_tokens),
        (f.num_visible, f.num_tokens),
    )
    columns = [np.log1p(count_N) for count_N in counts]
    columns += [part_N / np.maximum(whole_N, 1) for part_N, whole_N in shares]
    return np.stack(columns, axis=1).astype(np.float64)
