"""Passes the graphs of finished jobs through Beam's Dataflow runner; prints what comes out, as JSON.

Run by `.venv-dataflow`, with jobs as JSON: a list of {recipe, files, output}.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from sluice.pipeline.engine.beam import graph_check
from sluice.pipeline.phases.job import Job, make_job
from sluice.pipeline.phases.score import phase as score
from sluice.pipeline.recipes import loader

FLAGS = (
    "--runner=DataflowRunner",
    "--project=some-project",
    "--region=us-central1",
    "--temp_location=gs://some-bucket/temp",
    "--sdk_container_image=us-docker.pkg.dev/some-project/images/sluice:1",
    "--experiments=no_use_multiple_sdk_containers",
)


def job_of(request: dict[str, Any]) -> Job:
    loaded = loader.load(request["recipe"])
    files = msgspec.structs.replace(loaded.input, files=tuple(request["files"]))
    return make_job(msgspec.structs.replace(loaded, input=files), out=request["output"])


def graphs_of(job: Job) -> Iterator[graph_check.EngineGraph]:
    """Yields every phase's graph, that of `sluice score` the last; all must be there."""
    for graph in graph_check.build(job, FLAGS):
        assert isinstance(graph, graph_check.EngineGraph), graph
        yield graph
    yield graph_check.graph_of(job, score.plan(job), FLAGS)


def described(graph: graph_check.EngineGraph) -> dict[str, Any]:
    images = [
        e.payload.decode(errors="replace") for e in graph.proto.components.environments.values()
    ]
    return {
        "phase": graph.phase,
        "bytes": graph.num_bytes,
        "problems": graph_check.problems(graph),
        "steps": list(graph.steps),
        "hints": {
            name: {k: v.decode() for k, v in graph.hints(step).items()}
            for name, step in graph.steps.items()
            if step.environment_id  # the others are the engine's own
        },
        "images": images,
    }


if __name__ == "__main__":
    requests = json.loads(sys.argv[1])
    json.dump(
        [[described(g) for g in graphs_of(job_of(request))] for request in requests], sys.stdout
    )
