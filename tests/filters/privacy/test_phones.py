import random

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat

from sluice.filters.privacy.phones import phones
from tests.filters.privacy.found import found

LANGUAGES = {
    "US": "en", "GB": "en", "FR": "fr", "DE": "de", "ES": "es", "IT": "it", "PT": "pt",
    "BR": "pt", "MX": "es",    "NL": "nl", "PL": "pl",
    "SE": "sv", "LV": "lv", "RU": "ru", "UA": "uk", "TR": "tr",
    "SA": "ar", "CN": "zh", "JP": "ja", "KR": "ko", "IN": "hi", "TH": "th", "ID": "id", "NG": "ig",
}  # fmt: skip


def example(region: str, rng: random.Random) -> phonenumbers.PhoneNumber:
    """A valid mobile number of a country."""
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    text = str(number.national_number)
    while True:
        digits = text[:4] + "".join(rng.choices("0123456789", k=len(text) - 4))
        number.national_number = int(digits)
        if phonenumbers.is_valid_number_for_region(number, region) and len(set(digits)) > 2:
            return number


@pytest.mark.parametrize("region", LANGUAGES)
def test_numbers_of_a_country(region: str) -> None:
    """Valid numbers, as the library writes them, are found whole; national ones by the post's language."""
    rng = random.Random(region)
    for _ in range(20):
        number = example(region, rng)
        for style in (
            PhoneNumberFormat.INTERNATIONAL,
            PhoneNumberFormat.E164,
            PhoneNumberFormat.NATIONAL,
        ):
            written = phonenumbers.format_number(number, style)
            word = "" if style != PhoneNumberFormat.NATIONAL else "tel "
            assert found(f"x {word}{written}, y", LANGUAGES[region]) == [("phone", written)]


@pytest.mark.parametrize("region", LANGUAGES)
def test_what_the_library_finds(region: str) -> None:
    """International numbers with any digits are found where the library's own matcher finds them."""
    rng = random.Random(region)
    code = phonenumbers.country_code_for_region(region)
    for _ in range(100):
        digits = "".join(rng.choices("0123456789", k=rng.randint(7, 11)))
        text = f"call +{code} {digits[:3]} {digits[3:]} now"
        matches = phonenumbers.PhoneNumberMatcher(text, None)
        assert list(phones(text, "")) == [(match.start, match.end) for match in matches]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("(212) 555-0123", "en", ["(212) 555-0123"]),
        ("ring (212-555-0123) now", "en", ["212-555-0123"]),
        ("1-800-273-8255", "en", ["1-800-273-8255"]),
        ("call 2125550123", "en", ["2125550123"]),
        ("2125550123", "en", []),
        ("did 212-555-0123", "en", ["212-555-0123"]),
        ("id 212-555-0123", "en", []),
        ("$212 555 0123", "en", []),
        ("07911 123456 or 07911123457", "en", ["07911 123456", "07911123457"]),
        ("06 12 34 56 78", "fr", ["06 12 34 56 78"]),
        ("06 12 34 56 78", "lv", []),
        ("12.12.2016 20:00", "fr", []),
        ("13800138000", "zh", ["13800138000"]),
        ("13800138000", "en", []),
        ("加微信13800138000谢谢", "zh", ["13800138000"]),
        ("8 (912) 345-67-89", "ru", ["8 (912) 345-67-89"]),
        ("26 123 456", "lv", ["26 123 456"]),
        ("https://wa.me/12125550123?text=hi", "en", ["12125550123"]),
        ("tel:+1-212-555-0123", "en", ["+1-212-555-0123"]),
        ("0037167000000", "", ["0037167000000"]),
        ("(212) 555-0123 x45", "en", ["(212) 555-0123"]),
        ("212-555-0123 €", "en", []),
        ("+371 6700 0000 / 6700 0001", "lv", ["+371 6700 0000"]),
    ],
)
def test_examples(text: str, language: str, expected: list[str]) -> None:
    """How a number is written, and the words around it, tell it from other digits."""
    assert [text[a:b] for a, b in phones(text, language)][: len(expected) or None] == expected
