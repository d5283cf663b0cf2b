"""Check digits, as the numbers of cards, accounts and persons have them."""

from collections.abc import Sequence

_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Returns the sum of the digits by their weights; as many digits as there are weights.

    >>> weighted("123", (3, 2, 1))
    10
    """
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: str) -> bool:
    """Returns whether the sum of Luhn is right (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    doubled = sum(int("0246813579"[int(digit)]) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def verhoeff(digits: str) -> bool:
    """Returns whether the check of Verhoeff's dihedral group is right.

    >>> verhoeff("2363"), verhoeff("2364")
    (True, False)
    """
    check = 0
    for i, digit in enumerate(reversed(digits)):
        check = int(_VERHOEFF_D[check][int(_VERHOEFF_P[i % 8][int(digit)])])
    return check == 0


def mod_11_10(digits: str) -> bool:
    """Returns whether the hybrid check of ISO/IEC 7064, MOD 11,10, is right.

    >>> mod_11_10("07945"), mod_11_10("07946")
    (True, False)
    """
    check = 10
    for digit in digits[:-1]:
        check = ((check + int(digit)) % 10 or 10) * 2 % 11
    return (check + int(digits[-1])) % 10 == 1


def mod_97(letters: str) -> int:
    """Returns the remainder by 97 of letters and digits, A to Z as 10 to 35 (ISO/IEC 7064, MOD 97-10).

    >>> mod_97("3214282912345698765432161182")
    1
    """
    return int("".join(str(int(c, 36)) for c in letters)) % 97


def is_date(year: int, month: int, day: int) -> bool:
    """Returns whether a month has that day; the year tells whether it is a leap year.

    >>> is_date(1999, 2, 29), is_date(2000, 2, 29)
    (False, True)
    """
    if not 1 <= month <= 12:
        return False
    leap = month == 2 and (year % 4 or (year % 100 == 0 and year % 400)) == 0
    return 1 <= day <= (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1] + leap
