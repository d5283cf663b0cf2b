"""A title and what stands below it, as one text: Reddit's, Hacker News', Mastodon's content warnings."""

import pyarrow as pa
import pyarrow.compute as pc


def titled_texts(titles: pa.StringArray, bodies: pa.StringArray) -> pa.StringArray:
    r"""Returns titles, a blank line and bodies; the one that is there where the other is null or empty.

    Args:
        titles: (N,) string.
        bodies: (N,) string; a text is null where both are.

    >>> titled_texts(pa.array(["a", None, "c", ""]), pa.array(["b", "b", "", None])).to_pylist()
    ['a\n\nb', 'b', 'c', '']
    """
    both = pc.and_(_is_filled(titles), _is_filled(bodies))
    if not pc.any(both, min_count=0).as_py():
        return _either(titles, bodies)
    joined = pc.binary_join_element_wise(titles, bodies, "\n\n")
    return pc.if_else(both, joined, _either(titles, bodies))


def _is_filled(texts: pa.StringArray) -> pa.BooleanArray:
    return pc.greater(pc.binary_length(texts), 0).fill_null(False)


def _either(titles: pa.StringArray, bodies: pa.StringArray) -> pa.StringArray:
    return pc.if_else(_is_filled(bodies), bodies, pc.coalesce(titles, bodies))
