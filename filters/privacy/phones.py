"""Phone numbers: candidates by how they are written, judged by the number plans of `phonenumbers`.

International numbers begin with + or 00. National ones are those of the countries where the post's language
is spoken, in one of these ways: after a trunk 0, with an area code in brackets, or in groups as their
country writes them. Mere digits are one only in China (eleven, as mobiles have), after a trunk 0, or after
a word such as "call" or "WhatsApp".
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

_RUN = re.compile(r"(?:\+ ?)?\(?\d(?:[ .()/-]{0,3}\d){5,24}")
_GROUPS = re.compile(r"\d+")
_FEWEST, _MOST, _MOST_NATIONAL = 7, 17, 13
"""Digits, a prefix with them."""
_MOST_LEFT_OUT = 4
"""Groups at the beginning that may be no part of a number."""
_CONTEXT = 24
"""Characters before a number that tell what it is."""
_BRACKETS = re.compile(r"(?:[0-9] ?)?\(\d{2,5}\)[ -]?\d")
_WORD = re.compile(
    r"(?<![^\W_])(?:tel|phone|telephone|call|calls|mobile|mob|cell|whatsapp|whats|wa|fax|text|txt|sms|contact|"
    r"dial|hotline|ring|number|no|hp|ph|teléfono|telefono|telefone|celular|móvil|cel|tfno|telefon|telefonnummer|"
    r"handy|anrufen|mobil|tél|téléphone|portable|appelez|telefonia|cellulare|chiama|tlf|telp|telpon|hubungi|"
    r"тел|телефон|телефону|моб|звоните|звони|звонить|ватсап|вотсап|puh|puhelin|telefonas|talr|tālr|zvani|"
    r"sđt|đt|điện thoại|zalo|viber|telegram|signal|wa\.me/|phone=)"
    r"[^\w\n]{0,3}(?:\w{1,8}[^\w\n]{1,3})?\Z"
    r"|(?:电话|手机|热线|微信|联系|電話|手機|携帯|お問い合わせ|전화|연락처|문의|هاتف|جوال|واتساب|واتس|موبايل|اتصل|رقم|"
    r"تلفن|شماره|تماس|موبایل|फोन|मोबाइल|संपर्क|नंबर|ফোন|মোবাইল|โทร|เบอร์|טלפון|נייד|[☎📞📱📲☏✆])[^\d\n]{0,6}\Z",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\d{1,2}([-./ ])\d{1,2}\1(?:19|20)\d\d(?!\d)|(?:19|20)\d\d([-./ ])\d{1,2}\2\d{1,2}(?!\d)"
    r"|\d{1,2}([-./])\d{1,2}\3\d\d\Z"
    r"|\d{1,2}[-/]\d{1,2}\.\d{1,2}\.(?:19|20)\d\d(?!\d)"
    r"|(?:19|20)\d\d[ ./-]{1,3}(?:19|20)\d\d(?!\d)"
    r"|(?:19|20)\d\d[01]\d[0-3]\d(?!\d)"
)
_AFTER_NUMBER = re.compile(
    r"[\w%€$£¥₹°]|[.,:/-]\d|[-/][A-Za-z]|\s?(?:€|\$|£|₹|¥|₽|%|kr\b|usd|eur|zł|руб|元|円"
    r"|원|万|億|年|月|人|km|mm|kg|mb|gb)",
    re.IGNORECASE,
)
_EXTENSION = re.compile(r"\s?(?:x|ext)\.? ?\d{1,5}(?!\w)", re.IGNORECASE)
_BEFORE_NUMBER = re.compile(
    r"(?:[A-Za-z0-9_#@$€£¥₹%&~*^°\\+-]|\d[.,:/]|\w/|//|[.,]|[$€£¥₹] ?"
    r"|(?<![^\W_])(?:usd|eur|rs\.?|isbn[^\n]{0,16}|issn|doi|id|order|invoice|tracking|serial|case|ticket|ref)"
    r"(?: (?:no|nr|number|id|code))?[.:# ]{0,3})\Z",
    re.IGNORECASE,
)
_ABBREVIATED = re.compile(
    r"[^\W\d_]\.\Z|[Ww][Aa]\.me/\Z|phone=\Z|tel:(?://)?\Z|send/?\?phone=\Z", re.IGNORECASE
)
_IN_LINK = re.compile(r"(?:wa\.me/|send/?\?phone=)\Z", re.IGNORECASE)
"""Before a number in a link of WhatsApp, which is international without its +."""
_OTHER = re.compile(
    r"\d{1,2}\.\d+(?: |\Z)|\d{1,3}(?:\.\d{1,3}){3}\Z|\d{1,2}-\d{1,2}(?: \d{1,2}-\d{1,2})+\Z"
)
"""Decimals, addresses and versions, scores."""
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3}){2,}\Z")

_REGIONS: Final[dict[str, tuple[str, ...]]] = {
    language: tuple(regions)
    for language, *regions in map(
        str.split,
        """en US GB AU IN PH NG ZA KE IE NZ PK GH
