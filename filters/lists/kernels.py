"""The kernels that find entries of lists: an automaton over the words of texts, and sets of names.

A text is read as words: runs of letters and digits of scripts that are written with spaces; of other
scripts, of signs and of emoji each character is one. White space parts them and is none. Characters that show
nothing (joiners, variation selectors) are not looked at. The automaton is that of Aho and Corasick, with
words in place of letters, so that all phrases are found in one pass that is linear in the text, and none
begins or ends inside a word.

URLs and @handles are not read as words. The host and the path of a URL are looked up as names.
"""

import numpy as np

from sluice.filters.text.kernels import (
    DIGIT,
    LETTER,
    NUMBER,
    OTHER,
    SPACE,
    UPPER,
    _mark_end,
    _may_begin_mark,
    _scheme_end,
)
from sluice.schemas.kernel import BYTES, OFFSETS, decode_at, kernel, read_only, types

_INT, _HASH = types.int64, types.uint64
FOLDS = read_only(types.int32)
"""What each code point is compared as, (TABLE_SIZE,) int32."""
_PLACES, _KEYS, _HASHES = read_only(types.int64), read_only(types.int32), read_only(types.uint64)
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SPREAD, _GOLDEN = np.uint64(0xD6E8FEB86659FD93), np.uint64(0x9E3779B97F4A7C15)
_ONE, _NONE = np.uint64(1), np.uint64(0)

HOST_BYTES = 1024
"""Bytes of a host at most; a longer one is no name of a domain."""
NAMES, DOMAINS, URLS = 0, 1, 2
"""How a name is hashed: forward for ids, backward for domains, forward with another seed for URLs."""
ROW, KEY, START, STOP, WHOLE = 0, 1, 2, 3, 4
"""Columns of the hits: post, key, first byte and end in the buffer of texts, whether it is the whole host."""


@kernel()
def _mixed(h):
    h = (h ^ (h >> np.uint64(32))) * _SPREAD
    return h ^ (h >> np.uint64(29))


@kernel()
def _edge(node, word):
    """Returns the hash of the step from a node by a word; never 0, which marks an empty slot."""
    return _mixed(word ^ (np.uint64(node) * _GOLDEN)) | _ONE


@kernel()
def _char(data_B, j, end):
    """Returns (code point, bytes) of the character at `j`."""
    c = np.int64(data_B[j])
    n = np.int64(1)
    if c >= 128:
        c, n = decode_at(data_B, j, end)
    return np.int64(c), np.int64(n)


@kernel()
def _may_mark(c):
    """Returns whether a URL or handle may begin with an ASCII character: @, h or w."""
    return c == 64 or (c | 32) == 104 or (c | 32) == 119


@kernel(_INT(BYTES, _INT, _INT))
def _to_mark(data_B, j, end):
    """Returns the first place from `j` where a URL or handle may begin."""
    while j < end and not (_may_mark(data_B[j]) and _may_begin_mark(data_B, j, end)):
        j += 1
    return j


@kernel(
    types.Tuple((_HASH, _INT, _INT, types.boolean))(
        BYTES, _INT, _INT, _INT, BYTES, FOLDS, types.boolean
    )
)
def next_word(data_B, j, start, end, classes_U, folds_U, has_marks):
    """Returns (hash, first byte, end, whether it is a URL or handle) of a word; first = end for none."""
    h, first, stop = _SEED, np.int64(-1), np.int64(end)
    while j < end:
        cp, n = np.int64(data_B[j]), np.int64(1)
        if cp >= 128:
            cp, n = _char(data_B, j, end)
        elif has_marks and _may_mark(cp) and _may_begin_mark(data_B, j, end):
            mark = _mark_end(data_B, j, start, end, classes_U)
            if mark > j:
                if first < 0:
                    return h, np.int64(j), np.int64(mark), True
                break
        kind = classes_U[cp]
        is_word = UPPER <= kind <= LETTER or DIGIT <= kind <= NUMBER
        if kind == OTHER or (kind == SPACE and first < 0):
            j += n
            continue
        if first < 0:
            first = j
        elif not is_word:
            break
        h = (h ^ np.uint64(folds_U[cp])) * _PRIME
        j += n
        stop = j
        if not is_word:
            break
    if first < 0:
        return h, np.int64(end), np.int64(end), False
    return _mixed(h), np.int64(first), np.int64(stop), False


