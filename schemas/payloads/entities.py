"""The characters that X and Reddit write as entities in texts: `&`, `<` and `>`."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""The ampersand last: each entity is decoded once."""


def without_entities(texts: pa.StringArray) -> pa.StringArray:
    """Returns texts with the entities that X and Reddit write decoded, each once.

    >>> without_entities(pa.array(["a &lt; b &amp;amp; c", None])).to_pylist()
    ['a < b &amp; c', None]
    """
    if not pc.any(pc.match_substring(texts, "&")).as_py():
        return texts
    for entity, character in _ENTITIES:
        texts = pc.replace_substring(texts, entity, character)
    return texts
