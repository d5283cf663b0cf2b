"""The kernels that read posts as posts: URLs, @handles, hashtags, a leading RT, words and lines.

They share the rules for URLs and handles. They are linear in the length of
a text. The rules:

- A URL begins with http://, https:// or, not after an ASCII word character, with www. and an ASCII
  letter or digit, in either case. It runs to the first white space, quote or angle bracket, or to
  the first character beyond ASCII that is no letter or digit of a script written with spaces: so
  Chinese text that follows a link without a blank is kept, and so is the … of a cut post. A masked value is
  in a link that it was in.
- A handle is @ and one or more of [A-Za-z0-9_], not after one of these (an e-mail address).
- A leading RT is "RT" in either case, before white space, ":", "@" or the end, with the handle, colons
  and white space after it; a repost of a repost has several, and all go.
"""

import numpy as np

from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, types
from sluice.schemas.placeholders import FIRST_VALUE, LAST_VALUE

# Classes of characters; the letters and digits are neighbours, so that ranges can be tested.
OTHER, SPACE, UPPER, LOWER, LETTER, CJK, UNSPACED, DIGIT, NUMBER = 0, 1, 2, 3, 4, 5, 6, 7, 8
EMOJI, REGIONAL, PUNCT = 9, 10, 11

# Columns of the counters: one for each class, in own text, then these.
URLS, URL_CHARS, MENTIONS, MARK_CHARS, RETWEET, CUT_SHORT = 12, 13, 14, 15, 16, 17
HASH_SIGNS, HASHTAGS, ELLIPSES, FLAGS, LONGEST_RUN = 18, 19, 20, 21, 22
TOKENS, KNOWN, WORDS, ALPHABETIC, REPEATED = 23, 24, 25, 26, 27
LINES, DUPLICATE_LINES, BULLET_LINES, ELLIPSIS_LINES = 28, 29, 30, 31
LINE_CHARS, DUPLICATE_LINE_CHARS = 32, 33
NUM_COUNTERS = 34

WINDOW = 100
"""Words among which one is repeated: of a long text every hundred are looked at alone, like a short post."""
PHRASE = 8
"""Words that are repeated wherever they stood in the text before; a power of two."""

ZWJ, ELLIPSIS = 0x200D, 0x2026
_INT, _COUNTS = types.int64, types.int32[::1]
_HASHES, _RATIOS = types.uint64[::1], types.float64[::1]
_HTTP, _WWW, _SLASHES = (104, 116, 116, 112), (119, 119, 119, 46), (58, 47, 47)
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_LEAVING = np.uint64(pow(int(_PRIME), PHRASE, 2**64))


@kernel()
def _is_word_byte(c):
    return 48 <= c <= 57 or 65 <= c <= 90 or c == 95 or 97 <= c <= 122


@kernel()
def _is_text(data_B, j, end, letters):
    """Returns whether these ASCII bytes are at `j`, letters in either case."""
    same = j + len(letters) <= end
    for k in range(len(letters)):
        if same:
            c = data_B[j + k]
            same = (c | 32 if letters[k] >= 97 else c) == letters[k]
    return same


@kernel()
def _scheme_end(data_B, j, start, end):
    """Returns where the rest of a URL begins if one begins at `j`, else `j`."""
    if _is_text(data_B, j, end, _WWW):
        after = data_B[j + 4] if j + 4 < end else np.uint8(0)
        alone = j == start or not _is_word_byte(data_B[j - 1])
        return j + 4 if alone and after != 95 and _is_word_byte(after) else j
    if not _is_text(data_B, j, end, _HTTP):
        return j
    k = j + 5 if j + 4 < end and data_B[j + 4] | 32 == 115 else j + 4
    return k + 3 if _is_text(data_B, k, end, _SLASHES) else j


@kernel(_INT(BYTES, _INT, _INT, _INT, BYTES))
def _url_end(data_B, j, start, end, classes_U):
    """Returns the end of the URL that begins at `j`, or `j`."""
    k = _scheme_end(data_B, j, start, end)
    if k == j:
        return j
    while k < end:
        cp, n = decode_at(data_B, k, end)
        if cp < 128:
            if cp <= 32 or cp == 34 or cp == 60 or cp == 62 or cp == 127:
                break
        else:
            kind = classes_U[cp]
            goes_on = UPPER <= kind <= LETTER or DIGIT <= kind <= NUMBER
            if not (goes_on or FIRST_VALUE <= cp <= LAST_VALUE):
                break
        k += n
    return k


