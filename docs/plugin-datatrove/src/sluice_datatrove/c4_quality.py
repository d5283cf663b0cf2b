"""C4's rules about whole documents, as datatrove has them: drops code and placeholder texts."""

from typing import ClassVar

from sluice import Filter, Scorer
from sluice_datatrove.verdicts import verdicts


class DatatroveC4(Filter, frozen=True, kw_only=True, tag="datatrove_c4"):
    """Drops a post that datatrove's C4QualityFilter drops. Score: 1 if it keeps the post, else 0.

    C4's rules about lines and sentences are off: they are for pages, and a post is a sentence or two.

    Attributes:
        curly_brackets: whether a curly bracket, as code has it, drops the post.
        lorem_ipsum: whether "lorem ipsum" drops it.

    Source: C4 (Raffel et al. 2020, arXiv:1910.10683); datatrove 0.10.1.
    """

    reason: ClassVar[str] = "code_or_placeholder"
    bound: ClassVar[str] = "min_kept"
    costly: ClassVar[bool] = True
    min_kept: ClassVar[float] = 1.0  # a verdict has no threshold to choose

    curly_brackets: bool = True
    lorem_ipsum: bool = True

    def build(self) -> Scorer:
        """Returns the scorer: (N,) float32, 1 or 0."""
        from datatrove.pipeline.filters import C4QualityFilter

        made = C4QualityFilter(
            filter_curly_bracket=self.curly_brackets,
            filter_lorem_ipsum=self.lorem_ipsum,
            filter_no_terminal_punct=False,
            filter_javascript=False,
            filter_policy=False,
            min_num_sentences=-1,
            min_words_per_line=-1,
            max_word_length=-1,
        )
        return verdicts(made)
