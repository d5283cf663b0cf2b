"""Words that posts of label 1 often hold, which writers disguise: from collected lists, at training time.

Source: `toxicity_more/lexicons` of the data folder, whose README has the licences; lists under a
share-alike licence stand in files of their own there (`LANGUAGE.by-sa.txt`) and are not read. The hostile
words of `screen_seeds.toml` come with them.
"""

import re
from pathlib import Path

from sluice.filters.models.training.screen_seeds import seed_words

LEXICONS = Path("toxicity_more", "lexicons")
SHARE_ALIKE = ".by-sa.txt"
SHORTEST = 3  # letters of a word in a script with blanks
_WORD = re.compile(rf"[^\W\d_]{{{SHORTEST},}}|[\u0e00-\u0eff\u3040-\u9fff]{{2,}}")


def bad_words(data: Path) -> frozenset[str]:
    """Returns the words of all languages in small letters; entries of several words are left out.

    Raises:
        FileNotFoundError: the data folder has no lists.
    """
    files = [path for path in sorted((data / LEXICONS).glob("*.txt")) if _may_be_used(path)]
    if not files:
        raise FileNotFoundError(f"no lists of words in {data / LEXICONS}; set SLUICE_DATA")
    listed = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    seeds = [word for words in seed_words().values() for word in words]
    return frozenset(
        word for line in [*listed, *seeds] if _WORD.fullmatch(word := line.strip().lower())
    )


def _may_be_used(path: Path) -> bool:
    return not path.name.endswith(SHARE_ALIKE)
