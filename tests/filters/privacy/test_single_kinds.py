import ipaddress
import random
import re

import pytest

from sluice.filters.privacy.digits import luhn, mod_11_10, verhoeff
from sluice.filters.privacy.keys import keys
from tests.filters.privacy.found import found

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
BLOCK = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----"

FOUND = (
    ("email", "a_b-c%d+e@x-y.example", "mail {}."),
    ("email", "jörg@bücher.de", "{}"),
    ("email", "ann@example.com", "help me.....{}"),
    ("email", "иван@почта.рф", "почта:{}"),
    ("email", "ann@example.com", "邮箱{}谢谢"),
    ("email", "ann＠example．com", "{}"),
    ("email", "x@a.museum", "<{}>"),
    ("ip", "93.184.216.34", "http://{}:8080/a"),
    ("ip", "2a00:1450:4001:81b::200e", "[{}]:443"),
    ("ip", "8.8.4.20", "ip: {}"),
    ("card", "378282246310005", "{}"),
    ("card", "3530-1113-3330-0000", "{} 12/29"),
    ("card", "6200 0000 0000 0005", "VISA {}"),
    ("iban", "DE89370400440532013000", "{}"),
    ("iban", "lv80bank0000435195001", "iban {}"),
    ("iban", "NO93 8601 1117 947", "{} thanks"),
    ("wallet", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "{}"),
    ("wallet", "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe", "send:{}"),
    ("wallet", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "{}"),
    ("wallet", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "{}"),
    ("wallet", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "{}"),
    ("coordinates", "-33.8568, 151.2153", "at {}"),
    ("coordinates", "40°26′46″N 79°58′56″W", "{}"),
    ("coordinates", "48.8584° N, 2.2945° E", "{}"),
    ("coordinates", "48.8584,2.2945", "https://maps.example/@{},17z"),
    ("coordinates", "48.8584 lon 2.2945", "lat {}"),
    ("key", "ghp_" + "a1B2" * 9, "{}"),
    ("key", "sk-ant-api03-" + "aB3_" * 20 + "AA", "{}"),
    ("key", JWT, "Bearer {}"),
    ("key", BLOCK, "look:\n{}\nand"),
    ("key", "xoxb-123456789012-123456789012-" + "aB3d" * 6, "{}"),
    ("key", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1", "{}"),
    ("key", "k3J9s8D7f6G5h4J3", 'api_key = "{}"'),
    ("key", "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXX1", "https://hooks.slack.com/services/{}"),
    ("url_secret", "ann:pa55", "https://{}@example.com/"),
    ("url_secret", "a1b2c3d4", "https://example.com/?access_token={}."),
    ("url_secret", "a1b2c3d4", "(https://example.com/?x=1&amp;sig={})"),
)

STAYS = (
    "ann at example dot com",
    "@ann@example.social",
    "git@github.com:ann/sluice.git",
    "a@b and 5@10.00",
    "v93.184.216.34, version 93.184.216.34",
    "1.7.2.6",
    "192.168.0.1 127.0.0.1 10.1.2.3 203.0.113.7 2001:db8::1 fe80::1",
    "93.184.216.345 1.93.184.216.34",
    "4111 1111 1111 1112",
    "GB29 NWBK 6016 1331 9268 18",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    "0x" + "0" * 40,
    "56.949, 24.105",
    "156.94965, 24.10518",
    "1.0843, 1.0877",
    "api_key = your_api_key_here",
    "password: correct horse",
    "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
    "https://example.com/?page=12345678&key=menu&code=abc",
)


@pytest.mark.parametrize(("kind", "value", "around"), FOUND)
def test_found(kind: str, value: str, around: str) -> None:
    """A value of each kind is found in its forms, from its first to its last character."""
    assert found(around.replace("{}", value), "en") == [(kind, value)]


@pytest.mark.parametrize("text", STAYS)
def test_stays(text: str) -> None:
    """What fails its check, is private, spelled out, or named as something else, stays."""
    assert found(text, "en") == []


def test_public_addresses() -> None:
    """Of random addresses those are found that the standard library calls global (of IPv6 in 2000::/3)."""
    rng = random.Random(3)
    for _ in range(300):
        four = ipaddress.IPv4Address(rng.getrandbits(32))
        small = max(four.packed) < 32 or str(four).startswith("0")
        is_public = four.is_global and not four.is_multicast
        expected = [("ip", str(four))] if is_public and not small else []
        assert found(f"from {four} ok", "am") == expected
        six = ipaddress.IPv6Address(
            rng.choice((0x20010DB8, 0x2A001450, 0x24000000, 0xFE800000)) << 96 | rng.getrandbits(60)
        )
        assert found(f"from {six} ok", "am") == ([("ip", str(six))] if six.is_global else [])


def test_luhn_by_the_book() -> None:
    """The sum of Luhn is that of the digits, every other one doubled, with 9 taken from tens."""
    for number in range(3000):
        doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(str(number)))]
        assert luhn(str(number)) == (sum(d - 9 * (d > 9) for d in doubled) % 10 == 0)


@pytest.mark.parametrize("check", [luhn, verhoeff, mod_11_10])
def test_single_errors(check: object) -> None:
    """Each check finds every wrong digit of a right number, and one last digit makes a number right."""
    assert callable(check)
    for number in ("12345678", "90210553", "31415926"):
        right = [number + digit for digit in "0123456789" if check(number + digit)]
        assert len(right) == 1
        for i, old in enumerate(right[0]):
            changed = [right[0][:i] + new + right[0][i + 1 :] for new in "0123456789" if new != old]
            assert not any(map(check, changed))


@pytest.mark.parametrize(
    "piece",
    ["eyJ", "sk-a-", "AKIA", "key=", "-----BEGIN RSA PRIVATE KEY-----", "xoxb-1-", "a1" * 300],
)
def test_keys_are_linear(piece: str) -> None:
    """Beginnings of keys that never end are read in a bounded number of steps a character."""
    assert all(last <= len(piece) * 3000 for _, last in keys(piece * 3000))
    assert not re.search("never", piece)
