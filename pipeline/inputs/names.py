"""Names of files that stand beside data and are none: hidden ones, marks of other systems, documentation."""

import re
from collections.abc import Collection

_BESIDE_DATA = re.compile(
    r"(?:readme|licen[cs]e|notice|copying|changelog|citation|authors)(?:[-_]\w+)?(?:\.txt)?|makefile"
    r"|.*\.(?:md|rst|html?|pdf|crc|md5|sha1|sha224|sha256|sha384|sha512|asc|sig|ya?ml|toml)"
    r"|(?:md5|sha\d+)sums?(?:\.txt)?|checksums?(?:\.txt)?"
    r"|dataset_infos?\.json|dataset_dict\.json",
    re.IGNORECASE,
)


def is_data_name(path: str, *, beside: Collection[str] = ()) -> bool:
    """Returns whether a file found in a folder or an archive may hold data, by its relative path.

    Args:
        path: with forward slashes.
        beside: names in the same folder: `state.json` is none of a dataset that was saved to disk.

    >>> [is_data_name(n) for n in ("a/b.jsonl", "readme.jsonl", "_SUCCESS", "a/.b.json", "README.md")]
    [True, True, False, False, False]
    """
    parts = path.split("/")
    if any(part.startswith((".", "_")) and part != "." for part in parts):
        return False
    if parts[-1] == "state.json" and "dataset_info.json" in beside:
        return False
    return not _BESIDE_DATA.fullmatch(parts[-1])
