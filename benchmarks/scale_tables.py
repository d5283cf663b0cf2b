"""What `benchmarks.dedup_scale` measured, as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from benchmarks.page import Aim, aim_table, mib, table
from benchmarks.process import this_machine
from benchmarks.results import MOST_MEMORY
from benchmarks.scale_run import ScaleRun

MOST_GROWTH = 1.2
"""CPU time per post, of the largest size over the smallest: linear is 1, and runs differ by a tenth."""
TITLES = {
    "sample": "Scale: synthetic posts",
    "real": "Scale: real posts and copies of them with other words",
    "template": "Scale: one template",
}


def markdown(runs: Sequence[ScaleRun], *, about: str) -> str:
    """Returns the figures of a kind.

    Args:
        runs: corpus by corpus, sizes ascending.
        about: the command and the date.
    """
    names = list(dict.fromkeys(run.corpus for run in runs))
    corpora = {name: [run for run in runs if run.corpus == name] for name in names}
    wanted = [aim for name in names for aim in aims(corpora[name])]
    lines = [about, f"{this_machine()}.", "", *aim_table(wanted)]
    for name in names:
        lines += ["", f"### {name}", "", *_phases(corpora[name]), "", *_work(corpora[name])]
    return "\n".join(lines)


def aims(runs: Sequence[ScaleRun]) -> list[Aim]:
    """Returns the aims of one corpus, checked on its largest size; the time per post needs two sizes."""
    first, last = runs[0], runs[-1]
    peaks = {p.name: p.anonymous_bytes for p in last.peaks}
    peaks = {p.name: max(peaks[p.name], p.peak_rss_bytes) for p in last.whole.phases}
    most = max(peaks, key=lambda name: peaks[name])
    what = f"{last.corpus}, {last.whole.outcome.read:,} posts: anonymous memory"
    found = [
        Aim(f"{what} in {name}: under 2,048 MiB", f"{mib(held)} MiB{which}", held < MOST_MEMORY)
        for name, held, which in (
            ("dedup", peaks["dedup"], ""),
            ("any phase", peaks[most], f" ({most})"),
        )
    ]
    if len(runs) > 1:
        growth = _cpu_usec(last) / _cpu_usec(first)
        sizes = f"{last.asked:,} over {first.asked:,}"
        what = f"{last.corpus}, {sizes}: CPU time of dedup a post: at most {MOST_GROWTH} times"
        found.append(Aim(what, f"{growth:.2f} times", growth <= MOST_GROWTH))
    return found


def _usec(seconds: float, posts: int) -> float:
    return seconds / max(posts, 1) * 1e6


def _cpu_usec(run: ScaleRun) -> float:
    dedup = run.whole.phase("dedup")
    return _usec(dedup.cpu_seconds, dedup.posts)


def _further_usec(runs: Sequence[ScaleRun]) -> list[str]:
    """Returns the CPU time of dedup per post more than the size before: what a run costs anyway is out."""
    pairs = pairwise(run.whole.phase("dedup") for run in runs)
    more = [_usec(b.cpu_seconds - a.cpu_seconds, b.posts - a.posts) for a, b in pairs]
    return ["", *(f"{usec:.2f}" for usec in more)]


def _mb(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.1f}"


def _phases(runs: Sequence[ScaleRun]) -> list[str]:
    """One row per size and phase; rates divide what the phase read."""
    rows = []
    for run in runs:
        for phase, peak in zip(run.whole.phases, run.peaks, strict=True):
            held = (phase.peak_rss_bytes, peak.anonymous_bytes, peak.resident_bytes)
            costs = (f"{phase.seconds:,.1f}", f"{phase.cpu_seconds:,.1f}")
            rate = f"{phase.posts / max(phase.cpu_seconds, 1e-3):,.0f}"
            rows.append((run.asked, phase.name, phase.posts, *costs, rate, *map(mib, held)))
    head = ("size", "phase", "posts", "wall s", "CPU s", "posts per CPU-s")
    memory = ("anonymous MiB (report.json)", "anonymous MiB (watched)", "resident MiB (watched)")
    return table((*head, *memory), rows)


def _work(runs: Sequence[ScaleRun]) -> list[str]:
    """One row per figure, one column per size."""

    def row(name: str, figure: Callable[[ScaleRun], object]) -> list[object]:
        return [name, *map(figure, runs)]

    def rows(
        name: str,
        values: Callable[[ScaleRun], Mapping[str, float]],
        show: Callable[[float], str],
        none: str,
    ) -> list[list[object]]:
        """Returns a row per key, in the order in which they first come."""
        keys = dict.fromkeys(key for run in runs for key in values(run))
        shown = [{key: show(value) for key, value in values(run).items()} for run in runs]
        return [[name.format(key), *(some.get(key, none) for some in shown)] for key in keys]

    least = _cpu_usec(runs[0])
    return table(
        ("", *(f"{run.asked:,}" for run in runs)),
        [
            row("posts read", lambda r: r.whole.outcome.read),
            row("posts that dedup gets", lambda r: r.whole.phase("dedup").posts),
            row("load average before", lambda r: f"{r.whole.usage.load_before:.1f}"),
            row("CPU of dedup, us per post", lambda r: f"{_cpu_usec(r):.2f}"),
            row("times that of the smallest size", lambda r: f"{_cpu_usec(r) / least:.2f}"),
            ["us per post more than the size before", *_further_usec(runs)],
            row("wall time of dedup, us per post", _wall_usec),
            row("components", lambda r: r.dedup.components),
            row("posts in the largest", lambda r: r.dedup.largest_component),
            *rows("{}", lambda r: r.dedup.counts, "{:,}".format, "0"),
            *rows("duplicates, {}", lambda r: r.whole.duplicates, "{:,}".format, "0"),
            *rows("MB of {}", lambda r: r.dedup.file_bytes, _mb, "0.0"),
            row("MB on the disk, work and output", lambda r: _mb(r.output_bytes)),
            row("MB of input, compressed", lambda r: _mb(r.input_bytes)),
            row("peak resident MiB (VmHWM)", lambda r: mib(r.high_water_bytes)),
            *rows("wall s of stage {}", lambda r: r.dedup.stages, "{:,.1f}".format, ""),
        ],
    )


def _wall_usec(run: ScaleRun) -> str:
    dedup = run.whole.phase("dedup")
    return f"{_usec(dedup.seconds, dedup.posts):.2f}"
