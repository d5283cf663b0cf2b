"""Generated posts with personal data at known places, and with what looks like it and is none.

Every value is random and passes the checks of its kind; phone numbers are of 24 countries, in five ways of
writing each, and in digits of six scripts.
"""

import hashlib
import ipaddress
import random
import re
import string
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberFormat

from sluice.filters.privacy import kinds
from sluice.filters.privacy.digits import luhn, mod_97
from sluice.filters.privacy.national_ids import FORMATS, IdFormat

BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
DIGITS: Final = string.digits
UPPER: Final = string.ascii_uppercase
BASE62: Final = string.ascii_letters + string.digits
_BLOCK = "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----"
SCRIPTS: Final = {
    "ASCII": 0x30,
    "Arabic": 0x660,
    "Persian": 0x6F0,
    "Devanagari": 0x966,
    "Bengali": 0x9E6,
    "Thai": 0xE50,
    "full-width": 0xFF10,
}
REGIONS: Final[dict[str, str]] = dict(
    re.findall(
        "(..):(..)",
        "US:en GB:en IN:hi AU:en PH:tl FR:fr DE:de ES:es IT:it PT:pt BR:pt MX:es "
        "AR:es NL:nl PL:pl SE:sv LV:lv RU:ru UA:uk TR:tr SA:ar CN:zh JP:ja KR:ko",
    )
)
"""Countries, and the language of their posts."""
CARRIERS: Final = {
    "en": (
        "so {} is all I have, please share",
        "{}",
        "write or call: {}!",
        "my friend said ({}) ok",
    ),
    "ru": ("вот {}, пишите", "кому надо: {}", "{} - звоните"),
    "ar": ("للتواصل {} شكرا", "هذا {}"),
    "zh": ("联系我：{}，谢谢", "这是 {} 呀"),
    "ja": ("こちらです：{}です", "{} まで"),
    "hi": ("यह है {} धन्यवाद", "संपर्क: {}"),
}
WORDS: Final = {"en": "call", "ru": "тел.", "ar": "جوال", "zh": "电话", "ja": "電話", "hi": "फोन"}


class Post(NamedTuple):
    """A generated post.

    Attributes:
        text: of it.
        language: ISO 639.
        kind: of the value in it; empty where it has none.
        value: which it is, as it stands in the text.
        form: how it is written, for the table.
    """

    text: str
    language: str
    kind: str
    value: str
    form: str


class Value(NamedTuple):
    """A value before it stands in a post; `word` has to stand before it."""

    value: str
    form: str
    language: str = ""
    word: str = ""


Maker = Callable[[random.Random], Value]


def posts(number: int, *, seed: int = 0) -> Iterator[Post]:
    """Yields so many posts of each kind, and as many without a value."""
    rng = random.Random(seed)
    for kind, make in MAKERS.items():
        for _ in range(number):
            yield _post(rng, kind, make(rng))
    for _ in range(number):
        yield _post(rng, "", Value(_distractor(rng), "none"))


def _post(rng: random.Random, kind: str, value: Value) -> Post:
    language = value.language or rng.choice(list(CARRIERS))
    carrier = rng.choice(CARRIERS.get(language, CARRIERS["en"]))
    told = f"{value.word} {value.value}".strip()
    return Post(carrier.replace("{}", told), language, kind, value.value, value.form)


def _letters(rng: random.Random, alphabet: str, number: int) -> str:
    return "".join(rng.choices(alphabet, k=number))


def _in_script(text: str, script: str) -> str:
    return text.translate({0x30 + digit: SCRIPTS[script] + digit for digit in range(10)})


def _email(rng: random.Random) -> Value:
    name = rng.choice(
        ("ann", "j.smith", "maria_99", "info", "x", "li-wei", "o'neil", "test+tag", "Ivan.P")
    )
    host = rng.choice(
        (
            "example.com",
            "mail.example.co.uk",
            "EXAMPLE.ORG",
            "a-b.io",
            "uni.edu.au",
            "example.museum",
        )
    )
    form = rng.choice(("plain", "capitals", "full-width @", "other script"))
    if form == "other script":
        return Value(
            rng.choice(("иван@почта.рф", "ann@bücher.de", "jörg@example.de", "мария@example.com")),
            form,
        )
    value = f"{name}@{host}"
    return Value(
        {"capitals": value.upper(), "full-width @": value.replace("@", "＠")}.get(form, value), form
    )


def _phone(rng: random.Random) -> Value:
    region = rng.choice(list(REGIONS))
    number = _valid_number(rng, region)
    written = {
        "+ with blanks": phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
        "+ alone": phonenumbers.format_number(number, PhoneNumberFormat.E164),
        "national": phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
    }
    written["with dots"] = written["+ with blanks"].replace(" ", ".").replace("-", ".")
    written["digits after a word"] = "".join(filter(str.isdigit, written["national"]))
    form = rng.choice(list(written))
    script = rng.choice(list(SCRIPTS)) if rng.random() < 0.3 else "ASCII"
    language = REGIONS[region]
    word = WORDS.get(language, "tel") if form == "digits after a word" else ""
    name = form if script == "ASCII" else f"{script} digits"
    return Value(_in_script(written[form], script), name, language, word)