- US GB
es ES MX AR CO CL PE VE EC US
pt BR PT
fr FR BE CH CA SN CI
de DE AT CH
it IT CH
nl NL BE
ru RU KZ BY UA LV
uk UA
be BY
kk KZ
pl PL
cs CZ
sk SK
hu HU
ro RO MD
bg BG
sr RS
hr HR
bs BA
sl SI
mk MK
sq AL
el GR CY
tr TR
az AZ
fi FI
sv SE FI
no NO
nb NO
nn NO
da DK
is IS
et EE
lv LV
lt LT
zh CN TW HK
yue HK
ja JP
ko KR
vi VN
th TH
id ID
ms MY ID
tl PH
fil PH
ceb PH
hi IN
bn BD IN
ta IN LK
te IN
mr IN
gu IN
kn IN
ml IN
pa IN PK
ur PK IN
ne NP
si LK
my MM
km KH
fa IR
he IL
ar SA EG AE MA DZ IQ JO KW
am ET
sw KE TZ
ha NG
yo NG
ig NG
pcm NG
zu ZA
af ZA
rw RW
tw GH
ka GE
hy AM
uz UZ
ca ES
eu ES
gl ES""".splitlines(),
    )
}
"""Where the posts of a language may come from, ISO 3166, the likeliest first; of an unknown one by "-"."""


class _DigitRun(NamedTuple):
    """Some groups of digits that may be a phone number: the characters [first, last) of a text."""

    text: str
    first: int
    last: int
    groups: tuple[str, ...]

    @property
    def written(self) -> str:
        return self.text[self.first : self.last]

    @property
    def before(self) -> str:
        return self.text[max(0, self.first - _CONTEXT) : self.first]


def phones(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each phone number of a text.

    Args:
        text: with digits of all scripts as ASCII ones.
        language: of the post, by ISO 639; empty where it is not known.

    >>> list(phones("call +371 6700 0000 now", "en"))
    [(5, 19)]
    """
    at = 0
    while run := _RUN.search(text, at):
        found = _phone(text, *run.span(), language)
        at = found.last if found else run.end()
        if found:
            yield found.first, found.last


def _phone(text: str, first: int, last: int, language: str) -> _DigitRun | None:
    """Returns the first stretch of groups that is a number: all of them, or without some at either end."""
    groups = [(group.start(), group.end()) for group in _GROUPS.finditer(text, first, last)]
    digits = [text[start:end] for start, end in groups]
    for i in range(1 if text[first] == "+" else min(len(groups), _MOST_LEFT_OUT)):
        begin = first if i == 0 else groups[i][0] - (text[groups[i][0] - 1] in "(+")
        begin += text[begin] == "(" and ")" not in text[begin:last]
        for n in range(len(groups), i, -1):
            if not _FEWEST <= sum(map(len, digits[i:n])) <= _MOST:
                continue
            run = _DigitRun(text, begin, groups[n - 1][1], tuple(digits[i:n]))
            if _is_free(run) and _is_phone(run, language):
                return run
    return None


