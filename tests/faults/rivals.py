"""Commands on one output at the same time."""

import random
import time

from tests.faults.lab import Ended, Lab, LostError, Outcome


def two_runs(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """Two runs, or three, are started on one output at once: one continues, the others are refused."""
    trial = lab.trial(lab.draw_recipe(draw))
    runs = [trial.start() for _ in range(draw.randint(2, 3))]
    ended = [run.wait() for run in runs]
    going = [e for e in ended if e.code == 0]
    for refused in (e for e in ended if e.code):
        refused.check_clear(2)
        if "another run holds" not in refused.last:
            raise LostError(f"does not say that another run holds it: {refused.said[-600:]}")
    # One that begins when the other has ended is a run like any other.
    if not going:
        raise LostError(f"none continues: {[e.last for e in ended]}")
    trial.check()
    return Outcome("two runs", seed, "survived", f"{len(runs)} at once, {len(going)} continued")


def readers(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """`verify`, `report` and `inspect` look at an output that a run is writing."""
    trial = lab.trial(lab.draw_recipe(draw))
    run = trial.start()
    looks = 0
    while run.poll():
        command = draw.choice((["verify", "out"], ["report", "out"], ["inspect", "out", "1"]))
        _check_look(trial.command(command).wait(), command)
        looks += 1
        time.sleep(draw.uniform(0, 1))
    ended = run.wait()
    if ended.code:
        raise LostError(f"the run failed: {ended.said[-600:]}")
    trial.check()
    return Outcome("readers", seed, "survived", f"{looks} looks", looks)


def _check_look(ended: Ended, command: list[str]) -> None:
    if ended.code not in (0, 1, 2) or "Traceback" in ended.said:
        raise LostError(f"{command}: exit code {ended.code}: {ended.said[-1500:]}")
