"""Every filter of ours, by its tag: a new one is a file in `rules/` and a name here."""

from sluice.filters.rules.alphabetic_words_ratio import AlphabeticWordsRatio
from sluice.filters.rules.bullet_line_ratio import BulletLineRatio
from sluice.filters.rules.digit_ratio import DigitRatio
from sluice.filters.rules.ellipsis_line_ratio import EllipsisLineRatio
from sluice.filters.rules.emoji_ratio import EmojiRatio
from sluice.filters.rules.hashtag_ratio import HashtagRatio
from sluice.filters.rules.language_allowed import LanguageAllowed
from sluice.filters.rules.language_confidence import LanguageConfidence
from sluice.filters.rules.max_chars import MaxChars
from sluice.filters.rules.max_words import MaxWords
from sluice.filters.rules.mean_word_length_max import MeanWordLengthMax
from sluice.filters.rules.mean_word_length_min import MeanWordLengthMin
from sluice.filters.rules.mention_ratio import MentionRatio
from sluice.filters.rules.min_author_age_days import MinAuthorAgeDays
from sluice.filters.rules.min_chars import MinChars
from sluice.filters.rules.min_words import MinWords
from sluice.filters.rules.no_consent import NoConsent
from sluice.filters.rules.own_text import OwnText
from sluice.filters.rules.punctuation_ratio import PunctuationRatio
from sluice.filters.rules.quality import Quality
from sluice.filters.rules.repeated_chars import RepeatedChars
from sluice.filters.rules.repeated_lines import RepeatedLines
from sluice.filters.rules.repeated_words import RepeatedWords
from sluice.filters.rules.spam import Spam
from sluice.filters.rules.stop_words import StopWords
from sluice.filters.rules.symbol_word_ratio import SymbolWordRatio
from sluice.filters.rules.top_ngram_ratio import TopNgramRatio
from sluice.filters.rules.toxicity import Toxicity
from sluice.filters.rules.truncated_retweet import TruncatedRetweet
from sluice.filters.rules.uppercase_ratio import UppercaseRatio
from sluice.filters.rules.url_ratio import UrlRatio

_CharacterFilter = (
    DigitRatio | EmojiRatio | MaxChars | MinChars | OwnText | PunctuationRatio | RepeatedChars
)
_MarkupFilter = HashtagRatio | MentionRatio | SymbolWordRatio | TruncatedRetweet | UrlRatio
_WordFilter = AlphabeticWordsRatio | MaxWords | MinWords | RepeatedWords | StopWords | TopNgramRatio
_SpellingFilter = MeanWordLengthMax | MeanWordLengthMin | UppercaseRatio
_LineFilter = BulletLineRatio | EllipsisLineRatio | RepeatedLines
_ModelFilter = LanguageAllowed | LanguageConfidence | Quality | Spam | Toxicity
_AuthorFilter = MinAuthorAgeDays | NoConsent
AnyFilter = (
    _AuthorFilter
    | _CharacterFilter
    | _MarkupFilter
    | _WordFilter
    | _SpellingFilter
    | _LineFilter
    | _ModelFilter
)
"""Every filter that a recipe may name, by its tag."""
