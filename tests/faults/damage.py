"""Files that are cut, emptied, flipped or gone: those of finished work, and those of the contract."""

import os
import random
from pathlib import Path

from tests.faults.kills import RENAMES, kill_at_rename
from tests.faults.lab import CONTRACT, Lab, LostError, Outcome, Trial

WAYS = ("cut", "emptied", "flipped", "deleted")


def spoil(path: Path, way: str, draw: random.Random) -> None:
    """Damages a file; the time of its last change stays, as a disk's fault leaves it."""
    before, data = path.stat(), bytearray(path.read_bytes())
    if way == "deleted":
        path.unlink()
        return
    if way == "cut":
        del data[draw.randrange(max(1, len(data))) :]
    elif way == "emptied":
        data.clear()
    elif data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def damaged_work(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """A run is killed, files of its finished units are damaged, and it is rerun."""
    trial = lab.trial(lab.draw_recipe(draw))
    trap = kill_at_rename(draw.randrange(5, RENAMES), before=draw.random() < 0.5)
    trial.run(prepare=trap)
    done = []
    for _ in range(draw.randint(1, 3)):
        path = draw.choice(work_files(trial))
        done.append(f"{draw.choice(WAYS)} {path.relative_to(trial.out)}")
        spoil(path, done[-1].split()[0], draw)
    how = heal(trial)
    return Outcome("damaged work", seed, how, "; ".join(done), len(done))


def work_files(trial: Trial) -> list[Path]:
    """Returns all files of a run's work but the lock, in the order of their names without attempts."""
    files = [p for p in trial.out.glob("work/**/*") if p.is_file() and "lock" not in p.name]
    return sorted(files, key=lambda p: (str(p.parent), p.name.split(".")[0], p.suffix))


def heal(trial: Trial) -> str:
    """Reruns until there is no error, four times at most; every error before that is clear."""
    for times in range(4):
        ended = trial.run()
        if ended.code == 0:
            trial.check()
            return "resumed" if times else "survived"
        ended.check_clear(1, 2)
    raise LostError(f"the same error again and again: {ended.last}")


def damaged_contract(lab: Lab, draw: random.Random, seed: str) -> Outcome:
    """A file of a finished output is damaged: verify names it, and a run says so or repairs it."""
    trial = lab.trial("frozen")
    trial.go_on()
    files = [p for name in CONTRACT for p in sorted((trial.out / name).glob("*"))]
    path, way = draw.choice(files), draw.choice(WAYS)
    name = str(path.relative_to(trial.out))
    spoil(path, way, draw)
    if not any(name in problem for problem in trial.verify()):
        raise LostError(f"{way} {name}: sluice verify does not name it: {trial.verify()}")
    (trial.out / "COMPLETED").unlink()
    how = heal(trial)
    return Outcome("damaged contract", seed, how, f"{way} {name}")
