"""datatrove's MinHash over a file of texts, stage after stage. Its own venv runs it.

As `peer_datatrove.py` runs it, without the filters and tokens; one process. With --code-points its
shingles are five code points of the text as it is: its normalising is off, and its word tokenizer is
replaced by one for which each code point is a word. Its shingle is then the five joined by blanks,
which is equivalent.
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peer_datatrove import cpu_seconds, minhash_config


class CodePoints:
    """A tokenizer for which each code point is a word."""

    def word_tokenize(self, text: str) -> list[str]:
        """Returns the code points of a text."""
        return list(text)


def signature_step(folder: str, config: Any, *, code_points: bool) -> Any:
    """Returns the first stage, with its own shingles or ours."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.utils.text import TextNormConfig

    if code_points:
        config.norm_config = TextNormConfig(False, False, False, False, False)
    step = MinhashDedupSignature(folder, config=config)
    if code_points:
        step.word_tokenizer = CodePoints()
    return step


def stages(arguments: argparse.Namespace) -> list[tuple[str, int, list[Any]]]:
    """Returns (name, tasks, steps) of each stage, in order."""
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    def at(name: str) -> str:
        return str(arguments.work / name)

    config = minhash_config(arguments.bands, arguments.rows, arguments.ngram)
    read = JsonlReader(str(arguments.work), glob_pattern="posts.jsonl")
    sign = signature_step(at("signatures"), config, code_points=arguments.code_points)
    match = MinhashDedupBuckets(at("signatures"), at("buckets"), config=config)
    join = MinhashDedupCluster(at("buckets"), at("remove"), config=config)
    drop = MinhashDedupFilter(at("remove"))
    return [
        ("signatures", 1, [read, sign]),
        ("buckets", arguments.bands, [match]),
        ("clusters", 1, [join]),
        ("filter", 1, [read, drop, JsonlWriter(at("kept"))]),
    ]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the stages; returns their CPU seconds and how many posts have no signature."""
    from datatrove.executor import LocalPipelineExecutor

    seconds: dict[str, float] = {}
    for name, tasks, steps in stages(arguments):
        begun = cpu_seconds()
        logs = str(arguments.work / "logs" / name)
        LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=1, logging_dir=logs).run()
        seconds[name] = round(cpu_seconds() - begun, 3)
    with (arguments.work / "posts.jsonl").open("rb") as lines:
        posts = sum(1 for _ in lines)
    signed = (arguments.work / "signatures" / "bucket_000" / "00000.minhash.sig").stat().st_size
    unsigned = posts - signed // (8 * arguments.rows + 4)
    return {"datatrove": version("datatrove"), "steps": seconds, "unsigned": unsigned}


def main() -> int:
    """Runs the stages and writes run.json beside their files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", type=Path, required=True, help="has posts.jsonl")
    parser.add_argument("--code-points", action="store_true")
    for name in ("bands", "rows", "ngram"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    (arguments.work / "run.json").write_text(json.dumps(run(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
