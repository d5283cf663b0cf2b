"""What the measurements of the main job say: the aims, tables, and the figures in RESULTS.md."""

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.composed import PHASE_OF_STEP, ComposedRun
from benchmarks.page import Aim, aim_table, mib, table
from benchmarks.peer import PeerRun
from benchmarks.process import this_machine
from benchmarks.real_posts import Size
from benchmarks.whole import TRAINING, WholeRun

SCALED_PHASES = ("clean", "tokens")
MULTIPLE = 10
"""Times the posts, on the larger input."""
LEAST_SHARE, LEAST_RATE, LEAST_TIMES_PEER, LEAST_SCALING = 0.6, 60_000, 50, 1.8
LEAST_COUNTED, MOST_MEMORY, MOST_GROWTH = 0.9, 2 << 30, 1.25


class Comparison(NamedTuple):
    """(a) and (b) on the same files."""

    size: Size
    whole: tuple[WholeRun, ...]
    composed: tuple[ComposedRun, ...]

    def cpu_seconds(self, *, workers: int) -> float:
        """Returns the median CPU seconds of (a) with so many workers, but for the BPE's training."""
        return statistics.median(r.cpu_seconds for r in self.whole if r.workers == workers)

    @property
    def limit_seconds(self) -> float:
        """The median CPU seconds of (b)."""
        return statistics.median(r.cpu_seconds for r in self.composed)

    @property
    def workers(self) -> tuple[int, ...]:
        """The numbers of workers that (a) ran with, ascending."""
        return tuple(sorted({r.workers for r in self.whole}))

    def phase_seconds(self, phase: str, *, workers: int) -> float:
        """Returns the median CPU seconds of a phase, but for the BPE's training."""
        training = phase == TRAINING
        return statistics.median(
            r.phase(phase).cpu_seconds - training * r.training_cpu_seconds
            for r in self.whole
            if r.workers == workers
        )

    def wall_seconds(self, phase: str, *, workers: int) -> float:
        """Returns the least wall seconds of a phase."""
        return min(r.phase(phase).seconds for r in self.whole if r.workers == workers)

    def peak_bytes(self, phase: str, *, workers: int) -> int:
        """Returns the most anonymous memory of all processes in a phase."""
        return max(r.phase(phase).peak_rss_bytes for r in self.whole if r.workers == workers)

    def step_seconds(self, step: str) -> float:
        """Returns the median CPU seconds of a step of (b)."""
        return statistics.median(r.steps[step] for r in self.composed)


class MainJob(NamedTuple):
    """All figures of one run of the benchmark.

    Attributes:
        once: on the posts as they are, a tokenizer trained in every run of (a).
        many: on MULTIPLE times the posts, the tokenizer frozen.
    """

    about: str
    once: Comparison
    many: Comparison
    peer: PeerRun | None


def check_outcomes(compared: Comparison) -> None:
    """Raises ValueError unless all runs of (a) and (b) agree on what became of the posts."""
    outcomes = {run.outcome for run in compared.whole}
    outcomes |= {run.outcome for run in compared.composed}
    if len(outcomes) != 1:
        raise ValueError(f"the runs did not do the same job: {sorted(map(str, outcomes))}")


def aims(job: MainJob) -> list[Aim]:
    """Returns the aims, and what was measured."""
    sets = [("1x", job.once), (f"{MULTIPLE}x", job.many)]
    wanted = [aim for name, compared in sets for aim in _speed_aims(name, compared)]
    if job.peer:
        times = _rate(job.once) / (job.peer.posts / job.peer.cpu_seconds)
        what = "times (c), everything but the BPE's training"
        wanted.append(_least(what, times, LEAST_TIMES_PEER))
    wanted += _scaling_aims(job.many, f"{MULTIPLE}x")
    wanted += [aim for name, compared in sets for aim in _memory_aims(name, compared)]
    wanted.append(_flat_aim(job.once, job.many))
    counted = min(run.counted_ratio for _, c in sets for run in c.whole)
    return [*wanted, _least("share of the OS's CPU count that phases own", counted, LEAST_COUNTED)]


def _least(what: str, measured: float, wanted: float) -> Aim:
    digits = 0 if wanted >= 10 else 2
    return Aim(f"{what}: at least {wanted:,}", f"{measured:,.{digits}f}", measured >= wanted)


def _rate(compared: Comparison) -> float:
    """Returns posts per CPU-second of (a), with the most workers, but for the BPE's training."""
    return compared.size.posts / compared.cpu_seconds(workers=compared.workers[-1])


def _speed_aims(name: str, compared: Comparison) -> Iterator[Aim]:
    rate = _rate(compared)
    yield _least(f"{name}: posts per CPU-second but for the BPE's training", rate, LEAST_RATE)
    share = compared.limit_seconds / (compared.size.posts / rate)
    yield _least(f"{name}: share of (b)'s posts per CPU-second", share, LEAST_SHARE)


def _scaling_aims(compared: Comparison, name: str) -> Iterator[Aim]:
    few, most = compared.workers[0], compared.workers[-1]
    for phase in SCALED_PHASES:
        one, more = (compared.wall_seconds(phase, workers=n) for n in (few, most))
        what = f"{name}: {phase}, {most} workers over {few}, wall time"
        yield _least(what, one / more, LEAST_SCALING)


def _phases(compared: Comparison) -> list[str]:
    return [p.name for p in compared.whole[0].phases]


def _memory_aims(name: str, compared: Comparison) -> Iterator[Aim]:
    workers, peaks = compared.workers[-1], _peaks(compared)
    phase = max(peaks, key=lambda p: peaks[p])
    what = f"{name}: peak memory, {workers} workers, every phase but {TRAINING}: under 2,048 MiB"
    yield Aim(what, f"{mib(peaks[phase])} MiB ({phase})", peaks[phase] < MOST_MEMORY)


