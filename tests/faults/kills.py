"""Kills and signals: at random moments, and on both sides of a commit."""

import os
import random
import signal
import time
from unittest import mock

from tests.faults.lab import (
    BEAM_WORKERS,
    WORKERS,
    Ended,
    Lab,
    LostError,
    Outcome,
    Prepare,
    Run,
    Trial,
)

RENAMES = 150
"""About as many files as a small run gives their names."""


def kill(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """SIGKILL for the whole run, several times in a row, then the same command again."""
    trial = lab.trial(lab.draw_recipe(draw))
    landed = 0
    for _ in range(draw.randint(*lab.kills)):
        if (trial.out / "COMPLETED").exists():
            break
        landed += _kill_once(trial, draw)
    trial.go_on()
    return Outcome("kill", seed, "survived", f"{landed} kills of {trial.recipe}", landed)


def _kill_once(trial: Trial, draw: random.Random) -> bool:
    # The fewer kills in a row, the farther apart: they fall in all phases.
    most = trial.lab.kills[1]
    if draw.random() < 0.4:
        trap = kill_at_rename(draw.randrange(RENAMES // most), before=draw.random() < 0.5)
        return trial.run(prepare=trap).code == -signal.SIGKILL
    run = trial.start()
    wait_for_units(run, trial, draw.randrange(2 * trial.lab.units // most))
    time.sleep(draw.uniform(0, 0.7))
    landed = run.signal(signal.SIGKILL)
    run.wait()
    return landed


def wait_for_units(run: Run, trial: Trial, more: int) -> None:
    """Waits until so many more units are finished, or the run is at its end."""
    enough = len(trial.manifests()) + more
    while run.poll() and len(trial.manifests()) < enough:
        time.sleep(0.02)


def kill_at_rename(n: int, *, before: bool) -> Prepare:
    """Returns what makes a run kill itself just before, or just after, it gives a file its name.

    A unit commits by a rename, so that these are the moments that matter most.
    """

    def prepare() -> None:
        replace, left = os.replace, [n]

        def trap(source: str, target: str) -> None:
            left[0] -= 1
            if not before:
                replace(source, target)
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if before:
                replace(source, target)

        mock.patch.object(os, "replace", trap).start()

    return prepare


def kill_workers(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """SIGKILL for a worker process, for the run, or for both, of a run with worker processes."""
    trial = lab.trial("frozen")
    landed, done = 0, []
    for _ in range(draw.randint(*lab.worker_kills)):
        victim = draw.choice(("worker", "worker", "run", "both"))
        landed += _kill_process(trial, victim, draw)
        done.append(victim)
    trial.go_on()
    return Outcome("kill workers", seed, "survived", ", ".join(done), landed)


def _kill_process(trial: Trial, victim: str, draw: random.Random) -> bool:
    run = trial.start(*draw.choice((WORKERS, BEAM_WORKERS)))
    workers = _wait_for_workers(run)
    time.sleep(draw.uniform(0, 6))
    workers = run.workers() or workers
    landed = False
    if victim != "run" and workers:
        landed = _kill_quietly(draw.choice(workers))
    if victim != "worker":
        landed |= run.signal(signal.SIGKILL)
    ended = run.wait()
    if victim == "worker" and ended.code:
        ended.check_clear(1)
        if "worker process" not in ended.last or "run the same command again" not in ended.last:
            raise LostError(f"does not say that a worker died: {ended.said[-600:]}")
    return landed


def _wait_for_workers(run: Run) -> list[int]:
    while run.poll():
        workers = run.workers()
        if workers:
            return workers
        time.sleep(0.05)
    return []


def _kill_quietly(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def signals(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """SIGINT, twice at times, or SIGTERM: a short message, the shell's exit code, and on it goes."""
    trial = lab.trial(lab.draw_recipe(draw))
    number, twice = draw.choice((signal.SIGINT, signal.SIGTERM)), draw.random() < 0.5
    workers = WORKERS if draw.random() < 0.2 else ()
    run = trial.start(*workers)
    wait_for_units(run, trial, draw.randrange(lab.units))
    time.sleep(draw.uniform(0.2, 0.7))
    landed = run.signal(number)
    if twice:
        run.signal(number)
    ended = run.wait()
    if landed:
        _check_stopped(ended, number)
    trial.go_on()
    what = f"{number.name}{' twice' * twice} in {trial.recipe}{' with workers' * bool(workers)}"
    return Outcome("signal", seed, "resumed" if landed else "survived", what, int(landed))


def _check_stopped(ended: Ended, number: int) -> None:
    if ended.code == 0:  # it came after the last line
        return
    ended.check_clear(128 + number)
    if "finished units are kept" not in ended.last:
        raise LostError(f"does not say how to go on: {ended.said[-600:]}")