@kernel(_INT(BYTES, _INT, _INT, _INT))
def _handle_end(data_B, j, start, end):
    """Returns the end of the @handle that begins at `j`, or `j`."""
    if data_B[j] != 64 or (j > start and _is_word_byte(data_B[j - 1])):
        return j
    k = j + 1
    while k < end and _is_word_byte(data_B[k]):
        k += 1
    return k if k > j + 1 else j


@kernel()
def _may_begin_mark(data_B, j, end):
    """Returns whether a URL or handle may begin at `j`: @, or the first two letters of http or www."""
    c, after = data_B[j], data_B[min(j + 1, end - 1)]
    return c == 64 or (
        j + 4 < end
        and ((c | 32 == 104 and after | 32 == 116) or (c | 32 == 119 and after | 32 == 119))
    )


@kernel(_INT(BYTES, _INT, _INT, _INT, BYTES))
def _mark_end(data_B, j, start, end, classes_U):
    """Returns the end of the URL or handle that begins at `j`, or `j`."""
    if data_B[j] == 64:
        return _handle_end(data_B, j, start, end)
    return _url_end(data_B, j, start, end, classes_U)


@kernel(_INT(BYTES, _INT, _INT, BYTES, types.boolean))
def _skip(data_B, j, end, classes_U, colons):
    """Returns the first position from `j` that is not white space (nor a colon)."""
    while j < end:
        cp, n = decode_at(data_B, j, end)
        if not (classes_U[cp] == SPACE or (colons and cp == 58)):
            break
        j += n
    return j


@kernel(types.UniTuple(_INT, 2)(BYTES, _INT, _INT, BYTES))
def _shell_end(data_B, start, end, classes_U):
    """Returns (where the text begins after its leading RTs, how many handles they named)."""
    j = _skip(data_B, start, end, classes_U, False)
    handles = 0
    if not (j + 2 <= end and (data_B[j] | 32) == 114 and (data_B[j + 1] | 32) == 116):
        return start, handles
    begin = start
    while j + 2 <= end and (data_B[j] | 32) == 114 and (data_B[j + 1] | 32) == 116:
        k = _skip(data_B, j + 2, end, classes_U, True)
        if k == j + 2 and k < end and data_B[k] != 64:
            break
        if k < end and _handle_end(data_B, k, k, end) > k:
            handles += 1
            k = _skip(data_B, _handle_end(data_B, k, k, end), end, classes_U, True)
        begin = k
        j = k
    return begin, handles


@kernel(types.void(BYTES, OFFSETS, BYTES, types.boolean, types.uint8[::1], _COUNTS))
def write_view(data_B, offsets_N1, classes_U, drop_retweet, out_B, out_offsets_N1):
    """Writes each text without URLs and handles (nor leading RTs), white space as single blanks."""
    o = np.int64(0)
    out_offsets_N1[0] = 0
    for i in range(len(out_offsets_N1) - 1):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        if drop_retweet:
            start, _ = _shell_end(data_B, start, end, classes_U)
        j, first, blank = start, o, False
        while j < end:
            c = data_B[j]
            n, stop = 1, j
            if c >= 128:
                cp, n = decode_at(data_B, j, end)
                stop = j + n if classes_U[cp] == SPACE else j
            elif c <= 32:
                stop = j + (classes_U[c] == SPACE)
            elif _may_begin_mark(data_B, j, end):
                stop = _mark_end(data_B, j, start, end, classes_U)
            if stop > j:
                blank, j = True, stop
                continue
            if blank and o > first:
                out_B[o] = 32
                o += 1
            blank = False
            out_B[o] = c
            for k in range(1, n):
                out_B[o + k] = data_B[j + k]
            o += n
            j += n
        out_offsets_N1[i + 1] = o


@kernel(_INT(BYTES, _INT, _INT))
def _num_chars(data_B, j, end):
    n = 0
    while j < end:
        n += (data_B[j] & 0xC0) != 0x80
        j += 1
    return n