@kernel(_INT(BYTES, _INT, _INT, BYTES, FOLDS))
def num_words(data_B, start, end, classes_U, folds_U):
    """Returns how many words the bytes [start, end) have, as a phrase."""
    n, j = 0, start
    while j < end:
        _, first, stop, _ = next_word(data_B, j, start, end, classes_U, folds_U, False)
        n += first < end
        j = stop
    return n


@kernel(_INT(BYTES, _INT, _INT, BYTES))
def find_mark(data_B, start, end, classes_U):
    """Returns where the first URL or handle of a text begins, or -1."""
    for j in range(start, end):
        may_begin = data_B[j] < 128 and _may_begin_mark(data_B, j, end)
        if may_begin and _mark_end(data_B, j, start, end, classes_U) > j:
            return np.int64(j)
    return np.int64(-1)


@kernel()
def _step(node, word, edges_S, children_S, shift):
    """Returns the node that a word leads to, or -1."""
    key = _edge(node, word)
    last = np.int64(len(edges_S) - 1)
    s = np.int64(key >> shift)
    while edges_S[s] != _NONE:
        if edges_S[s] == key:
            return np.int64(children_S[s])
        s = (s + 1) & last
    return np.int64(-1)


@kernel(
    _INT(
        *(BYTES, _PLACES, _KEYS, BYTES, FOLDS, types.uint64[::1], types.int32[::1], _HASH),
        *(types.int32[::1], types.int32[::1], types.uint64[::1], types.int32[::1]),
    )
)
def grow(
    data_B,
    offsets_K1,
    keys_P,
    classes_U,
    folds_U,
    edges_S,
    children_S,
    shift,
    outs_M,
    parents_M,
    words_M,
    depths_M,
):
    """Puts phrases into the empty tree of the automaton; returns how many nodes it has, the root included."""
    nodes, last = 1, np.int64(len(edges_S) - 1)
    for p in range(len(keys_P)):
        start, end = offsets_K1[keys_P[p]], offsets_K1[keys_P[p] + 1]
        j, node = start, np.int64(0)
        while j < end:
            word, first, stop, _ = next_word(data_B, j, start, end, classes_U, folds_U, False)
            j = stop
            if first == end:
                break
            child = _step(node, word, edges_S, children_S, shift)
            if child < 0:
                key = _edge(node, word)
                s = np.int64(key >> shift)
                while edges_S[s] != _NONE:
                    s = (s + 1) & last
                edges_S[s], children_S[s] = key, nodes
                parents_M[nodes], words_M[nodes], depths_M[nodes] = node, word, depths_M[node] + 1
                child = np.int64(nodes)
                nodes += 1
            node = child
        outs_M[node] = keys_P[p]
    return nodes


@kernel(
    types.void(
        *(read_only(types.int64), _HASHES, _KEYS, _HASH, _KEYS, _KEYS, _HASHES),
        *(types.int32[::1], types.int32[::1]),
    )
)
def link(order_M, edges_S, children_S, shift, outs_M, parents_M, words_M, fails_M, shorter_M):
    """Gives each node the longest other one that ends alike, and the longest of these that ends a phrase.

    `order_M` are the nodes by depth, the root first.
    """
    for k in range(1, len(order_M)):
        node = order_M[k]
        back, word = np.int64(parents_M[node]), words_M[node]
        found = np.int64(0)
        while back != 0:
            back = np.int64(fails_M[back])
            child = _step(back, word, edges_S, children_S, shift)
            if child >= 0:
                found = child
                break
        fails_M[node] = found
        shorter_M[node] = found if outs_M[found] >= 0 else shorter_M[found]


@kernel(types.void(read_only(types.int32), _HASHES, types.uint8[::1]))
def mark_first_words(parents_M, words_M, first_F):
    """Sets the bits of the words that phrases begin with, by the upper bits of their hashes."""
    shift = np.uint64(64 - 3)
    size = len(first_F)
    while size > 1:
        size >>= 1
        shift -= _ONE
    for node in range(1, len(parents_M)):
        if parents_M[node] == 0:
            bit = words_M[node] >> shift
            first_F[np.int64(bit >> np.uint64(3))] |= np.uint8(1) << np.uint8(bit & np.uint64(7))


