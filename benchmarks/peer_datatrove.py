"""(c) The same job with datatrove: language, quality, MinHash in four stages, tokens. Its own venv runs it.

Written in datatrove's favour: one process (no pool to start), filters that follow each other in one
pipeline so that no stage is written out for the next, only the best language asked for instead of
all 176, quality thresholds that posts can pass. Only time after the imports is counted.

Without --tokenizer its MinHash alone. With --shingles=code-points its shingles are five code points of the
text as it is: its normalising is off, and its word tokenizer is replaced by one for which each code point is
a word. Its shingle is then the five joined by blanks, which is equivalent.
"""

import argparse
import json
import os
import resource
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


class CodePoints:
    """A tokenizer for which each code point is a word."""

    def word_tokenize(self, text: str) -> list[str]:
        """Returns the code points of a text."""
        return list(text)


def signature_step(folder: str, config: Any, *, shingles: str) -> Any:
    """Returns the first stage of MinHash, with its own shingles or ours."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.utils.text import TextNormConfig

    if shingles == "words":
        return MinhashDedupSignature(folder, config=config)
    config.norm_config = TextNormConfig(False, False, False, False, False)
    step = MinhashDedupSignature(folder, config=config)
    step.word_tokenizer = CodePoints()
    return step


def stages(arguments: argparse.Namespace) -> list[tuple[str, int, list[Any]]]:
    """Returns (name, tasks, steps) of each stage, in order."""
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    def at(name: str) -> str:
        return str(arguments.work / name)

    whole = arguments.tokenizer is not None
    config = MinhashConfig(
        n_grams=arguments.ngram,
        num_buckets=arguments.bands,
        hashes_per_bucket=arguments.rows,
        hash_config=HashConfig(precision=64, hash_fc="xxhash"),
    )
    read = JsonlReader(at("quality" if whole else "posts"))
    sign = signature_step(at("signatures"), config, shingles=arguments.shingles)
    bucketed = [MinhashDedupBuckets(at("signatures"), at("buckets"), config=config)]
    clustered = [MinhashDedupCluster(at("buckets"), at("remove"), config=config)]
    minhash = [
        ("minhash signatures", 1, [read, sign]),
        ("minhash buckets", arguments.bands, bucketed),
        ("minhash clusters", 1, clustered),
    ]
    drop = [read, MinhashDedupFilter(at("remove"))]
    if not whole:
        return [*minhash, ("minhash filter", 1, [*drop, JsonlWriter(at("kept"))])]
    screened = [
        JsonlReader(at("posts")),
        language_filter(arguments.language_model, arguments.min_confidence),
        quality_filter(arguments.min_words),
        JsonlWriter(at("quality")),
    ]
    end = arguments.end_of_document
    write = DocumentTokenizer(at("tokens"), arguments.tokenizer, eos_token=end, seed=1)
    return [
        ("language and quality", 1, screened),
        *minhash,
        ("minhash filter and tokens", 1, [*drop, write]),
    ]


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the stages; returns their CPU seconds and what came out."""
    from datatrove.executor import LocalPipelineExecutor

    seconds: dict[str, float] = {}
    for name, tasks, steps in stages(arguments):
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
        "signed": (
            (arguments.work / "signatures" / "bucket_000" / "00000.minhash.sig").stat().st_size
            // (8 * arguments.rows + 4)
        ),
    }


def main() -> None:
    """Runs the job over the posts in WORK/posts and writes its figures into WORK/run.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shingles", choices=("words", "code-points"), default="words")
    for name in ("tokenizer", "language-model", "end-of-document"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--min-confidence", type=float)
    for name in ("min-words", "bands", "rows", "ngram"):
        parser.add_argument(f"--{name}", type=int)
    arguments = parser.parse_args()
    (arguments.work / "run.json").write_text(json.dumps(run(arguments)))


if __name__ == "__main__":
    main()
