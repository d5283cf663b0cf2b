"""The report's part about the vocabulary: its entries, and what they were learned from."""

from typing import Any

from sluice.pipeline.ledger.tally import Counts, column
from sluice.pipeline.phases.results import Results
from sluice.pipeline.phases.vocabulary.sampling import composition


def vocabulary_section(
    results: Results, made: Counts, *, steps: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Returns the entries of the vocabulary, its training text by language, and what making it took.

    Args:
        results: the finished phases.
        made: entries by kind.
        steps: step -> seconds and CPU seconds.
    """
    counts = results["vocabulary"]
    sample = counts.total("vocabulary_sample", "sample")
    weights = counts.total("vocabulary_train", "weights")
    text_bytes = column(results.survivors, "by_lang", "text_bytes")
    return {
        "size": sum(made.values()),
        **{k: made[k] for k in ("merges", "special", "links", "bytes", "reserved")},
        "sample": sample,
        "words": counts.total("vocabulary_train", "words") or None,
        "use": _use(results, size=sum(made.values())),
        "held_back": _held_back(results["tokens"].total("tokens_encode", "held_back")),
        "languages": composition(text_bytes, sample["by_lang"], weights) if weights else {},
        "steps": steps,
    }


def _use(results: Results, *, size: int) -> dict[str, int]:
    """Returns how many entries occur in the shards and the leftover, how many never do, how many hardly."""
    found = results["tokens"].total("tokens_deal", "token_use")
    used, seldom = found.get("used", 0), found.get("used_seldom", 0)
    return {"used": used, "unused": size - used, "used_seldom": seldom}


def _held_back(counts: Counts) -> dict[str, Any] | None:
    """Returns what the vocabulary makes of posts that it was not trained on; None where there are none."""
    if not counts.get("posts"):
        return None
    by_lang = sorted(counts["by_lang"].items(), key=lambda item: (-item[1]["text_bytes"], item[0]))
    return _measures(counts) | {"languages": {lang: _measures(part) for lang, part in by_lang}}


def _measures(counts: Counts) -> dict[str, float]:
    """Returns posts, text bytes, tokens, bytes of a token and tokens of a word."""
    tokens = max(1, counts["tokens"])
    return {
        "posts": counts["posts"],
        "text_bytes": counts["text_bytes"],
        "tokens": counts["tokens"],
        "bytes_per_token": round(counts["text_bytes"] / tokens, 4),
        "tokens_per_word": round(counts["tokens"] / max(1, counts["words"]), 4),
    }
