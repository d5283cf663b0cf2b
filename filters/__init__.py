"""Row-wise edits and decisions on Arrow columns. A new filter is one file, and one name below."""

from filters.alphabetic_words_ratio import AlphabeticWordsRatio
from filters.bullet_line_ratio import BulletLineRatio
from filters.digit_ratio import DigitRatio
from filters.ellipsis_line_ratio import EllipsisLineRatio
from filters.emoji_ratio import EmojiRatio
from filters.hashtag_ratio import HashtagRatio
from filters.language_allowed import LanguageAllowed
from filters.language_confidence import LanguageConfidence
from filters.max_chars import MaxChars
from filters.max_words import MaxWords
from filters.mean_word_length_max import MeanWordLengthMax
from filters.mean_word_length_min import MeanWordLengthMin
from filters.mention_ratio import MentionRatio
from filters.min_chars import MinChars
from filters.min_words import MinWords
from filters.own_text import OwnText
from filters.punctuation_ratio import PunctuationRatio
from filters.repeated_chars import RepeatedChars
from filters.repeated_lines import RepeatedLines
from filters.repeated_words import RepeatedWords
from filters.spam import Spam
from filters.stop_words import StopWords
from filters.symbol_word_ratio import SymbolWordRatio
from filters.top_ngram_ratio import TopNgramRatio
from filters.toxicity import Toxicity
from filters.truncated_retweet import TruncatedRetweet
from filters.uppercase_ratio import UppercaseRatio
from filters.url_ratio import UrlRatio

AnyFilter = (
    AlphabeticWordsRatio | BulletLineRatio | DigitRatio | EllipsisLineRatio | EmojiRatio
    | HashtagRatio | LanguageAllowed | LanguageConfidence | MaxChars | MaxWords | MeanWordLengthMax
    | MeanWordLengthMin | MentionRatio | MinChars | MinWords | OwnText | PunctuationRatio
    | RepeatedChars | RepeatedLines | RepeatedWords | Spam | StopWords | SymbolWordRatio
    | TopNgramRatio | Toxicity | TruncatedRetweet | UppercaseRatio | UrlRatio
)  # fmt: skip
"""Every filter that a recipe may name, by its tag."""
