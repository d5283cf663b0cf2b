"""Identity and tax numbers of persons, in the countries where a check tells them.

A number that chance would pass once in a thousand or less is told by itself, or by the signs that it is
written with. Others need a word before them that says what they are, or a post in a language of the
country. All of a number's shapes are listed: `groups.py` says what a shape is.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

from sluice.filters.privacy.digits import is_date, luhn, mod_11_10, verhoeff, weighted
from sluice.filters.privacy.groups import WrittenNumber


class IdFormat(NamedTuple):
    """One number of a country, as it is written.

    Attributes:
        country: ISO 3166, with the number's name.
        shapes: as it is written.
        is_valid: whether letters and digits, in upper case and without signs, are one.
        words: one of them must stand before it; none where it is told by itself.
        languages: of posts where it needs no word.
    """

    country: str
    shapes: tuple[str, ...]
    is_valid: Callable[[str], bool]
    words: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


WORDS_BEFORE = 48
"""Characters before a number in which a word is looked for."""
_WITH_PREFIXES = "\u0590"
"""From here on: Hebrew, Arabic, and the scripts of Asia."""
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_ODD = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        b"\1\0\5\7\x09\x0d\x0f\x11\x13\x15\2\4\x12\x14\x0b\3\6\x08\x0c\x0e\x10\x0a\x16\x19\x18\x17"
        b"\1\0\5\7\x09\x0d\x0f\x11\x13\x15",
        strict=True,
    )
)
"""What letters and digits in odd places of an Italian number weigh."""
_CURP = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
_TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def is_national_id(number: WrittenNumber, before: str, language: str) -> bool:
    """Returns whether some groups are the identity number of a person.

    Args:
        number: the groups.
        before: the text before them.
        language: of the post, by ISO 639; empty where it is not known.
    """
    return any(
        each.is_valid(number.compact)
        and (not each.words or language in each.languages or _has_word(each.words, before))
        for each in _by_shape().get(number.shape, ())
    )


def _has_word(words: tuple[str, ...], before: str) -> bool:
    return bool(_expression(words).search(before[-WORDS_BEFORE:].lower()))


@cache
def _expression(words: tuple[str, ...]) -> re.Pattern[str]:
    """Returns what finds one of the words; those of scripts without blanks, or with prefixes, anywhere."""
    whole = "|".join(re.escape(word) for word in words if word[0] < _WITH_PREFIXES)
    parts = [rf"(?<![^\W_])(?:{whole})(?![^\W\d_])"] if whole else []
    return re.compile("|".join(parts + [word for word in words if word[0] >= _WITH_PREFIXES]))


def _date(digits: str, *, century: int = 1900, order: str = "ymd") -> bool:
    """Returns whether six digits are a date, of year, month and day by `order`."""
    parts = {part: int(digits[2 * i : 2 * i + 2]) for i, part in enumerate(order)}
    return is_date(century + parts["y"], parts["m"], parts["d"])


def _argentina(n: str) -> bool:
    check = 11 - weighted(n, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return n[:2] in ("20", "23", "24", "25", "26", "27") and {11: 0, 10: 9}.get(
        check, check
    ) == int(n[10])


def _australia(n: str) -> bool:
    return weighted(n, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def _belgium(n: str) -> bool:
    checks = (97 - int(n[:9]) % 97, 97 - int("2" + n[:9]) % 97)
    month = int(n[2:4])
    return int(n[9:]) in checks and month <= 52 and month % 20 <= 12 and int(n[4:6]) <= 31


def _bulgaria(n: str) -> bool:
    month = int(n[2:4])
    born = is_date(1900 + int(n[:2]), month % 20, int(n[4:6])) and month < 53
    return born and weighted(n, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(n[9])


def _brazil(n: str) -> bool:
    first = weighted(n[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(n[:10], range(11, 1, -1)) * 10 % 11 % 10
    return n[9:] == f"{first}{second}" and len(set(n)) > 1


def _canada(n: str) -> bool:
    return luhn(n) and n[0] not in "08" and len(set(n)) > 1


def _switzerland(n: str) -> bool:
    return n[:3] == "756" and weighted(n, (1, 3) * 6 + (1,)) % 10 == 0


def _chile(n: str) -> bool:
    check = 11 - weighted(n[-2::-1], (2, 3, 4, 5, 6, 7, 2, 3)) % 11
    return n[:-1].isdigit() and n[-1] == "0123456789K0"[check]


def _china(n: str) -> bool:
    if not n[:17].isdigit() or not is_date(int(n[6:10]), int(n[10:12]), int(n[12:14])):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    placed = int(n[:2]) in (*range(11, 66), 71, 81, 82, 83, 91)
    return (
        placed
        and 1900 <= int(n[6:10]) <= 2099
        and n[17] == "10X98765432"[weighted(n, weights) % 11]
    )


def _czechia(n: str) -> bool:
    month = int(n[2:4]) % 50 % 20
    return int(n) % 11 == 0 and 1 <= month <= 12 and 1 <= int(n[4:6]) <= 31


def _germany(n: str) -> bool:
    repeated = [n[:10].count(digit) for digit in set(n[:10]) if n[:10].count(digit) > 1]
    return n[0] != "0" and len(repeated) == 1 and repeated[0] < 4 and mod_11_10(n)


def _ecuador(n: str) -> bool:
    return 1 <= int(n[:2]) <= 24 and int(n[2]) < 6 and luhn(n)


def _baltic(n: str) -> bool:
    """Estonia and Lithuania have one check."""
    first = weighted(n, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    second = weighted(n, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return (
        n[0] in "123456"
        and _date(n[1:7], century=1700 + 100 * ((int(n[0]) + 1) // 2))
        and (second if first == 10 else first) == int(n[10])
    )


def _spain(n: str) -> bool:
    digits = str("XYZ".index(n[0])) + n[1:-1] if n[0] in "XYZ" else n[:-1]
    return digits.isdigit() and n[-1] == _DNI_LETTERS[int(digits) % 23]


def _finland(n: str) -> bool:
    digits = n[:6] + n[-4:-1]
    if len(n) == 11 and n[6] not in "ABCDEFYXWVU":
        return False
    if not digits.isdigit() or not _date(n[:6], order="dmy", century=2000):
        return False
    return n[-1] == _HETU_LETTERS[int(digits) % 31]


def _france(n: str) -> bool:
    month = int(n[3:5])
    place = n[5:7].replace("2A", "19").replace("2B", "18")
    digits = n[:5] + place + n[7:]
    if not digits.isdigit() or n[0] not in "1278" or not (1 <= month <= 12 or 20 <= month <= 42):
        return False
    return 97 - int(digits[:13]) % 97 == int(n[13:])


def _nhs(n: str) -> bool:
    return weighted(n, range(10, 0, -1)) % 11 == 0 and weighted(n, range(10, 1, -1)) % 11 != 1


def _nino(n: str) -> bool:
    first, second = n[0] not in "DFIQUV", n[1] not in "DFIOQUV"
    return (
        first
        and second
        and n[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")
        and n[8] in "ABCD"
    )


def _greece(n: str) -> bool:
    return _date(n[:6], order="dmy", century=2000) and luhn(n)


def _hong_kong(n: str) -> bool:
    values = [36, *(ord(c) - 55 for c in n[: len(n) - 7])][-2:]
    total = sum(value * weight for value, weight in zip(values, (9, 8), strict=True))
    check = 11 - (total + weighted(n[-7:-1], (7, 6, 5, 4, 3, 2))) % 11
    return n[-7:-1].isdigit() and n[-1] == {11: "0", 10: "A"}.get(check, str(check))


def _ireland(n: str) -> bool:
    total = weighted(n, (8, 7, 6, 5, 4, 3, 2)) + (
        9 * (ord(n[8]) - 64) if len(n) > 8 and n[8] != "W" else 0
    )
    return n[7] == "WABCDEFGHIJKLMNOPQRSTUV"[total % 23]


def _aadhaar(n: str) -> bool:
    return n[0] not in "01" and verhoeff(n) and len(set(n)) > 2


def _pan(n: str) -> bool:
    return n[3] == "P"


def _iran(n: str) -> bool:
    rest = weighted(n, range(10, 1, -1)) % 11
    return int(n[9]) == (rest if rest < 2 else 11 - rest) and len(set(n)) > 1


def _italy(n: str) -> bool:
    if not re.fullmatch(r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z].{4}", n):
        return False
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in n[1:15:2])
    return (sum(_ODD[c] for c in n[0:15:2]) + even) % 26 == ord(n[15]) - 65


def _japan(n: str) -> bool:
    rest = weighted(n, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(n[11]) == (0 if rest < 2 else 11 - rest) and len(set(n)) > 2


def _korea(n: str) -> bool:
    check = (11 - weighted(n, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    return _date(n[:6], century=2000) and n[6] in "12345678" and int(n[12]) == check


def _latvia(n: str) -> bool:
    check = (1101 - weighted(n, (1, 6, 3, 7, 9, 10, 5, 8, 4, 2))) % 11 % 10
    return n[6] in "012" and _date(n[:6], order="dmy", century=2000) and int(n[10]) == check


def _mexico(n: str) -> bool:
    if not re.fullmatch(r"[A-Z][AEIOUX][A-Z]{2}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", n):
        return False
    total = sum(_CURP.index(c) * weight for c, weight in zip(n[:17], range(18, 1, -1), strict=True))
    return _date(n[4:10], century=2000) and int(n[17]) == (10 - total % 10) % 10


def _netherlands(n: str) -> bool:
    return weighted(n, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and len(set(n)) > 1


def _norway(n: str) -> bool:
    first = (11 - weighted(n, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11) % 11
    second = (11 - weighted(n, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    day = int(n[:2]) % 40
    return n[9:] == f"{first}{second}" and is_date(2000 + int(n[4:6]), int(n[2:4]) % 40, day)


def _poland(n: str) -> bool:
    born = is_date(2000 + int(n[:2]), int(n[2:4]) % 20, int(n[4:6]))
    return born and (10 - weighted(n, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(n[10])


def _portugal(n: str) -> bool:
    rest = weighted(n, range(9, 1, -1)) % 11
    return n[0] in "123" and int(n[8]) == (0 if rest < 2 else 11 - rest)


def _romania(n: str) -> bool:
    check = weighted(n, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    county = int(n[7:9])
    born = n[0] != "0" and _date(n[1:7], century=2000)
    return (
        born
        and (county <= 48 or county in (51, 52, 70, 80))
        and int(n[12]) == (1 if check == 10 else check)
    )


def _snils(n: str) -> bool:
    return weighted(n, range(9, 0, -1)) % 101 % 100 == int(n[9:]) and n[:9] > "001001998"


def _inn(n: str) -> bool:
    first = weighted(n, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = weighted(n, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return n[10:] == f"{first}{second}" and len(set(n)) > 1


def _serbia(n: str) -> bool:
    """The number of Yugoslavia, which its successors kept."""
    check = (11 - weighted(n, (7, 6, 5, 4, 3, 2) * 2) % 11) % 11
    year = int(n[4:7]) + (1000 if n[4] == "9" else 2000)
    return n[4] in "09" and is_date(year, int(n[2:4]), int(n[:2])) and check == int(n[12])


def _saudi_arabia(n: str) -> bool:
    return n[0] in "12" and luhn(n)


def _sweden(n: str) -> bool:
    short, day = n[-10:], int(n[-6:-4])
    born = is_date(2000 + int(short[:2]), int(short[2:4]), day - 60 if day > 60 else day)
    return born and luhn(short) and (len(n) == 10 or n[:2] in ("19", "20"))


def _singapore(n: str) -> bool:
    total = weighted(n[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(n[0], 0)
    letters = {
        "S": "JZIHGFEDCBA",
        "T": "JZIHGFEDCBA",
        "F": "XWUTRQPNMLK",
        "G": "XWUTRQPNMLK",
        "M": "XWUTRQPNJLK",
    }
    if n[0] not in letters:
        return False
    at = 10 - total % 11 if n[0] == "M" else total % 11
    return n[8] == letters[n[0]][at]


def _taiwan(n: str) -> bool:
    letter = _TAIWAN.index(n[0]) + 10
    total = letter // 10 + letter % 10 * 9 + weighted(n[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))
    return n[1] in "1289" and total % 10 == 0


def _thailand(n: str) -> bool:
    return n[0] in "12345678" and (11 - weighted(n, range(13, 1, -1)) % 11) % 10 == int(n[12])


def _turkey(n: str) -> bool:
    tenth = (sum(map(int, n[0:9:2])) * 7 - sum(map(int, n[1:8:2]))) % 10
    return n[0] != "0" and tenth == int(n[9]) and sum(map(int, n[:10])) % 10 == int(n[10])


def _ukraine(n: str) -> bool:
    return weighted(n, (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10 == int(n[9])


def _united_states(n: str) -> bool:
    """No check: an area, a group and a serial number that are given out."""
    return n[:3] not in ("000", "666") and n[0] != "9" and n[3:5] != "00" and n[5:] != "0000"


def _south_africa(n: str) -> bool:
    return _date(n[:6], century=2000) and n[10] in "012" and luhn(n)


_NINE, _TEN, _ELEVEN, _TWELVE, _THIRTEEN = ("9" * n for n in range(9, 14))

FORMATS = (
    IdFormat("AR CUIL", ("99-99999999-9",), _argentina),
    IdFormat("AR CUIL", (_ELEVEN,), _argentina, ("cuil", "cuit")),
    IdFormat(
        "AU TFN", (_NINE, "999 999 999"), _australia, ("tfn", "tax file number", "tax file no")
    ),
    IdFormat("BE rijksregister", ("99.99.99-999.99", "99.99.99-999-99", _ELEVEN), _belgium),
    IdFormat("BG EGN", (_TEN,), _bulgaria, ("егн", "egn")),
    IdFormat("BR CPF", ("999.999.999-99", "999999999-99"), _brazil),
    IdFormat("BR CPF", (_ELEVEN,), _brazil, ("cpf",)),
    IdFormat(
        "CA SIN",
        ("999 999 999", "999-999-999", _NINE),
        _canada,
        ("social insurance number", "sin number", "numéro d'assurance sociale", "sin", "nas"),
    ),
    IdFormat("CH AHV", ("999.9999.9999.99", _THIRTEEN), _switzerland),
    IdFormat("CL RUT", ("99.999.999-9", "9.999.999-9", "99.999.999-A", "9.999.999-A"), _chile),
    IdFormat(
        "CL RUT",
        ("99999999-9", "9999999-9", "99999999-A", "9999999-A"),
        _chile,
        ("rut", "run", "r.u.t"),
    ),
    IdFormat("CN resident", ("9" * 18, "9" * 17 + "A"), _china),
    IdFormat("CZ, SK rodne cislo", ("999999/9999",), _czechia),
    IdFormat(
        "DE Steuer-ID",
        ("99 999 999 999", _ELEVEN),
        _germany,
        (
            "steuer-id",
            "steuerid",
            "steuer-idnr",
            "steuer-identifikationsnummer",
            "steueridentifikationsnummer",
            "idnr",
            "identifikationsnummer",
            "tax id",
            "steuernummer",
        ),
    ),
    IdFormat("EC cedula", (_TEN, "999999999-9"), _ecuador, ("cédula", "cedula", "c.i", "ci")),
    IdFormat(
        "EE, LT personal code",
        (_ELEVEN,),
        _baltic,
        ("isikukood", "asmens kodas", "a.k", "ik", "personal code"),
        ("et", "lt"),
    ),
    IdFormat("ES DNI", ("99999999A", "99999999-A", "99.999.999-A", "99999999 A"), _spain),
    IdFormat(
        "ES NIE", ("A9999999A", "A-9999999-A", "A9999999-A"), lambda n: n[0] in "XYZ" and _spain(n)
    ),
    IdFormat("FI HETU", ("999999-999A", "999999-9999", "999999A999A", "999999A9999"), _finland),
    IdFormat(
        "FR NIR",
        (
            "9 99 99 99 999 999 99",
            "9" * 15,
            "9 99 99 9A 999 999 99",
            "9999999999999 99",
            "999999A99999999",
        ),
        _france,
    ),
    IdFormat(
        "GB NHS", ("999 999 9999", "999-999-9999", _TEN), _nhs, ("nhs number", "nhs no", "nhs")
    ),
    IdFormat(
        "GB NINO",
        ("AA999999A",),
        _nino,
        ("national insurance", "nino", "ni number", "ni no", "n.i"),
    ),
    IdFormat("GR AMKA", (_ELEVEN,), _greece, ("αμκα", "α.μ.κ.α", "amka")),
    IdFormat("HK identity card", ("A999999(9)", "AA999999(9)"), _hong_kong),
    IdFormat("HR OIB", (_ELEVEN,), mod_11_10, ("oib",)),
    IdFormat(
        "IE PPS", ("9999999A", "9999999AA"), _ireland, ("pps", "ppsn", "pps number", "pps no")
    ),
    IdFormat(
        "IL teudat zehut",
        (_NINE, "99999999-9"),
        luhn,
        ("ת.ז", "תז", "תעודת זהות", "ת״ז", "teudat zehut"),
    ),
    IdFormat("IN Aadhaar", ("9999 9999 9999", "9999-9999-9999"), _aadhaar),
    IdFormat("IN Aadhaar", (_TWELVE,), _aadhaar, ("aadhaar", "aadhar", "adhar", "uidai", "आधार")),
    IdFormat("IN PAN", ("AAAAA9999A",), _pan),
    IdFormat(
        "IR national code",
        (_TEN, "999-999999-9"),
        _iran,
        ("کد ملی", "کدملی", "شماره ملی", "code melli"),
    ),
    IdFormat("IT codice fiscale", ("AAAAAA99A99A999A",), _italy),
    IdFormat(
        "JP My Number",
        (_TWELVE, "9999 9999 9999", "9999-9999-9999"),
        _japan,
        ("マイナンバ-", "個人番号", "my number"),
    ),
    IdFormat("KR resident registration", ("999999-9999999",), _korea),
    IdFormat("LV personas kods", ("999999-99999",), _latvia),
    IdFormat("MX CURP", ("AAAA999999AAAAAA99", "AAAA999999AAAAAAA9"), _mexico),
    IdFormat(
        "NL BSN",
        (_NINE, "9999.99.999", "9999 99 999"),
        _netherlands,
        ("bsn", "burgerservicenummer", "sofinummer", "bsn-nummer"),
    ),
    IdFormat("NO fodselsnummer", (_ELEVEN, "999999 99999"), _norway),
    IdFormat("PL PESEL", (_ELEVEN,), _poland, ("pesel",), ("pl",)),
    IdFormat("PT NIF", (_NINE, "999 999 999"), _portugal, ("nif", "contribuinte", "n.i.f")),
    IdFormat("RO CNP", (_THIRTEEN,), _romania),
    IdFormat("RU SNILS", ("999-999-999 99", "999-999-999-99"), _snils),
    IdFormat("RU SNILS", (_ELEVEN,), _snils, ("снилс",)),
    IdFormat("RU INN", (_TWELVE,), _inn, ("инн",)),
    IdFormat("RS, BA, ME, MK, SI JMBG", (_THIRTEEN,), _serbia),
    IdFormat(
        "SA national id",
        (_TEN,),
        _saudi_arabia,
        ("رقم الهوية", "الهوية", "هوية", "الإقامة", "إقامة", "iqama"),
    ),
    IdFormat("SE personnummer", ("999999-9999", "99999999-9999", "999999+9999"), _sweden),
    IdFormat(
        "SE personnummer", (_TEN, _TWELVE), _sweden, ("personnummer", "persnr", "pnr", "personnr")
    ),
    IdFormat("SG NRIC", ("A9999999A",), _singapore),
    IdFormat("TH citizen", ("9-9999-99999-99-9", "9 9999 99999 99 9"), _thailand),
    IdFormat(
        "TH citizen",
        (_THIRTEEN,),
        _thailand,
        ("บัตรประชาชน", "เลขบัตร", "เลขประจำตัวประชาชน"),
        ("th",),
    ),
    IdFormat(
        "TR kimlik",
        (_ELEVEN,),
        _turkey,
        ("tc", "t.c", "tckn", "kimlik", "tc no", "tc kimlik"),
        ("tr",),
    ),
    IdFormat("TW identity card", ("A999999999",), _taiwan),
    IdFormat(
        "UA RNOKPP", (_TEN,), _ukraine, ("рнокпп", "іпн", "інн", "ідентифікаційний код", "инн")
    ),
    IdFormat(
        "US SSN",
        ("999-99-9999", "999 99 9999", _NINE),
        _united_states,
        ("ssn", "social security", "social security number", "social", "ss#", "s.s.n"),
    ),
    IdFormat(
        "ZA identity number", (_THIRTEEN, "999999 9999 999", "999999 9999 99 9"), _south_africa
    ),
)
"""What is found, in no order that matters."""


ID_SHAPES = frozenset(shape for each in FORMATS for shape in each.shapes)


@cache
def _by_shape() -> dict[str, tuple[IdFormat, ...]]:
    shapes: dict[str, list[IdFormat]] = {}
    for each in FORMATS:
        for shape in each.shapes:
            shapes.setdefault(shape, []).append(each)
    return {shape: tuple(formats) for shape, formats in shapes.items()}


def countries() -> Iterable[str]:
    """Returns the names of the numbers that are found, sorted."""
    return sorted({each.country for each in FORMATS})