@kernel(types.void(BYTES, _INT, _INT, _COUNTS))
def _count_mark(data_B, j, stop, row):
    """Counts the URL or handle of the bytes [j, stop), which reads as a blank."""
    num_chars = _num_chars(data_B, j, stop)
    row[MARK_CHARS] += num_chars - 1
    if data_B[j] == 64:
        row[MENTIONS] += 1
    else:
        row[URLS] += 1
        row[URL_CHARS] += num_chars


@kernel()
def _seen_before(seen_S, stamps_S, last_slot, stamp, h):
    """Puts a hash into the row's set; returns whether it was there. Old stamps are empty slots."""
    s = np.int64(h >> np.uint64(33)) & last_slot
    while stamps_S[s] == stamp:
        if seen_S[s] == h:
            return True
        s = (s + 1) & last_slot
    stamps_S[s] = stamp
    seen_S[s] = h
    return False


@kernel()
def _phrase_before(phrases, last_slot, stamp, index, h):
    """Takes a word; returns whether it and the ones before it, PHRASE in all, stood in the row before.

    The hash of a phrase rolls: the last words are kept in a ring, and the one that leaves weighs _LEAVING.
    """
    seen_S, stamps_S, ring_W, rolling_1 = phrases
    at = index & (PHRASE - 1)
    leaves = ring_W[at] if index >= PHRASE else np.uint64(0)
    ring_W[at] = h
    rolling = np.uint64(0) if index == 0 else rolling_1[0]
    rolling = rolling * _PRIME + h - leaves * _LEAVING
    rolling_1[0] = rolling
    if index < PHRASE - 1:
        return False
    mixed = (rolling ^ (rolling >> np.uint64(29))) * _SPREAD
    return _seen_before(seen_S, stamps_S, last_slot, stamp, mixed)