@kernel()
def _hash_range(data_B, start, end, how):
    """Returns the hash of a name."""
    h = _SEED + np.uint64(how)
    for k in range(end - start):
        j = end - 1 - k if how == DOMAINS else start + k
        h = (h ^ np.uint64(data_B[j])) * _PRIME
    return _mixed(h) | _ONE


@kernel(types.void(BYTES, _PLACES, _KEYS, _INT, types.uint64[::1], types.int32[::1], _HASH))
def fill_set(names_B, offsets_K1, keys_P, how, hashes_S, keys_S, shift):
    """Puts names into an empty set: open addressing by their hashes."""
    last = np.int64(len(hashes_S) - 1)
    for p in range(len(keys_P)):
        h = _hash_range(names_B, offsets_K1[keys_P[p]], offsets_K1[keys_P[p] + 1], how)
        s = np.int64(h >> shift)
        while hashes_S[s] != _NONE:
            s = (s + 1) & last
        hashes_S[s], keys_S[s] = h, keys_P[p]


@kernel()
def _found(data_B, start, end, h, hashes_S, keys_S, shift, names_B, offsets_K1):
    """Returns the key of the name of the bytes [start, end), or -1; the bytes are compared."""
    last = np.int64(len(hashes_S) - 1)
    s = np.int64(h >> shift)
    while hashes_S[s] != _NONE:
        if hashes_S[s] == h:
            at = offsets_K1[keys_S[s]]
            same = offsets_K1[keys_S[s] + 1] - at == end - start
            k = 0
            while same and k < end - start:
                same = names_B[at + k] == data_B[start + k]
                k += 1
            if same:
                return np.int64(keys_S[s])
        s = (s + 1) & last
    return np.int64(-1)


@kernel(types.void(BYTES, OFFSETS, _HASHES, _KEYS, _HASH, BYTES, _PLACES, types.int32[::1]))
def find_names(data_B, offsets_N1, hashes_S, keys_S, shift, names_B, offsets_K1, out_N):
    """Writes the key that each text is, or -1."""
    for i in range(len(out_N)):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        h = _hash_range(data_B, start, end, NAMES)
        out_N[i] = _found(data_B, start, end, h, hashes_S, keys_S, shift, names_B, offsets_K1)


@kernel()
def _put(out_B, o, cp):
    """Writes a code point as UTF-8; returns where the next one goes."""
    if cp < 0x80:
        out_B[o] = cp
        return o + 1
    if cp < 0x800:
        out_B[o], out_B[o + 1] = 0xC0 | (cp >> 6), 0x80 | (cp & 0x3F)
        return o + 2
    if cp < 0x10000:
        out_B[o], out_B[o + 1] = 0xE0 | (cp >> 12), 0x80 | ((cp >> 6) & 0x3F)
        out_B[o + 2] = 0x80 | (cp & 0x3F)
        return o + 3
    out_B[o], out_B[o + 1] = 0xF0 | (cp >> 18), 0x80 | ((cp >> 12) & 0x3F)
    out_B[o + 2], out_B[o + 3] = 0x80 | ((cp >> 6) & 0x3F), 0x80 | (cp & 0x3F)
    return o + 4


@kernel()
def _is_host(c):
    return (
        48 <= c <= 57
        or 65 <= c <= 90
        or 97 <= c <= 122
        or c == 45
        or c == 46
        or c == 95
        or c >= 128
    )


@kernel()
def _is_after_host(c):
    return c == 47 or c == 63 or c == 35 or c == 92


@kernel()
def _closes(c):
    """Returns whether a URL does not end with this sign: it is of the sentence around it, or a last slash."""
    return c in (33, 39, 40, 41, 42, 44, 46, 47, 58, 59, 63, 91, 93, 123, 125)


