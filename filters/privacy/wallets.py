"""Addresses of wallets, by their checksums: base58check, bech32; Ethereum's and Solana's by their form."""

import hashlib
import re
from collections.abc import Iterator

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_SUMS = (1, 0x2BC830A3)
_CHECKED_BYTES = (25, 26, 37, 38, 82)
"""Of addresses, of private keys, and of extended keys, the check's four bytes with them."""
_WALLET = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<hex>0x[0-9A-Fa-f]{40})"
    r"|(?P<bech>[a-z]{2,10}1[02-9ac-hj-np-z]{11,110}|[A-Z]{2,10}1[02-9AC-HJ-NP-Z]{11,110})"
    r"|(?P<base>[1-9A-HJ-NP-Za-km-z]{25,111}))(?![A-Za-z0-9])"
)


def wallets(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each wallet's address of a text.

    >>> list(wallets("send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"))
    [(8, 42)]
    """
    for found in _WALLET.finditer(text):
        word = found[0]
        if found["hex"]:
            is_wallet = len(set(word[2:])) > 4
        else:
            is_wallet = _is_bech32(word.lower()) if found["bech"] else False
            is_wallet = is_wallet or _is_base58(word)
        if is_wallet:
            yield found.span()


def _is_base58(word: str) -> bool:
    if not set(word) <= set(_BASE58):
        return False
    if word[0] == "r" and len(word) <= 35 and _is_checked(_decoded(word, _RIPPLE)):
        return True
    data = _decoded(word, _BASE58)
    if _is_checked(data):
        return True
    if len(word) == 95 and word[0] in "48":  # Monero: its blocks of 11 characters are 8 bytes each
        return word[1] in "0123456789AB"
    mixed = re.search("[0-9]", word) and re.search("[a-z]", word) and re.search("[A-Z]", word)
    return len(word) in (43, 44) and len(data) == 32 and bool(mixed)


def _decoded(word: str, alphabet: str) -> bytes:
    """Returns the bytes of a number in base 58, a zero byte for each leading zero digit."""
    number = 0
    for c in word:
        number = number * 58 + alphabet.index(c)
    zeros = len(word) - len(word.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _is_checked(data: bytes) -> bool:
    """Returns whether the last four bytes are the double SHA-256 of the others."""
    if len(data) not in _CHECKED_BYTES:
        return False
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def _is_bech32(word: str) -> bool:
    """Returns whether the check of BIP 173 or BIP 350 is right."""
    prefix, _, rest = word.rpartition("1")
    if not prefix or not set(rest) <= set(_BECH32):
        return False
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    total = 1
    for value in values + [_BECH32.index(c) for c in rest]:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for i in range(5):
            total ^= _GENERATORS[i] if top >> i & 1 else 0
    return total in _BECH32_SUMS