@kernel()
def _end_word(row, known, words, letters, seen_S, stamps_S, last_slot, stamp, h, phrases):
    """Counts a piece of own text; `known` is how many letters, digits and emoji it had."""
    row[TOKENS] += 1
    if known > 0:
        index = np.int64(row[KNOWN])
        row[KNOWN] += 1
        row[WORDS] += max(1, words)
        row[ALPHABETIC] += letters > 0
        window = np.int32(stamp + index // WINDOW)
        repeated = _seen_before(seen_S, stamps_S, last_slot, window, h)
        if len(phrases[0]) > 0:
            repeated |= _phrase_before(phrases, last_slot, stamp, index, h)
        row[REPEATED] += repeated


@kernel()
def _count_sign(row, cp, before, dots):
    """Counts # and ellipses; returns how many full stops in a row end here."""
    if cp == 46:
        dots = dots + 1 if before == 46 else 1
        row[ELLIPSES] += dots % 3 == 0
    elif cp == ELLIPSIS:
        row[ELLIPSES] += 1
    elif cp == 35:
        row[HASH_SIGNS] += 1
    return dots


@kernel()
def _begin_tag(cp, before, classes_U):
    """Returns 1 where a hashtag may begin after this sign, else 0."""
    was = classes_U[before]
    return np.int64((cp == 35 or cp == 0xFF03) and before != 95 and not UPPER <= was <= NUMBER)


@kernel()
def _count_own(data_B, start, end, classes_U, seen_S, stamps_S, last_slot, stamp, row, phrases):
    """Counts the characters and words of own text.

    `before` is the character before, a blank outside words. `tag` is 1 after the # of what may be a
    hashtag, 2 once it has a letter. Outside hashtags a word's characters count by `quarters`, where
    they are CJK (2) or unspaced (1), and make it `spaced` where they are not.
    """
    j, before, last, run, dots, flag = start, np.int64(32), np.int64(32), 0, 0, False
    known, tag, tags, spaced, quarters, letters, h = 0, 0, 0, 0, 0, 0, _SEED
    while j < end:
        c = data_B[j]
        cp, stop, kind = np.int64(c), j + 1, np.int64(classes_U[c])
        if c >= 128:
            cp, n = decode_at(data_B, j, end)
            stop, kind = j + n, np.int64(classes_U[cp])
        elif _may_begin_mark(data_B, j, end):
            stop = _mark_end(data_B, j, start, end, classes_U)
            if stop > j:
                kind = np.int64(SPACE)
                _count_mark(data_B, j, stop, row)
            else:
                stop = j + 1
        j = stop
        if kind == EMOJI and before == ZWJ:
            kind = np.int64(OTHER)  # a part of the emoji before
        row[kind] += 1
        if kind == SPACE:
            if before != 32:
                words = tags + spaced + quarters // 4
                _end_word(
                    row, known, words, letters, seen_S, stamps_S, last_slot, stamp, h, phrases
                )
                known, tag, tags, spaced, quarters, letters, h = 0, 0, 0, 0, 0, 0, _SEED
                last, before = before, np.int64(32)
            continue
        run = run + 1 if cp == before else 1
        row[LONGEST_RUN] = max(row[LONGEST_RUN], run)
        if UPPER <= kind <= REGIONAL:
            known += 1
            h = (h ^ np.uint64(cp | 32 if kind == UPPER and cp < 128 else cp)) * _PRIME
            if kind <= UNSPACED:
                letters += 1
                if tag == 1:
                    tag, tags = 2, tags + 1
                    row[HASHTAGS] += 1
            elif kind >= EMOJI:
                tag = 0
                flag = kind == REGIONAL and not (flag and classes_U[before] == REGIONAL)
                row[FLAGS] += flag
            if tag == 0:
                quarters += (kind == CJK) * 2 + (kind == UNSPACED)
                spaced |= kind != CJK and kind != UNSPACED
        elif cp != 95:
            tag = _begin_tag(cp, before, classes_U)
            dots = _count_sign(row, cp, before, dots)
        before = cp
    if before != 32:
        words = tags + spaced + quarters // 4
        _end_word(row, known, words, letters, seen_S, stamps_S, last_slot, stamp, h, phrases)
        last = before
    row[CUT_SHORT] = last == ELLIPSIS or (last == 46 and dots >= 3)


@kernel()
def _is_bullet(cp):
    if cp < 128:
        return cp == 42 or cp == 45
    return cp in (0xB7, 0x2013, 0x2022, 0x2023, 0x25AA, 0x25CF, 0x25E6)


@kernel()
def _ends_cut(data_B, last):
    """Returns whether the bytes before `last` end with "..." or with the bytes of "…"."""
    a, b, c = data_B[last - 3], data_B[last - 2], data_B[last - 1]
    return (a == 46 and b == 46 and c == 46) or (a == 0xE2 and b == 0x80 and c == 0xA6)


@kernel()
def _count_line(data_B, first, last, row):
    """Counts the line of the bytes [first, last), which are not blank at either end."""
    row[LINES] += 1
    row[LINE_CHARS] += _num_chars(data_B, first, last)
    cp, _ = decode_at(data_B, first, last)
    row[BULLET_LINES] += _is_bullet(cp)
    if last - first >= 3:
        row[ELLIPSIS_LINES] += _ends_cut(data_B, last)


@kernel()
def _trimmed(data_B, start, end, classes_U):
    """Returns the first and last position of what is not white space, or (end, end)."""
    first = _skip(data_B, start, end, classes_U, False)
    while end > first:
        k = end - 1
        while k > first and (data_B[k] & 0xC0) == 0x80:
            k -= 1
        cp, _ = decode_at(data_B, k, end)
        if classes_U[cp] != SPACE:
            break
        end = k
    return first, end


@kernel()
def _count_lines(data_B, start, end, classes_U, seen_S, stamps_S, last_slot, stamp, row):
    newlines = 0
    for j in range(start, end):
        newlines += data_B[j] == 10
    j = start
    while j < end:
        stop = end if newlines == 0 else j
        while stop < end and data_B[stop] != 10:
            stop += 1
        first, last = _trimmed(data_B, j, stop, classes_U)
        j = stop + 1
        if first == last:
            continue
        _count_line(data_B, first, last, row)
        if newlines > 0:
            h = _SEED
            for m in range(first, last):
                h = (h ^ np.uint64(data_B[m])) * _PRIME
            if _seen_before(seen_S, stamps_S, last_slot, stamp, ~h):
                row[DUPLICATE_LINES] += 1
                row[DUPLICATE_LINE_CHARS] += _num_chars(data_B, first, last)


@kernel(types.void(BYTES, OFFSETS, BYTES, types.uint64[::1], types.int32[::1], types.int32[:, ::1]))
def count_features(data_B, offsets_N1, classes_U, seen_S, stamps_S, out_NK):
    """Adds the counters of each text to a zeroed (N, NUM_COUNTERS) array.

    `seen_S` is an open-addressing set of word and line hashes, with a power of two of slots and more
    than the longest text has bytes; a row uses as many as its length asks for. `stamps_S`, filled with
    -1, says for which window of a row, or for whose lines, a slot was used. Phrases have a set of their own.
    """
    ring_W, rolling_1 = np.empty(PHRASE, np.uint64), np.empty(1, np.uint64)
    no_phrases = seen_S[:0], stamps_S[:0], ring_W, rolling_1
    phrases = no_phrases
    stamp = np.int32(0)
    for i in range(len(out_NK)):
        row = out_NK[i]
        begin, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        start, handles = _shell_end(data_B, begin, end, classes_U)
        row[RETWEET] = handles > 0
        row[MENTIONS] = handles
        row[MARK_CHARS] = _num_chars(data_B, begin, start)
        last_slot = np.int64(63)
        while last_slot < end - begin + 2:  # a word takes two bytes, and so does a line
            last_slot = 2 * last_slot + 1
        of_row = no_phrases
        if end - begin >= 2 * WINDOW:  # shorter texts have one window
            if len(phrases[0]) == 0:
                stamps = np.full(len(stamps_S), -1, np.int32)
                phrases = np.empty(len(seen_S), np.uint64), stamps, ring_W, rolling_1
            of_row = phrases
        _count_own(data_B, start, end, classes_U, seen_S, stamps_S, last_slot, stamp, row, of_row)
        stamp += np.int32(row[KNOWN] // WINDOW + 1)
        _count_lines(data_B, begin, end, classes_U, seen_S, stamps_S, last_slot, stamp, row)
        stamp += np.int32(1)


@kernel()
def _split_words(data_B, j, end, words_W, lengths_W):
    """Writes the hash and the code points of each word; returns how many words there are."""
    num_words = 0
    while j < end:
        h, length = _SEED, 0
        while j < end and data_B[j] != 32:
            h = (h ^ np.uint64(data_B[j])) * _PRIME
            length += (data_B[j] & 0xC0) != 0x80
            j += 1
        words_W[num_words], lengths_W[num_words] = h, length
        num_words += 1
        j += 1
    return num_words


@kernel()
def _occurrence(keys_S, stamps_S, counts_S, last_slot, stamp, h):
    """Returns how often the row has had this hash, this time included. Old stamps are empty slots."""
    s = np.int64(h >> np.uint64(33)) & last_slot
    while stamps_S[s] == stamp and keys_S[s] != h:
        s = (s + 1) & last_slot
    if stamps_S[s] != stamp:
        stamps_S[s], keys_S[s], counts_S[s] = stamp, h, 0
    counts_S[s] += 1
    return counts_S[s]


@kernel(types.void(BYTES, OFFSETS, _INT, _HASHES, _COUNTS, _HASHES, _COUNTS, _COUNTS, _RATIOS))
def phrase_ratios(data_B, offsets_N1, n, words_W, lengths_W, keys_S, stamps_S, counts_S, ratios_N):
    """Writes what share of each text the commonest run of n words takes up; other texts keep their zero."""
    for i in range(len(ratios_N)):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        num_words = _split_words(data_B, start, end, words_W, lengths_W)
        last_slot, total = 63, max(0, num_words - 1)
        for w in range(num_words):
            total += lengths_W[w]
        while last_slot < num_words + 2:
            last_slot = 2 * last_slot + 1
        best_count, best_length = 1, 0
        for w in range(num_words - n + 1):
            h, length = _SEED, n - 1
            for k in range(w, w + n):
                h = (h ^ words_W[k]) * _PRIME
                h ^= h >> np.uint64(29)
                length += lengths_W[k]
            count = _occurrence(keys_S, stamps_S, counts_S, last_slot, np.int32(i), h)
            if count > best_count or (count == best_count and count > 1 and length > best_length):
                best_count, best_length = count, length
        if total > 0 and best_count > 1:
            ratios_N[i] = min(1.0, best_count * best_length / total)