@kernel(types.UniTuple(_INT, 2)(BYTES, _INT, _INT, _INT))
def _host_of(data_B, j, start, stop):
    """Returns the first byte and the end of the host of the URL [j, stop)."""
    begin = j
    if (data_B[j] | 32) == 104:
        begin = _scheme_end(data_B, j, start, stop)
    end, at = begin, np.int64(-1)
    while end < stop and not _is_after_host(data_B[end]):
        if data_B[end] == 64:
            at = np.int64(end)
        end += 1
    if at >= 0:
        begin = at + 1
    last = begin
    while last < end and _is_host(data_B[last]):
        last += 1
    while last > begin and data_B[last - 1] == 46:
        last -= 1
    return np.int64(begin), np.int64(last)


@kernel()
def _fold_host(data_B, begin, end, folds_U, host_H):
    """Writes a host as it is compared; returns its bytes, 0 where it is too long."""
    o, j = np.int64(0), np.int64(begin)
    while j < end:
        if o + 4 > HOST_BYTES:
            return np.int64(0)
        cp, n = _char(data_B, j, end)
        o = np.int64(_put(host_H, o, np.int64(folds_U[cp])))
        j += n
    return o


@kernel()
def _without_www(host_H, size):
    """Returns where a host begins behind "www."."""
    is_www = (
        size > 4 and host_H[0] == 119 and host_H[1] == 119 and host_H[2] == 119 and host_H[3] == 46
    )
    return np.int64(4) if is_www else np.int64(0)


@kernel()
def _emit(out_H5, n, row, key, start, stop, whole):
    """Writes a hit where there is room; returns the number of hits."""
    if n < len(out_H5):
        out_H5[n, ROW], out_H5[n, KEY], out_H5[n, START], out_H5[n, STOP], out_H5[n, WHOLE] = (
            row,
            key,
            start,
            stop,
            whole,
        )
    return n + 1


@kernel(
    _INT(
        *(
            BYTES,
            _INT,
            _INT,
            _INT,
            FOLDS,
            _HASHES,
            _KEYS,
            _HASH,
            _HASHES,
            _KEYS,
            _HASH,
            BYTES,
            _PLACES,
        ),
        *(types.uint8[::1], _INT, types.int64[:, ::1], _INT),
    )
)
def _find_in_url(
    data_B,
    j,
    start,
    stop,
    folds_U,
    domains_S,
    domain_keys_S,
    domain_shift,
    urls_S,
    url_keys_S,
    url_shift,
    names_B,
    offsets_K1,
    host_H,
    row,
    out_H5,
    n,
):
    """Looks up the domains that the URL [j, stop) is of, and the URLs that it is or lies below."""
    begin, end = _host_of(data_B, j, start, stop)
    size = _fold_host(data_B, begin, end, folds_U, host_H)
    if size == 0:
        return n
    www = _without_www(host_H, size)
    h = _SEED + np.uint64(DOMAINS)
    for k in range(size - 1, -1, -1):
        h = (h ^ np.uint64(host_H[k])) * _PRIME
        if k == 0 or host_H[k - 1] == 46:
            key = _found(
                host_H,
                k,
                size,
                _mixed(h) | _ONE,
                domains_S,
                domain_keys_S,
                domain_shift,
                names_B,
                offsets_K1,
            )
            if key >= 0:
                n = _emit(out_H5, n, row, key, j, stop, k == 0 or k == www)
    if len(urls_S) > 2:
        while end < stop and not _is_after_host(data_B[end]):
            end += 1
        last = stop
        while last > end and _closes(data_B[last - 1]):
            last -= 1
        h = _SEED + np.uint64(URLS)
        for k in range(www, size):
            h = (h ^ np.uint64(host_H[k])) * _PRIME
        room = len(host_H)
        o, p = size, end
        while p < last and o < room:
            c = data_B[p]
            host_H[o] = c
            h = (h ^ np.uint64(c)) * _PRIME
            o += 1
            p += 1
            ends = p == last
            if not ends:
                after = data_B[p]
                ends = after == 47 or after == 63 or after == 35 or after == 38
            if ends:
                key = _found(
                    host_H,
                    www,
                    o,
                    _mixed(h) | _ONE,
                    urls_S,
                    url_keys_S,
                    url_shift,
                    names_B,
                    offsets_K1,
                )
                if key >= 0:
                    n = _emit(out_H5, n, row, key, j, stop, p == last)
    return n


