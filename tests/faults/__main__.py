"""Breaks runs in every way that is known here, and prints what became of them.

`python -m tests.faults --kills 200 --seed 1` is the nightly size. A try that was lost is repeated by
`--only KIND --seed SEED --tries 1` with the seed that the table names, and what it left is kept.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.faults import damage, kills, machine, rivals
from tests.faults.lab import Lab, LostError, OtherBytesError, Outcome

Kind = Callable[[Lab, random.Random, str], Outcome]

KINDS: dict[str, Kind] = {
    "kill": kills.kill,
    "kill-workers": kills.kill_workers,
    "signal": kills.signals,
    "disk-full": machine.disk_full,
    "read-only": machine.read_only,
    "no-tmpdir": machine.no_temporary_folder,
    "memory": machine.memory,
    "clock": machine.clock,
    "damaged-work": damage.damaged_work,
    "damaged-output": damage.damaged_contract,
    "two-runs": rivals.two_runs,
    "readers": rivals.readers,
}


def tried(kind: str, lab: Lab, seed: str) -> Outcome:
    """Returns how a try went that a seed draws."""
    before, lab.latest = set(lab.folder.iterdir()), None
    try:
        outcome = KINDS[kind](lab, random.Random(f"{kind} {seed}"), seed)
    except OtherBytesError as lost:
        return Outcome(kind, seed, "lost", "", problem=str(lost))
    except LostError as lost:
        return Outcome(kind, seed, "lost", "", problem=f"{lost}\n{_kept(lab, str(lost))}")
    except Exception:
        problem = traceback.format_exc()
        return Outcome(kind, seed, "lost", "", problem=f"{problem}\n{_kept(lab, problem)}")
    lab.forget(before)
    return outcome._replace(kind=kind)


def _kept(lab: Lab, problem: str) -> str:
    """Keeps the latest trial; returns what is known about it, or why it could not be kept."""
    if lab.latest is None:
        return ""
    try:
        return lab.keep(lab.latest, problem)
    except Exception:
        return f"not kept: {traceback.format_exc()}"


def tries(kind: str, lab: Lab, seed: str, *, faults: int) -> list[Outcome]:
    """Returns tries of a kind until as many faults took place; a try of kills has several."""
    outcomes: list[Outcome] = []
    # A run may end before its fault comes, so that there are more tries than faults; but not for ever.
    while sum(o.faults for o in outcomes) < faults and len(outcomes) < 3 * faults:
        outcome = tried(kind, lab, seed if not outcomes else f"{seed}.{len(outcomes)}")
        print(f"{time.strftime('%H:%M:%S')} {outcome}", file=sys.stderr, flush=True)
        outcomes.append(outcome)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """Returns the outcomes as a Markdown table, and the seeds of what was lost."""
    lines = [
        "| kind | tries | faults | survived | clear error, resumed | lost |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(o.kind for o in outcomes):
        of = [o for o in outcomes if o.kind == kind]
        n = {how: sum(o.how == how for o in of) for how in ("survived", "resumed", "lost")}
        faults = sum(o.faults for o in of)
        cells = [kind, len(of), faults, n["survived"], n["resumed"], n["lost"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lost = [o for o in outcomes if o.how == "lost"]
    lines += [f"\nlost: --only {o.kind} --seed {o.seed} --tries 1\n{o.problem}" for o in lost]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Tries all kinds, or one; returns 0 if nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills of runs and of workers (200)")
    parser.add_argument("--tries", type=int, default=10, help="tries of each other kind (10)")
    parser.add_argument("--seed", default="1", help="draws everything; the same, again")
    parser.add_argument("--only", choices=KINDS, action="append", help="this kind alone")
    parser.add_argument("--posts", type=int, default=1500, help="posts of a run (1500)")
    parser.add_argument(
        "--quick", action="store_true", help="fewer kills in a row, and seldom the slower recipes"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path(".faults-lost"),
        help="a folder for what lost tries left: both outputs, logs, what differs (.faults-lost)",
    )
    parser.add_argument("--table", type=Path, help="a file for the table, too")
    parsed = parser.parse_args()
    faults = dict.fromkeys(parsed.only or KINDS, parsed.tries)
    if not parsed.only:
        faults |= {"kill": round(parsed.kills * 0.85), "kill-workers": round(parsed.kills * 0.15)}
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="sluice-faults-") as folder:
        keep = parsed.keep.resolve()
        lab = Lab(Path(folder), posts=parsed.posts, quick=parsed.quick, keep=keep)
        for kind, n in faults.items():
            outcomes += tries(kind, lab, parsed.seed, faults=n)
    print(table(outcomes))
    if parsed.table:
        parsed.table.write_text(table(outcomes))
    return int(any(o.how == "lost" for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
