"""A Spark standalone cluster on loopback, with Beam's worker pool and a job service.

A master, two workers of one core each, the pool that gives their executors Python processes, and the
job service. Everything ends with the block that started it.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.job_service import JobService
from tests.cluster.processes import free_port, listens, members, says, started

WORKERS = 2
EXECUTOR_MEMORY = "1g"
SHORT_LIVED = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""Options of virtual machines that live for seconds on two cores."""


@dataclass(frozen=True)
class Software:
    """What the cluster is made of.

    Attributes:
        venv: the workers' venv: the wheel of sluice and pyspark.
        jars: Beam's Spark runner.
        classes: the compiled driver.
        modules: a folder that workers import from before the wheel; "" for none.
    """

    venv: Path
    jars: Path
    classes: Path
    modules: str = ""

    @classmethod
    def at(cls, folder: Path) -> "Software":
        """Returns what `make .venv-spark` put into a folder."""
        return cls(folder, folder / "jars", folder / "classes")

    @property
    def spark(self) -> Path:
        """SPARK_HOME: the distribution in the pyspark package."""
        return next(self.venv.glob("lib/python3*/site-packages/pyspark"))

    @property
    def env(self) -> dict[str, str]:
        """The environment of all processes: the workers' Python is first on PATH."""
        return {
            "SPARK_HOME": str(self.spark),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "PATH": f"{self.venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": self.modules,
        }


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs.

    Attributes:
        logs: `master.log`, `worker-<n>.log`, `pool.log`, a folder a job and Spark's `events`.
        flags: what follows `--` in `sluice run`.
        pool: the process id of the worker pool.
        workers: the process ids of Spark's workers.
    """

    logs: Path
    flags: tuple[str, ...]
    pool: int
    workers: tuple[int, ...]

    def python_workers(self) -> list[int]:
        """Returns the ids of the Python processes that do units now."""
        return members(self.pool, "SdkHarness")

    def executors(self) -> list[int]:
        """Returns the ids of Spark's executors."""
        return [pid for worker in self.workers for pid in members(worker, "ExecutorBackend")]


@contextlib.contextmanager
def running(software: Software, *, logs: Path, conf: Mapping[str, str] = {}) -> Iterator[Cluster]:
    """Starts a cluster, and ends all its processes with the block.

    Args:
        software: what it is made of.
        logs: an empty folder, or none yet.
        conf: more properties of Spark, for every job.
    """
    (logs / "events").mkdir(parents=True)
    master_port, pool_port = free_port(), free_port()
    master = f"spark://127.0.0.1:{master_port}"
    with contextlib.ExitStack() as stack:
        start = partial(_start, stack, software, logs)
        daemon = [software.spark / "bin" / "spark-class", "org.apache.spark.deploy"]
        options = ["--host", "127.0.0.1", "--webui-port", "0"]
        start("master", [*_class(*daemon, "master.Master"), *options, "--port", str(master_port)])
        workers = []
        for number in range(WORKERS):
            more = ["--cores", "1", "--memory", "2g", "--work-dir", str(logs / f"work-{number}")]
            command = [*_class(*daemon, "worker.Worker"), *options, *more, master]
            workers.append(start(f"worker-{number}", command))
        pool = ["-m", "apache_beam.runners.worker.worker_pool_main", "--service_port"]
        python = str(software.venv / "bin" / "python")
        pool_id = start("pool", [python, *pool, str(pool_port)], port=pool_port)
        submit = partial(_submit, software, master, {**_conf(software, logs), **conf})
        endpoint = stack.enter_context(JobService(logs, submit).served())
        given = flags(endpoint, f"localhost:{pool_port}")
        yield Cluster(logs, given, pool_id, tuple(workers))


def flags(job_endpoint: str, pool: str) -> tuple[str, ...]:
    """Returns Beam's flags for a job service and a worker pool."""
    return (
        "--runner=PortableRunner",
        f"--job_endpoint={job_endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config={pool}",
        "--environment_cache_millis=600000",
    )


def _class(program: Path, package: str, name: str) -> list[str]:
    return [str(program), f"{package}.{name}"]


def _start(
    stack: contextlib.ExitStack,
    software: Software,
    logs: Path,
    name: str,
    command: Sequence[str],
    *,
    port: int = 0,
) -> int:
    """Starts one of the processes; returns its id."""
    log = logs / f"{name}.log"
    words = "registered with master" if name.startswith("worker") else "elected leader"
    ready = listens(port) if port else says(log, words)
    process = stack.enter_context(started(command, log=log, ready=ready, env=software.env))
    return process.pid


def _conf(software: Software, logs: Path) -> dict[str, str]:
    path = os.pathsep.join([str(software.classes), f"{software.jars}/*"])
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraClassPath": path,
        "spark.executor.extraClassPath": path,
        "spark.executor.memory": EXECUTOR_MEMORY,
        "spark.driver.extraJavaOptions": SHORT_LIVED,
        "spark.executor.extraJavaOptions": SHORT_LIVED,
        # An executor whose Python worker died fails all that it is given: another one tries.
        "spark.excludeOnFailure.enabled": "true",
        "spark.excludeOnFailure.stage.maxFailedTasksPerExecutor": "1",
        "spark.excludeOnFailure.application.maxFailedTasksPerExecutor": "1",
        "spark.excludeOnFailure.killExcludedExecutors": "true",
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (logs / "events").as_uri(),
    }


def _submit(software: Software, master: str, conf: Mapping[str, str], folder: Path) -> list[str]:
    """Returns the command that runs a job."""
    command = ["env", *(f"{key}={value}" for key, value in software.env.items())]
    command += [str(software.spark / "bin" / "spark-submit"), "--master", master]
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    return [*command, "--class", "sluice.SparkDriver", "spark-internal", str(folder)]
