"""Personal data in the texts that phase clean passes on.

Rules, languages and screens read the texts as they came, as their models were trained; what goes on to other
phases, to the history and to samples has no value that a recipe masks.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.filters.partition import Screened, Verdicts
from sluice.filters.privacy.kinds import KINDS
from sluice.filters.privacy.masking import Masking
from sluice.pipeline.ledger.tally import value_counts
from sluice.schemas.counts import MaskedCounts


def masked(found: Verdicts, masking: Masking | None) -> Verdicts:
    """Returns verdicts with the texts of kept posts masked, and those that screens rejected."""
    if masking is None:
        return found
    kept = found.kept
    texts, spans = masking(kept.text, kept.languages.language)
    screened = tuple(_masked_screen(seen, masking) for seen in found.screened)
    return found._replace(kept=kept.with_text(texts), screened=screened, masked=spans)


def _masked_screen(seen: Screened, masking: Masking) -> Screened:
    mask = pa.array(seen.rejected_N)
    languages = seen.batch.languages.language.filter(mask)
    texts = masking(seen.batch.text.filter(mask), languages).texts
    changed = pc.replace_with_mask(seen.batch.text, mask, texts)
    return seen._replace(batch=seen.batch.with_text(changed))


def masked_counts(part: Verdicts) -> MaskedCounts | None:
    """Returns how many values were masked in kept posts, by kind and language; None where none are."""
    if part.masked is None:
        return None
    row_M, _, _, kind_M = part.masked
    kinds = pa.array(list(KINDS)).take(pa.array(kind_M))
    languages = part.kept.languages.language.take(pa.array(row_M))
    by_lang = {
        name: value_counts(kinds.filter(pc.equal(languages, name)))
        for name in languages.unique().to_pylist()
    }
    return MaskedCounts(len(np.unique(row_M)), value_counts(kinds), by_lang)
