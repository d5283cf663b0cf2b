"""The kernel that counts the letters of a text by script and says which scripts the text is written in."""

import numpy as np

from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, types

NO_LETTER = 0
"""The entry of `scripts_U` for a code point that is no letter, and of Common and Inherited ones."""
MOST_SCRIPTS = 40
HASH_SIGN = 35
HELD_SHARE = 4
"""A script is held by a text when it has at least one letter in so many."""
KANA_SHARE = 10
"""Han letters are Japanese alone when at least one in so many of Han and kana is kana."""

_INT, _MASKS, _WORDS = types.int64, types.uint64[::1], types.int32[::1]


@kernel()
def _ends_tag(c):
    """Returns whether an ASCII character is no letter, digit or "_"."""
    return not 97 <= (c | 32) <= 122 and not 48 <= c <= 57 and c != 95


@kernel()
def _count_letters(data_B, start, end, scripts_U, counts_2S):
    """Counts letters by script, those of hashtags in the second row; returns the number of words.

    A word is a run of letters and marks; a combining mark of no script does not end it. A hashtag runs
    from "#" to the first ASCII character that is no letter, digit or "_".
    """
    j, words, in_word, tag, latin = start, 0, False, 0, 0
    while j < end:
        c = data_B[j]
        if c < 128:
            j += 1
            is_letter = 97 <= (c | 32) <= 122
            latin += is_letter
            words += is_letter and not in_word
            in_word = is_letter
            if (c < 48 and (c == HASH_SIGN or tag == 1)) or (tag == 1 and _ends_tag(c)):
                counts_2S[tag, scripts_U[97]] += latin
                latin, tag = 0, 1 if c == HASH_SIGN else 0
            continue
        cp, n = decode_at(data_B, j, end)
        j += n
        script = scripts_U[cp]
        if script != NO_LETTER:
            counts_2S[tag, script] += 1
            words += not in_word
            in_word = True
        elif not 0x300 <= cp < 0x370:
            in_word = False
    counts_2S[tag, scripts_U[97]] += latin
    return words


@kernel()
def _held(counts_S, han, kana_first, kana_last):
    """Returns a bit for each script that has at least a HELD_SHARE-th of the letters.

    Of Han and kana together, whose letters are counted as one script, Han is left out where there is kana
    enough: then it is Japanese.
    """
    total, kana = np.int64(0), np.int64(0)
    for s in range(1, counts_S.shape[0]):
        total += counts_S[s]
    for s in range(kana_first, kana_last + 1):
        kana += counts_S[s]
    mask = np.uint64(0)
    for s in range(1, counts_S.shape[0]):
        count = np.int64(counts_S[s])
        if count == total:
            return np.uint64(1) << np.uint64(s) if count > 0 else np.uint64(0)
        if count == 0:
            continue
        east_asian = s == han or kana_first <= s <= kana_last
        share = counts_S[han] + kana if east_asian else count
        if share * HELD_SHARE >= total:
            mask |= np.uint64(1) << np.uint64(s)
    if kana > 0 and kana * KANA_SHARE >= counts_S[han] + kana:
        mask &= ~(np.uint64(1) << np.uint64(han))
    return mask


@kernel(types.void(BYTES, OFFSETS, BYTES, _INT, _INT, _INT, _MASKS, _WORDS))
def held_scripts(data_B, offsets_N1, scripts_U, han, kana_first, kana_last, masks_N, words_N):
    """Writes which scripts each text holds, one bit each, and how many words of letters it has.

    Letters of hashtags count only in a text that has no others.
    """
    counts_2S = np.zeros((2, MOST_SCRIPTS), np.int32)
    for i in range(masks_N.shape[0]):
        counts_2S[:] = 0
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        words_N[i] = _count_letters(data_B, start, end, scripts_U, counts_2S)
        masks_N[i] = _held(counts_2S[0], han, kana_first, kana_last)
        if masks_N[i] == 0:
            masks_N[i] = _held(counts_2S[1], han, kana_first, kana_last)
