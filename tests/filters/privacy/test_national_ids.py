import random

import pytest

from sluice.filters.privacy.national_ids import FORMATS
from tests.filters.privacy.found import found

EXAMPLES = (
    ("AR CUIL", "20-26756539-3"),
    ("AU TFN", "TFN 123 456 782"),
    ("BE rijksregister", "85.07.30-033.28"),
    ("BG EGN", "ЕГН 7523169263"),
    ("BR CPF", "390.533.447-05"),
    ("CA SIN", "SIN 123-456-782"),
    ("CH AHV", "756.9217.0769.85"),
    ("CL RUT", "12.531.909-2"),
    ("CN resident", "11010519491231002X"),
    ("CZ, SK rodne cislo", "710319/2745"),
    ("DE Steuer-ID", "Steuer-ID 36 574 261 809"),
    ("EC cedula", "cédula 1714307103"),
    ("EE, LT personal code", "isikukood 36805280109"),
    ("ES DNI", "54362315K"),
    ("ES NIE", "X-2482300-W"),
    ("FI HETU", "131052-308T"),
    ("FR NIR", "2 95 10 99 126 111 93"),
    ("GB NHS", "NHS number 943 476 5870"),
    ("GB NINO", "NINO AB123456C"),
    ("GR AMKA", "ΑΜΚΑ 01013099997"),
    ("HK identity card", "A123456(3)"),
    ("HR OIB", "OIB 33392005961"),
    ("IE PPS", "PPS number 6433435F"),
    ("IL teudat zehut", "ת.ז. 039337423"),
    ("IN Aadhaar", "2341 2341 2346"),
    ("IN PAN", "ABCPE1234F"),
    ("IR national code", "کد ملی 7731689956"),
    ("IT codice fiscale", "RCCMNL83S18D969H"),
    ("JP My Number", "私のマイナンバー 6144 2231 9873"),
    ("KR resident registration", "971013-1019901"),
    ("LV personas kods", "161175-19997"),
    ("MX CURP", "BOXW310820HNERXN09"),
    ("NL BSN", "BSN 111222333"),
    ("NO fodselsnummer", "11077941012"),
    ("PL PESEL", "PESEL 44051401359"),
    ("PT NIF", "NIF 123456789"),
    ("RO CNP", "1800101221144"),
    ("RS, BA, ME, MK, SI JMBG", "0101006500006"),
    ("RU INN", "ИНН 500100732259"),
    ("RU SNILS", "112-233-445 95"),
    ("SA national id", "رقم الهوية 1033302207"),
    ("SE personnummer", "880320-0016"),
    ("SG NRIC", "S0000001I"),
    ("TH citizen", "1-2345-45678-78-1"),
    ("TR kimlik", "TC 17291716060"),
    ("TW identity card", "A123456789"),
    ("UA RNOKPP", "РНОКПП 1759013776"),
    ("US SSN", "SSN 536-90-4399"),
    ("ZA identity number", "7503305044089"),
)


@pytest.mark.parametrize(("country", "text"), EXAMPLES)
def test_published_examples(country: str, text: str) -> None:
    """A number of each country, as pages on it publish one, is found."""
    assert [kind for kind, _ in found(f"x {text}, y")] == ["national_id"]


def test_every_country_has_an_example() -> None:
    """The list of this module has each country of the table."""
    assert {country for country, _ in EXAMPLES} == {each.country for each in FORMATS}


@pytest.mark.parametrize(
    ("country", "text"),
    [each for each in EXAMPLES if each[0] not in ("IN PAN", "US SSN", "GB NINO")],
)
def test_a_wrong_digit(country: str, text: str) -> None:
    """With a digit changed, most numbers are none; nothing else makes up for the check."""
    at = [i for i, c in enumerate(text) if c.isdigit()]
    rng, kept = random.Random(country), 0
    for i in at:
        digit = rng.choice([d for d in "0123456789" if d != text[i]])
        changed = text[:i] + digit + text[i + 1 :]
        kept += [kind for kind, _ in found(f"x {changed}, y")] == ["national_id"]
    assert kept <= len(at) // 4


@pytest.mark.parametrize(
    ("country", "text"),
    [each for each in EXAMPLES if " " in each[1] and each[1][0].isalpha() and each[0] != "GB NINO"],
)
def test_a_word_is_needed(country: str, text: str) -> None:
    """Where a word tells, the digits without it are no identity number."""
    digits = "".join(
        c for c in text if c.isdigit() or (c.isascii() and c.isupper() and text[-1] == c)
    )
    assert "national_id" not in [kind for kind, _ in found(f"x {digits[-13:]} y")]