@kernel(types.boolean(BYTES, _INT, _INT, BYTES, _INT, _INT, BYTES, FOLDS))
def _is_phrase(data_B, j, end, names_B, k, stop, classes_U, folds_U):
    """Returns whether two pieces of text are the same, white space and case apart."""
    while True:
        a, b = np.int64(-1), np.int64(-1)
        while a < 0 and j < end:
            cp, n = _char(data_B, j, end)
            j += n
            if classes_U[cp] != SPACE and classes_U[cp] != OTHER:
                a = np.int64(folds_U[cp])
        while b < 0 and k < stop:
            cp, n = _char(names_B, k, stop)
            k += n
            if classes_U[cp] != SPACE and classes_U[cp] != OTHER:
                b = np.int64(folds_U[cp])
        if a != b:
            return False
        if a < 0:
            return True


@kernel(
    _INT(
        *(BYTES, OFFSETS, BYTES, FOLDS, BYTES, _PLACES),
        *(_HASHES, _KEYS, _HASH, _HASHES, _KEYS, _HASH),
        *(_HASHES, _KEYS, _HASH, _KEYS, _KEYS, _KEYS, _KEYS, BYTES, _HASH, _HASHES, _HASH),
        *(_INT, types.uint8[::1], types.int64[::1], types.int64[:, ::1]),
    )
)
def find_in_texts(
    data_B,
    offsets_N1,
    classes_U,
    folds_U,
    names_B,
    offsets_K1,
    domains_S,
    domain_keys_S,
    domain_shift,
    urls_S,
    url_keys_S,
    url_shift,
    edges_S,
    children_S,
    shift,
    outs_M,
    fails_M,
    shorter_M,
    depths_M,
    first_F,
    first_shift,
    masks_K,
    every,
    num_rows,
    scratch_B,
    starts_D,
    out_H5,
):
    """Writes the hits of domains, URLs and phrases in each text, as many as there is room for.

    Of the phrases of a list that end at one place the longest is a hit: what is shorter is inside of it. So
    a text has a hit a word and list at most, however the phrases are nested. `masks_K` are the lists of
    each phrase as bits, `every` those of all phrases.

    Returns:
        How many there are.
    """
    n, last = np.int64(0), np.int64(len(starts_D) - 1)
    for i in range(num_rows):
        start, end = np.int64(offsets_N1[i]), np.int64(offsets_N1[i + 1])
        j, node, count = start, np.int64(0), np.int64(0)
        while j < end:
            if len(outs_M) == 1:
                j = _to_mark(data_B, j, end)
            word, first, stop, is_mark = next_word(data_B, j, start, end, classes_U, folds_U, True)
            j = stop
            if is_mark:
                node = np.int64(0)
                if data_B[first] != 64:
                    n = _find_in_url(
                        data_B,
                        first,
                        start,
                        stop,
                        folds_U,
                        domains_S,
                        domain_keys_S,
                        domain_shift,
                        urls_S,
                        url_keys_S,
                        url_shift,
                        names_B,
                        offsets_K1,
                        scratch_B,
                        i,
                        out_H5,
                        n,
                    )
                continue
            if first == end:
                break
            count += 1
            starts_D[count & last] = first
            while True:
                child = np.int64(-1)
                if node != 0:
                    child = _step(node, word, edges_S, children_S, shift)
                else:
                    bit = word >> first_shift
                    mask = np.uint8(1) << np.uint8(bit & np.uint64(7))
                    if first_F[np.int64(bit >> np.uint64(3))] & mask:
                        child = _step(node, word, edges_S, children_S, shift)
                if child >= 0:
                    node = child
                    break
                if node == 0:
                    break
                node = np.int64(fails_M[node])
            ends = node if outs_M[node] >= 0 else np.int64(shorter_M[node])
            seen = _NONE
            while ends != 0 and seen != every:
                key = np.int64(outs_M[ends])
                begin = starts_D[(count - np.int64(depths_M[ends]) + 1) & last]
                if masks_K[key] & ~seen and _is_phrase(
                    data_B,
                    begin,
                    stop,
                    names_B,
                    offsets_K1[key],
                    offsets_K1[key + 1],
                    classes_U,
                    folds_U,
                ):
                    n = _emit(out_H5, n, i, key, begin, stop, True)
                    seen |= masks_K[key]
                ends = np.int64(shorter_M[ends])
    return n
