"""Keys: what gives access to a service, by the structures that services publish, and private key blocks.

A value that is named as a secret ("api_key = ...") is one where it looks random. Other random letters, such
as hashes and ids, stay.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator

_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"  # Amazon
    r"|gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"  # GitHub
    r"|gl(?:pat|dt|rt|ptt|cbt|soat)-[A-Za-z0-9_-]{20,50}"  # GitLab
    r"|sk-(?:[A-Za-z]{2,12}-)?(?:[A-Za-z0-9]{2,12}-)?[A-Za-z0-9_-]{32,200}"  # OpenAI, Anthropic
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9]{24,64}"  # Stripe
    r"|xox[abeoprs]-(?:[A-Za-z0-9]{1,64}-){1,5}[A-Za-z0-9]{6,64}"  # Slack
    r"|xapp-\d-[A-Z0-9]{6,16}-\d{6,16}-[a-f0-9]{32,64}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,250}|GOCSPX-[A-Za-z0-9_-]{28}"  # Google
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"  # JSON web tokens
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}|key-[a-f0-9]{32}"  # SendGrid, Mailgun
    r"|npm_[A-Za-z0-9]{36}|pypi-AgEI[A-Za-z0-9_-]{50,250}|hf_[A-Za-z]{34}|hf_[A-Za-z0-9]{34}"
    r"|do[opr]_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}"
    r"|EAA[A-Za-z0-9]{60,250}|AAAAAAAAAAAAAAAAAAAA[A-Za-z0-9%]{60,120}"  # Meta, X
    r"|(?:SK|AC)[a-f0-9]{32}"  # Twilio
    r"|[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}"  # Discord
    r"|\d{8,10}:[A-Za-z0-9_-]{35}"  # Telegram
    r"|AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"
    r")(?![A-Za-z0-9_])"
)
_LONG = re.compile(r"[^\s\"'<>`,;()]{20,}")
_IN_PATH = re.compile(
    r"hooks\.slack\.com/services/(T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30})"
    r"|discord(?:app)?\.com/api/webhooks/(\d{15,21}/[\w-]{50,90})|/bot(\d{8,10}:[\w-]{35})"
)
_NAMED = re.compile(
    r"(?:(?<!form|ccc\?)key|token|secret|passwd|password|passphrase|pwd)[\"']?\s{0,2}(?:=>|:=|[:=])\s{0,2}[\"'`]?"
    r"([A-Za-z0-9_+/=.~!@#$%^*-]{12,200})|[Bb]earer ([A-Za-z0-9_.~+/=-]{20,500})",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----BEGIN)[\s\S])*?"
    r"(?:-----END (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_MIN_BITS = 3.0
"""Of entropy a character: words have fewer."""


def keys(text: str) -> Iterator[tuple[int, int]]:
    """Yields the characters [first, last) of each key of a text.

    >>> list(keys("my key AKIA" + "ABCDEFGH23456723 leaked"))
    [(7, 27)]
    """
    if "-----BEGIN" in text:
        yield from (block.span() for block in _BLOCK.finditer(text))
    for word in _LONG.finditer(text):
        yield from (known.span() for known in _KNOWN.finditer(text, *word.span()))
    if "=" not in text and ":" not in text and "earer" not in text:
        return
    for part in _IN_PATH.finditer(text):
        yield part.span(part.lastindex or 0)
    for named in _NAMED.finditer(text):
        value = named[named.lastindex or 0].rstrip(".,!?")
        if _is_random(value):
            first = named.start(named.lastindex or 0)
            yield first, first + len(value)


def _is_random(value: str) -> bool:
    """Returns whether a value has letters and digits, and the entropy of a random one."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and _bits(value) >= _MIN_BITS


def _bits(value: str) -> float:
    """Returns the entropy of a value's characters, in bits a character."""
    shares = [n / len(value) for n in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)