def _peaks(compared: Comparison) -> dict[str, int]:
    """Returns the most memory of each phase but the training, with the most workers."""
    workers = compared.workers[-1]
    return {p: compared.peak_bytes(p, workers=workers) for p in _phases(compared) if p != TRAINING}


def _flat_aim(once: Comparison, many: Comparison) -> Aim:
    few = _peaks(once)
    growth = {phase: peak / few[phase] for phase, peak in _peaks(many).items()}
    phase = max(growth, key=lambda p: growth[p])
    what = f"peak memory from 1x to {MULTIPLE}x: flat, at most {MOST_GROWTH} times"
    return Aim(what, f"{growth[phase]:.2f} times ({phase})", growth[phase] <= MOST_GROWTH)


def markdown(job: MainJob) -> str:
    """Returns the figures as Markdown."""
    return "\n".join(
        [
            job.about,
            f"{this_machine()}.",
            "",
            *aim_table(aims(job)),
            "",
            *_comparison(job.once, "1x, tokenizer trained", repeats=True),
            "",
            *_comparison(job.many, f"{MULTIPLE}x, tokenizer frozen", repeats=False),
            "",
            *_fixed(job.once, job.many),
            *(["", *_peer(job.peer)] if job.peer else []),
        ]
    )


def _comparison(compared: Comparison, title: str, *, repeats: bool) -> list[str]:
    size, outcome = compared.size, compared.whole[0].outcome
    loads = ", ".join(f"{run.usage.load_before:.1f}" for run in compared.whole)
    times = f"medians of {len(compared.composed)} runs" if repeats else "one run"
    return [
        f"### {title}",
        f"{size.posts:,} posts, {size.bytes / 1e6:,.0f} MB of JSON; {outcome.kept:,} kept, "
        f"{outcome.duplicates:,} duplicates, {outcome.tokens:,} tokens, by (a) and (b) alike. "
        f"CPU seconds are {times}; load average before each run of (a): {loads}.",
        "",
        *(line for n in compared.workers for line in [*_phase_table(compared, workers=n), ""]),
        *_step_table(compared),
    ]


def _phase_table(compared: Comparison, *, workers: int) -> list[str]:
    """Rates count the posts and MB that the run read, so that the phases' times add up."""
    rows = []
    for phase in _phases(compared):
        limit = sum(compared.step_seconds(s) for s, p in PHASE_OF_STEP.items() if p == phase)
        seconds = compared.phase_seconds(phase, workers=workers)
        peak = mib(compared.peak_bytes(phase, workers=workers))
        wall = f"{compared.wall_seconds(phase, workers=workers):.1f}"
        rows.append((phase, *_rates(compared.size, seconds), f"{limit:.2f}", wall, peak))
    total = compared.cpu_seconds(workers=workers)
    limit = compared.limit_seconds
    rows.append(("**all**", *_rates(compared.size, total), f"{limit:.2f}", "", ""))
    columns = ("posts per CPU-s", "MB per CPU-s", "(b) CPU s", "wall s", "peak MiB")
    head = (f"(a), {workers} worker{'s' * (workers > 1)}", "CPU s", *columns)
    training = statistics.median(run.training_cpu_seconds for run in compared.whole)
    note = f"Without the BPE's training, {training:.1f} CPU s; its memory is in the row vocabulary."
    return [*table(head, rows), *(["", note] if training else [])]


def _rates(size: Size, seconds: float) -> tuple[str, str, str]:
    per_second = 1 / max(seconds, 1e-9)
    rates = (size.posts * per_second, size.bytes / 1e6 * per_second)
    return f"{seconds:.2f}", f"{rates[0]:,.0f}", f"{rates[1]:,.1f}"


def _step_table(compared: Comparison) -> list[str]:
    total = compared.limit_seconds
    rows = []
    for step, phase in PHASE_OF_STEP.items():
        seconds = compared.step_seconds(step)
        usec = seconds / compared.size.posts * 1e6
        rows.append((step, phase, f"{seconds:.2f}", f"{usec:.2f}", f"{seconds / total:.0%}"))
    rate = f"{compared.size.posts / total:,.0f} posts per CPU-second"
    usec = total / compared.size.posts * 1e6
    rows.append(("**all**", rate, f"{total:.2f}", f"{usec:.2f}", "100%"))
    return table(("(b) step", "phase", "CPU s", "us per post read", "share"), rows)


def _fixed(once: Comparison, many: Comparison) -> list[str]:
    workers = many.workers[-1]
    few, most = once.cpu_seconds(workers=workers), many.cpu_seconds(workers=workers)
    each = (most - few) / (many.size.posts - once.size.posts)
    start = few - each * once.size.posts
    return [
        f"By the two sizes, a run of (a) costs {start:.1f} CPU s whatever it reads, and "
        f"{each * 1e6:.1f} us per post: {1 / each:,.0f} posts per CPU-second on inputs without end."
    ]


def _peer(peer: PeerRun) -> list[str]:
    rate = peer.posts / peer.cpu_seconds
    rows = [(name, f"{s:.1f}", f"{peer.posts / s:,.0f}") for name, s in peer.steps.items()]
    rows.append(("**all**", f"{peer.cpu_seconds:.1f}", f"{rate:,.0f}"))
    return [
        f"### (c) datatrove {peer.datatrove}",
        f"A sample of {peer.posts:,} of the posts, {peer.kept:,} kept, {peer.tokens:,} tokens; one "
        f"process, imports not counted (with them {peer.usage.cpu_seconds:.1f} CPU s); load average "
        f"before {peer.usage.load_before:.1f}.",
        "",
        *table(("(c) stage", "CPU s", "posts per CPU-s"), rows),
    ]