def _is_free(run: _DigitRun) -> bool:
    """Returns whether what is before and after may stand beside a phone number."""
    after = run.text[run.last : run.last + 8]
    if _AFTER_NUMBER.match(after) and not (_EXTENSION.match(after) or _is_other_script(after[0])):
        return False
    return not _BEFORE_NUMBER.search(run.before) or bool(_ABBREVIATED.search(run.before))


def _is_other_script(sign: str) -> bool:
    return not sign.isascii() and sign.isalpha() and sign not in "元円원万億年月人"


def _is_phone(run: _DigitRun, language: str) -> bool:
    digits = "".join(run.groups)
    if run.written[0] == "+":
        return _is_valid("+" + digits, None)
    if _IN_LINK.search(run.before) and _is_valid("+" + digits, None):
        return True
    if digits[:2] == "00" and len(digits) > 9 and _is_valid("+" + digits[2:], None):
        return True
    if len(digits) > _MOST_NATIONAL or len(set(digits)) < 3 or _is_other(run.written):
        return False
    regions = _REGIONS.get(language, _REGIONS["-"])
    possible = [region for region in regions if _is_possible(digits, region)]
    if not possible:
        return False
    named = bool(_WORD.search(run.before))
    return any(_is_national(run, digits, region, named) for region in possible)


def _is_other(written: str) -> bool:
    """Returns whether groups are written as a date, years, decimals, a version or scores."""
    return bool(_DATE.match(written) or _OTHER.match(written))


def _is_national(run: _DigitRun, digits: str, region: str, named: bool) -> bool:
    """Returns whether it is a number of a country, and written so that it is nothing else."""
    groups = run.groups
    sure = named or bool(_BRACKETS.match(run.written)) or (digits[0] == "0" and len(digits) >= 9)
    sure = sure or (region == "CN" and len(digits) == 11 and len(groups) in (1, 3))
    if not sure and (len(groups) < 2 or _THOUSANDS.match(run.written)):
        return False
    return _is_valid(digits, region) and (sure or _is_grouped(digits, region, groups))


@cache
def _plan(region: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Returns what goes before the numbers of a country, and what these numbers look like."""
    from phonenumbers import PhoneMetadata

    plan: Any = PhoneMetadata.metadata_for_region(region)
    prefixes = (plan.national_prefix_for_parsing, plan.national_prefix, str(plan.country_code))
    prefix = "|".join(filter(None, prefixes))
    return re.compile(prefix), re.compile(plan.general_desc.national_number_pattern)


def _is_possible(digits: str, region: str) -> bool:
    """Returns whether digits may be a number of a country, before that is told at more cost."""
    before, numbers = _plan(region)
    if numbers.fullmatch(digits):
        return True
    prefix = before.match(digits)
    return bool(prefix and numbers.fullmatch(digits, prefix.end()))


def _is_valid(number: str, region: str | None) -> bool:
    """Returns whether a number plan has the number; `region` is the country of a national one."""
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _is_grouped(digits: str, region: str, groups: tuple[str, ...]) -> bool:
    """Returns whether the groups are those that the country writes, a trunk's digit before them or not."""
    import phonenumbers

    number = phonenumbers.parse(digits, region)
    for style in (
        phonenumbers.PhoneNumberFormat.NATIONAL,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    ):
        usual = tuple(_GROUPS.findall(phonenumbers.format_number(number, style)))
        usual = usual[1:] if style == phonenumbers.PhoneNumberFormat.INTERNATIONAL else usual
        if groups == usual or (groups[1:] == usual and groups[0] in ("1", "8", "0")):
            return True
    return False