def _valid_number(rng: random.Random, region: str) -> phonenumbers.PhoneNumber:
    kind = rng.choice(
        (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    )
    example = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number(
        region
    )
    text = str(example.national_number)
    while True:
        digits = text[:3] + _letters(rng, DIGITS, len(text) - 3)
        number = phonenumbers.PhoneNumber(
            country_code=example.country_code, national_number=int(digits)
        )
        number.italian_leading_zero = example.italian_leading_zero
        if phonenumbers.is_valid_number_for_region(number, region) and len(set(digits)) > 2:
            return number


def _ip(rng: random.Random) -> Value:
    if rng.random() < 0.3:
        address = ipaddress.IPv6Address(
            (0x2A00 << 112) | rng.getrandbits(64) << 48 | rng.getrandbits(16)
        )
        return Value(str(address) if rng.random() < 0.7 else address.exploded, "v6")
    while True:
        four = ipaddress.IPv4Address(rng.getrandbits(32))
        if four.is_global and not four.is_multicast:
            return Value(str(four), "v4")


def _card(rng: random.Random) -> Value:
    first, length = rng.choice(
        (("4", 16), ("52", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3530", 16), ("62", 16))
    )
    digits = first + _letters(rng, DIGITS, length - len(first) - 1)
    digits = next(f"{digits}{d}" for d in range(10) if luhn(f"{digits}{d}"))
    form = rng.choice(("digits", "blanks", "hyphens"))
    sign = {"digits": "", "blanks": " ", "hyphens": "-"}[form]
    cuts = (4, 10, 15) if length == 15 else (4, 8, 12, 16)
    groups = [digits[a:b] for a, b in zip((0, *cuts), cuts, strict=False)]
    return Value(_in_script(sign.join(groups), rng.choice(("ASCII", "ASCII", "full-width"))), form)


def _iban(rng: random.Random) -> Value:
    country, length = rng.choice(
        (("DE", 22), ("GB", 22), ("FR", 27), ("LV", 21), ("NL", 18), ("PL", 28), ("NO", 15))
    )
    letters = _letters(rng, UPPER, 4) if country in ("GB", "NL", "LV") else ""
    account = letters + _letters(rng, DIGITS, length - 4 - len(letters))
    value = f"{country}{98 - mod_97(f'{account}{country}00'):02}{account}"
    if rng.random() < 0.5:
        return Value(value, "letters and digits")
    return Value(" ".join(value[i : i + 4] for i in range(0, length, 4)), "blanks")


def _national_id(rng: random.Random) -> Value:
    each = rng.choice(FORMATS)
    shape = rng.choice(each.shapes)
    while True:
        value = _of_shape(rng, each, shape)
        compact = "".join(filter(str.isalnum, value))
        if each.is_valid(compact):
            word = rng.choice(each.words) if each.words else ""
            return Value(value, each.country, word=word.replace("マイナンバ-", "マイナンバー"))


def _of_shape(rng: random.Random, each: IdFormat, shape: str) -> str:
    """Returns random letters and digits of a shape, after a beginning that chance would seldom have."""
    compact = "".join(filter(str.isalnum, shape))
    drawn = "".join(rng.choice(DIGITS if c == "9" else UPPER) for c in compact)
    beginning = _beginning(rng, each.country[:2])
    if len(beginning) < len(drawn):
        drawn = beginning + drawn[len(beginning) :]
    letters = iter(drawn)
    return "".join(next(letters) if c in "9A" else c for c in shape)


def _beginning(rng: random.Random, country: str) -> str:
    """Returns the first letters and digits of a country's number: where it has a date, one."""
    year, month, day = rng.randint(10, 99), f"{rng.randint(1, 12):02}", f"{rng.randint(1, 28):02}"
    if country in ("NO", "FI", "LV", "GR"):
        return day + month
    if country in ("EE", "RO", "FR"):
        return f"{rng.randint(1, 2)}{year}{month}{day if country != 'FR' else ''}"
    if country in ("BE", "BG", "CZ", "KR", "PL", "SE", "ZA"):
        return f"{year}{month}{day}"
    return {
        "CN": f"11010519{year}{month}{day}",
        "CH": "756",
        "RS": f"{day}{month}9{year}",
        "MX": f"{_letters(rng, UPPER, 1)}A{_letters(rng, UPPER, 2)}{year}{month}{day}H",
        "IT": f"{_letters(rng, UPPER, 6)}{year}{rng.choice('ABCDEHLMPRST')}{day}",
    }.get(country, "")


def _key(rng: random.Random) -> Value:
    form = rng.choice(
        ("Amazon", "GitHub", "OpenAI", "Google", "Slack", "token of JSON", "named", "block")
    )
    value = {
        "Amazon": "AKIA" + _letters(rng, UPPER + "234567", 16),
        "GitHub": "ghp_" + _letters(rng, BASE62, 36),
        "OpenAI": "sk-proj-" + _letters(rng, BASE62 + "_-", 47) + "Z",
        "Google": "AIza" + _letters(rng, BASE62 + "_-", 34) + "Z",
        "Slack": f"xoxb-{_number(rng, 12)}-{_number(rng, 12)}-{_letters(rng, BASE62, 24)}",
        "token of JSON": f"eyJhbGciOiJIUzI1NiJ9.eyJ{_letters(rng, BASE62, 40)}.{_letters(rng, BASE62, 43)}",
        "named": _letters(rng, BASE62, 32),
        "block": _BLOCK.format(_letters(rng, BASE62, 64)),
    }[form]  # fmt: skip
    return Value(value, form, word="api_key =" if form == "named" else "")


def _wallet(rng: random.Random) -> Value:
    form = rng.choice(("base58check", "hexadecimal", "32 bytes"))
    data = rng.randbytes(20)
    if form == "hexadecimal":
        return Value("0x" + data.hex(), form)
    if form == "32 bytes":
        return Value(_base58(bytes([rng.randint(40, 255)]) + rng.randbytes(31)), form)
    payload = bytes([rng.choice((0, 5, 48, 65))]) + data
    return Value(
        _base58(payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]), form
    )


def _base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def _coordinates(rng: random.Random) -> Value:
    latitude, longitude = rng.uniform(-85, 85), rng.uniform(-180, 180)
    form = rng.choice(("comma", "letters", "named", "degrees"))
    digits = rng.randint(4, 7)
    if form == "comma":
        return Value(f"{latitude:.{digits}f}, {longitude:.{digits}f}", form)
    north, east = "N" if latitude > 0 else "S", "E" if longitude > 0 else "W"
    if form == "letters":
        return Value(
            f"{abs(latitude):.{digits}f}° {north}, {abs(longitude):.{digits}f}° {east}", form
        )
    if form == "named":
        return Value(f"{latitude:.{digits}f}, lon {longitude:.{digits}f}", form, word="lat")
    minutes = f"{rng.randint(0, 59):02}′{rng.randint(0, 59):02}″"
    return Value(
        f"{abs(int(latitude))}°{minutes}{north} {abs(int(longitude))}°{minutes}{east}", form
    )


def _url_secret(rng: random.Random) -> Value:
    secret = _letters(rng, BASE62, rng.randint(8, 40))
    if rng.random() < 0.3:
        return Value(f"https://ann:{secret}@example.com/feed", "user and password")
    name = rng.choice(
        ("token", "access_token", "api_key", "signature", "password", "client_secret")
    )
    return Value(f"https://example.com/a/b?page=2&{name}={secret}", "parameter")


def _handle(rng: random.Random) -> Value:
    name = "@" + _letters(rng, BASE62 + "_", rng.randint(3, 15))
    form = rng.choice(("name", "server", "bsky.social"))
    return Value(
        name + {"name": "", "server": "@example.social", "bsky.social": ".bsky.social"}[form], form
    )


MAKERS: Final[dict[str, Maker]] = {
    kinds.EMAIL: _email,
    kinds.PHONE: _phone,
    kinds.IP: _ip,
    kinds.CARD: _card,
    kinds.IBAN: _iban,
    kinds.NATIONAL_ID: _national_id,
    kinds.KEY: _key,
    kinds.WALLET: _wallet,
    kinds.COORDINATES: _coordinates,
    kinds.URL_SECRET: _url_secret,
    kinds.HANDLE: _handle,
}


def _number(rng: random.Random, digits: int) -> str:
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


DISTRACTORS: Final = (
    "%1-%1, %2-%2 21-%1",
    "1%1.0%1.201%1 1%1:3%1:07",
    "201%1-0%1-1%1 and 19%2-20%2",
    "$%3,%3.%2 or %3 %3 %3 €",
    "version %2.%2.%2.%2, Chrome/1%2.0.%4.%2",
    "ISBN 978-%1-%2-%6-%1",
    "order %9%1",
    "order number: %9%3",
    "id %9%9",
    "#%8 #tag%6",
    "%7 people, %3,%3,%3 views",
    "https://example.com/%4/%8/story-%9%1?id=%9&page=3",
    "%4x%4 and %3 x %4",
    "192.168.1%1.1%2 10.0.1%2.2%1",
    "sha %x%x%x%x%x",
    "1.1%3 1.1%3 0.%4",
    "1%1:3%1 - 1%1:4%1, gate %2",
    "package@%2.%1.%1 icon@2x.png",
    "1️⃣ 2️⃣ 3️⃣ 4️⃣ 5️⃣ 6️⃣ 7️⃣ 8️⃣ 9️⃣ 🔟",
)
"""What is no personal data; %3 is a number of three digits, %x of eight hexadecimal ones."""


def _distractor(rng: random.Random) -> str:
    return re.sub(
        "%([1-9x])",
        lambda size: f"{rng.getrandbits(32):08x}" if size[1] == "x" else _number(rng, int(size[1])),
        rng.choice(DISTRACTORS),
    )
