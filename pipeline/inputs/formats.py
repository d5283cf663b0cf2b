"""What a file is: the layers around its data (compression, archive), its content, and its encoding."""

from typing import Final, Literal, get_args

import msgspec

Codec = Literal["gz", "bz2", "xz", "zst", "telegram"]
Layer = Literal["gz", "bz2", "xz", "zst", "telegram", "tar"]
Content = Literal["json", "csv", "tsv", "parquet", "arrow", "arrow_stream", "members"]
Encoding = Literal["utf-8", "utf-16-le", "utf-16-be"]

CODECS: Final[tuple[Codec, ...]] = get_args(Codec)
TEXTS: Final = ("json", "csv", "tsv")
"""Contents that are text: they have lines, and an encoding."""


class FileFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is.

    Attributes:
        layers: from the outermost to the innermost: ("gz", "tar") is a compressed archive, and "telegram" an
            export of Telegram, of which the messages are taken out as lines.
        content: json: JSON values in any form (lines, arrays, one after the other); csv and tsv: rows with
            a header; parquet; arrow: an Arrow IPC file; arrow_stream; members: an archive, whose members
            are told by their own first bytes as they are read.
        encoding: of a text.

    >>> str(FileFormat(layers=("gz",), content="json")), FileFormat(content="csv").is_text
    ('json.gz', True)
    """

    layers: tuple[Layer, ...] = ()
    content: Content
    encoding: Encoding = "utf-8"

    def __str__(self) -> str:
        inner = () if self.content == "members" else (self.content,)
        encoding = "" if self.encoding == "utf-8" else f" ({self.encoding})"
        return ".".join((*inner, *reversed(self.layers))) + encoding

    @property
    def is_text(self) -> bool:
        """Whether the content is text."""
        return self.content in TEXTS

    @property
    def has_schema(self) -> bool:
        """Whether the file is Arrow's, and says what its columns are, with no layer around it."""
        return not self.layers and self.content in ("parquet", "arrow", "arrow_stream")

    @property
    def has_groups(self) -> bool:
        """Whether the file has an index of its groups of rows that can be read where they are."""
        return not self.layers and self.content in ("parquet", "arrow")


_CONTENTS: Final[dict[str, Content]] = {
    **dict.fromkeys(("jsonl", "ndjson", "json", "jl"), "json"),
    "csv": "csv",
    **dict.fromkeys(("tsv", "tab"), "tsv"),
    **dict.fromkeys(("parquet", "pq"), "parquet"),
    **dict.fromkeys(("arrow", "feather", "ipc"), "arrow"),
    "arrows": "arrow_stream",
}
_LAYERS: Final[dict[str, tuple[Layer, ...]]] = {
    **{ending: (ending,) for ending in get_args(Layer) if ending != "telegram"},
    "gzip": ("gz",),
    "bzip2": ("bz2",),
    "zstd": ("zst",),
    "tgz": ("gz", "tar"),
    "tbz2": ("bz2", "tar"),
    "tbz": ("bz2", "tar"),
    "txz": ("xz", "tar"),
    "tzst": ("zst", "tar"),
}


class NamedFormat(msgspec.Struct, frozen=True):
    """What the endings of a name say: layers from the outermost on, and the content where they tell it."""

    layers: tuple[Layer, ...]
    content: Content | None


def format_of_name(name: str) -> NamedFormat:
    """Returns what the endings of a file's name say, in any case.

    >>> format_of_name("RC_2019-01.json.BZ2"), format_of_name("day.tgz").layers
    (NamedFormat(layers=('bz2',), content='json'), ('gz', 'tar'))
    """
    layers: list[Layer] = []
    stem, dot, ending = name.rpartition("/")[2].lower().rpartition(".")
    while dot and ending in _LAYERS:
        layers += _LAYERS[ending]
        stem, dot, ending = stem.rpartition(".")
    content: Content | None = _CONTENTS.get(ending) if dot else None
    if layers and layers[-1] == "tar":
        content = "members"
    return NamedFormat(tuple(layers), content)
