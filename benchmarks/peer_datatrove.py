"""(c) The same job with datatrove: language, quality, MinHash in four stages, tokens. Its own venv runs it.

Written in datatrove's favour: one process (no pool to start), filters that follow each other in one
pipeline so that no stage is written out for the next, only the best language asked for instead of
all 176, quality thresholds that posts can pass. Only time after the imports is counted.
"""

import argparse
import json
import os
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def language_filter(model: str, min_confidence: float) -> Any:
    """Returns datatrove's filter with the model of a local file instead of its download."""
    from datatrove.pipeline.filters import LanguageFilter
    from datatrove.utils.lid import FT176LID

    class LocalModel(FT176LID):
        _model: Any

        @property
        def model(self) -> Any:
            # Loaded at the first post: the executor copies its steps, and a loaded model does not copy.
            if self._model is None:
                from fasttext.FastText import _FastText

                self._model = _FastText(model)
            return self._model

    language = LanguageFilter(languages=None, language_threshold=min_confidence)
    language.model = LocalModel(None, k=1)
    return language


def quality_filter(min_words: int) -> Any:
    """Returns Gopher's quality rules with thresholds for posts: as they ship they want 50 words."""
    from datatrove.pipeline.filters import GopherQualityFilter

    return GopherQualityFilter(
        min_doc_words=min_words,
        min_avg_word_length=2,
        max_avg_word_length=12,
        max_symbol_word_ratio=0.5,
        max_non_alpha_words_ratio=0.5,
        min_stop_words=None,
    )


def minhash_config(bands: int, rows: int, ngram: int) -> Any:
    """Returns the MinHash settings; datatrove's shingles are words."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    hashes = HashConfig(precision=64, hash_fc="xxhash")
    return MinhashConfig(
        n_grams=ngram, num_buckets=bands, hashes_per_bucket=rows, hash_config=hashes
    )


def stages(arguments: argparse.Namespace) -> list[tuple[str, int, list[Any]]]:
    """Returns (name, tasks, steps) of each stage, in order."""
    from datatrove.pipeline.dedup import (
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    def at(name: str) -> str:
        return str(arguments.work / name)

    config = minhash_config(arguments.bands, arguments.rows, arguments.ngram)
    screened = [
        JsonlReader(str(arguments.input)),
        language_filter(arguments.language_model, arguments.min_confidence),
        quality_filter(arguments.min_words),
        JsonlWriter(at("quality")),
    ]
    signed = [JsonlReader(at("quality")), MinhashDedupSignature(at("signatures"), config=config)]
    bucketed = [MinhashDedupBuckets(at("signatures"), at("buckets"), config=config)]
    clustered = [MinhashDedupCluster(at("buckets"), at("remove"), config=config)]
    tokenised = [
        JsonlReader(at("quality")),
        MinhashDedupFilter(at("remove")),
        DocumentTokenizer(
            at("tokens"), str(arguments.tokenizer), eos_token=arguments.end_of_document, seed=1
        ),
    ]
    return [
        ("language and quality", 1, screened),
        ("minhash signatures", 1, signed),
        ("minhash buckets", arguments.bands, bucketed),
        ("minhash clusters", 1, clustered),
        ("minhash filter and tokens", 1, tokenised),
    ]


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the stages; returns their CPU seconds and what came out."""
    from datatrove.executor import LocalPipelineExecutor

    seconds: dict[str, float] = {}
    planned = stages(arguments)
    for name, tasks, steps in planned:
        begun = cpu_seconds()
        logs = str(arguments.work / "logs" / name.replace(" ", "_"))
        LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=1, logging_dir=logs).run()
        seconds[name] = round(cpu_seconds() - begun, 3)
    # A token is 4 bytes in .ds files of a vocabulary above 65,536; an index entry is 8.
    files = list((arguments.work / "tokens").rglob("*.ds"))
    index = list((arguments.work / "tokens").rglob("*.ds.index"))
    return {
        "datatrove": version("datatrove"),
        "steps": seconds,
        "kept": sum(path.stat().st_size for path in index) // 8,
        "tokens": sum(path.stat().st_size for path in files) // 4,
    }


def main() -> int:
    """Runs the job and writes its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("input", "tokenizer", "work", "json"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--language-model", required=True)
    parser.add_argument("--end-of-document", required=True)
    parser.add_argument("--min-confidence", type=float, required=True)
    for name in ("min-words", "bands", "rows", "ngram"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    arguments.json.write_text(json.dumps(run(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
