"""What the phase exclude costs: CPU microseconds and bytes of work for each post that clean kept.

    python -m benchmarks.notices --posts 300000 --work NEW_FOLDER

Tweets are invented, twenty of an author, with a delete behind each fiftieth, of which half name a tweet of
the run, and an account behind each five thousandth. One process does clean without filters, then exclude,
without and with a cap for authors.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluice.pipeline.engine.inline import InlineEngine
from sluice.pipeline.engine.run import run_plan
from sluice.pipeline.engine.workers import Workers
from sluice.pipeline.phases import run_order
from sluice.pipeline.phases.job import make_job
from sluice.pipeline.phases.results import Results
from sluice.pipeline.recipes.schema import Recipe


def records(num_posts: int) -> Iterator[dict[str, Any]]:
    """Yields tweets, and notices behind some of them."""
    draw = random.Random(1)
    words = [f"w{i}" for i in range(5000)]
    num_authors, first = max(1, num_posts // 20), 10**18
    for number in range(num_posts):
        yield {
            "id_str": str(first + number),
            "text": " ".join(draw.choices(words, k=12)),
            "created_at": "Sat Mar 10 14:03:15 +0000 2018",
            "user": {"id_str": str(draw.randrange(num_authors))},
        }
        if number % 50 == 0:
            yield {"delete": {"status": {"id_str": str(first + draw.randrange(2 * num_posts))}}}
        if number % 5000 == 0:
            yield {"user_protect": {"id": draw.randrange(num_authors)}}


def measured(folder: Path, cap: int | None) -> Iterator[str]:
    """Yields what each phase cost, in words."""
    keys = {"input.files": [str(folder / "in.jsonl")], "authors.max_posts_per_day": cap}
    job = make_job(Recipe.load(Recipe(name="notices"), overrides=keys), out=str(folder / "out"))
    results = Results()
    for name in ("clean", "exclude"):
        plan, start = run_order.plan(job, results, name), time.process_time()
        with Workers(1) as workers:
            results.add(run_plan(plan, InlineEngine(workers))[0])
        seconds, posts = time.process_time() - start, results.phases.clean.clean.kept.posts
        size = sum(file.stat().st_size for file in Path(plan.folder).rglob("*") if file.is_file())
        yield f"{name:<8} {1e6 * seconds / posts:6.2f} us, {size / posts:6.1f} bytes of work a post"
    counts = results.phases.exclude
    assert counts is not None
    yield f"         {counts.match.notices:,} notices, {counts.drop.policy}"


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=300_000)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    os.makedirs(args.work)
    with (args.work / "in.jsonl").open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records(args.posts))
    for cap in (None, 5):
        print(f"cap {cap}")
        for line in measured(args.work, cap):
            print(line)


if __name__ == "__main__":
    main()
