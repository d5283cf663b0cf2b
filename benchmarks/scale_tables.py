"""What `benchmarks.dedup_scale` measured, as Markdown, and its sections of a page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import page as pages
from benchmarks.page import table
from benchmarks.process import Machine
from benchmarks.results import MOST_MEMORY, Aim
from benchmarks.scale_run import ScaleRun

MOST_GROWTH = 1.2
"""CPU time per post, of the largest size over the smallest: linear is 1, and runs differ by a tenth."""
TITLES = {
    "sample": "Scale: synthetic posts",
    "real": "Scale: real posts and copies of them with other words",
    "template": "Scale: one template",
}


def update(page: Path, kind: str, text: str) -> None:
    """Replaces a kind's figures in a page: see `benchmarks.page.update`."""
    pages.update(page, text, name=f"dedup_scale, {kind}", title=TITLES[kind])


def markdown(
    runs: Sequence[ScaleRun], *, command: str, machine: Machine, failed: Sequence[str] = ()
) -> str:
    """Returns the figures of a kind.

    Args:
        runs: corpus by corpus, sizes ascending.
        command: that measured them.
        machine: where.
        failed: what to say of the sizes that did not end.
    """
    names = list(dict.fromkeys(run.corpus for run in runs))
    corpora = {name: [run for run in runs if run.corpus == name] for name in names}
    rows = [
        (a.what, a.measured, "yes" if a.met else "**no**") for n in names for a in aims(corpora[n])
    ]
    lines = [
        f"`{command}`, {' and '.join(sorted({run.date for run in runs}))}.",
        f"{machine}.",
        "",
        *table(("aim", "measured", "met"), rows),
    ]
    for name in names:
        lines += ["", f"### {name}", "", *_phases(corpora[name]), "", *_work(corpora[name])]
    lines += [line for sentence in failed for line in ("", sentence)]
    return "\n".join(lines)


def aims(runs: Sequence[ScaleRun]) -> list[Aim]:
    """Returns the aims of one corpus, checked on its largest size; the time per post needs two sizes."""
    first, last = runs[0], runs[-1]
    peaks = {p.name: p.anonymous_bytes for p in last.measured.peaks}
    peaks = {p.name: max(peaks[p.name], p.peak_rss_bytes) for p in last.measured.whole.phases}
    most = max(peaks, key=lambda name: peaks[name])
    what = f"{last.corpus}, {last.measured.whole.outcome.read:,} posts: anonymous memory"
    found = [
        Aim(
            f"{what} in {name}: under 2,048 MiB",
            f"{_mib(peaks[phase])} MiB{f' ({phase})' if name == 'any phase' else ''}",
            peaks[phase] < MOST_MEMORY,
        )
        for name, phase in (("dedup", "dedup"), ("any phase", most))
    ]
    if len(runs) > 1:
        growth = _cpu_usec(last) / _cpu_usec(first)
        sizes = f"{last.asked:,} over {first.asked:,}"
        what = f"{last.corpus}, {sizes}: CPU time of dedup a post: at most {MOST_GROWTH} times"
        found.append(Aim(what, f"{growth:.2f} times", growth <= MOST_GROWTH))
    return found


def _cpu_usec(run: ScaleRun) -> float:
    return run.measured.whole.phase("dedup").cpu_seconds / max(run.dedup.posts, 1) * 1e6


def _further_usec(runs: Sequence[ScaleRun], run: ScaleRun) -> str:
    """Returns the CPU time of dedup per post more than the size before: what a run costs anyway is out."""
    at = runs.index(run)
    if not at:
        return ""
    seconds = [r.measured.whole.phase("dedup").cpu_seconds for r in runs[at - 1 : at + 1]]
    posts = run.dedup.posts - runs[at - 1].dedup.posts
    return f"{(seconds[1] - seconds[0]) / max(posts, 1) * 1e6:.2f}"


def _mib(num_bytes: float) -> str:
    return f"{num_bytes / (1 << 20):,.0f}"


def _mb(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.1f}"


def _phases(runs: Sequence[ScaleRun]) -> list[str]:
    """One row per size and phase; rates divide what the phase read."""
    rows = []
    for run in runs:
        peaks = {p.name: p for p in run.measured.peaks}
        for phase in run.measured.whole.phases:
            peak = peaks[phase.name]
            held = (phase.peak_rss_bytes, peak.anonymous_bytes, peak.resident_bytes)
            costs = (f"{phase.seconds:,.1f}", f"{phase.cpu_seconds:,.1f}")
            rate = f"{phase.posts / max(phase.cpu_seconds, 1e-3):,.0f}"
            about = (f"{run.asked:,}", phase.name, f"{phase.posts:,}")
            rows.append((*about, *costs, rate, *map(_mib, held)))
    head = ("size", "phase", "posts", "wall s", "CPU s", "posts per CPU-s")
    memory = ("anonymous MiB (report.json)", "anonymous MiB (watched)", "resident MiB (watched)")
    return table((*head, *memory), rows)


def _work(runs: Sequence[ScaleRun]) -> list[str]:
    """One row per figure, one column per size."""
    rows: list[tuple[str, Callable[[ScaleRun], str]]] = [
        ("posts read", lambda r: f"{r.measured.whole.outcome.read:,}"),
        ("posts that dedup gets", lambda r: f"{r.dedup.posts:,}"),
        ("load average before", lambda r: f"{r.measured.whole.usage.load_before:.1f}"),
        ("CPU of dedup, us per post", lambda r: f"{_cpu_usec(r):.2f}"),
        ("times that of the smallest size", lambda r: f"{_cpu_usec(r) / _cpu_usec(runs[0]):.2f}"),
        ("us per post more than the size before", lambda r: _further_usec(runs, r)),
        ("wall time of dedup, us per post", lambda r: f"{_wall_usec(r):.2f}"),
        ("components", lambda r: f"{r.dedup.components:,}"),
        ("posts in the largest", lambda r: f"{r.dedup.largest_component:,}"),
        *((n, lambda r, n=n: f"{r.dedup.counts.get(n, 0):,}") for n in _names(runs, "counts")),
        *(
            (f"duplicates, {n}", lambda r, n=n: f"{r.dedup.duplicates.get(n, 0):,}")
            for n in _names(runs, "duplicates")
        ),
        *(
            (f"MB of {n}", lambda r, n=n: _mb(r.dedup.file_bytes.get(n, 0)))
            for n in _names(runs, "file_bytes")
        ),
        ("MB on the disk, work and output", lambda r: _mb(r.measured.output_bytes)),
        ("MB of input, compressed", lambda r: _mb(r.measured.input_bytes)),
        ("peak resident MiB (VmHWM)", lambda r: _mib(r.measured.high_water_bytes)),
        *(
            (f"wall s of stage {n}", lambda r, n=n: _stage_seconds(r, n))
            for n in dict.fromkeys(s.name for r in runs for s in r.dedup.stages)
        ),
    ]
    head = ("", *(f"{run.asked:,}" for run in runs))
    return table(head, [(name, *map(figure, runs)) for name, figure in rows])


def _names(runs: Sequence[ScaleRun], table: str) -> list[str]:
    """Returns the keys of a table of counts, in the order in which they first come."""
    return list(dict.fromkeys(name for run in runs for name in getattr(run.dedup, table)))


def _wall_usec(run: ScaleRun) -> float:
    return run.measured.whole.phase("dedup").seconds / max(run.dedup.posts, 1) * 1e6


def _stage_seconds(run: ScaleRun, name: str) -> str:
    return next((f"{s.seconds:,.1f}" for s in run.dedup.stages if s.name == name), "")
