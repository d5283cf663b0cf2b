"""The elements of HTML by what they are to the text of a post."""

from typing import Final

PARAGRAPHS: Final = (
    *("p", "blockquote", "pre", "ul", "ol", "dl", "table", "hr"),
    *("h1", "h2", "h3", "h4", "h5", "h6"),
)
"""A blank line stands between them and what is beside them."""

LINES: Final = (
    *("li", "div", "tr", "dt", "dd", "section", "article", "header", "footer"),
    *("figure", "figcaption"),
)
"""They begin on a new line, and so does what follows."""

LEFT_OUT: Final = ("script", "style", "head", "template")
"""Nothing in them is text."""

VOID: Final = ("br", "img", "hr", "wbr", "input", "source", "col", "area", "embed")
"""They have no end tag."""

SPECIAL: Final = (
    *("pre", "title", "textarea", "iframe", "noembed", "noframes", "noscript", "xmp", "plaintext"),
    *("svg", "math"),
)
"""What is in them is parsed in a way of its own."""

QUOTE_LINK: Final = "quote-inline"
"""The class of a link to the quoted post, which stands in the text for programs that show no quotes."""
