"""How many processes a machine has room for."""

import os
from pathlib import Path

import pytest

from sluice.pipeline.processes import cores


def groups(monkeypatch: pytest.MonkeyPatch, folder: Path, own: str, files: dict[str, str]) -> None:
    """Makes the machine one whose cgroups are those of a folder."""
    for name, text in files.items():
        path = folder / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "own").write_text(own)
    monkeypatch.setattr(cores, "_CGROUP", folder / "sys")
    monkeypatch.setattr(cores, "_OWN", folder / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


VERSION_2 = {
    "a/b/cpu.max": "max 100000",
    "a/cpu.max": "350000 100000",
    "a/b/memory.max": "4000000000",
    "a/b/memory.stat": "anon 1000000000\nfile 2000000000",
    "a/memory.max": "max",
    "a/memory.stat": "anon 1000000000",
}
VERSION_1 = {
    "cpu/a/cpu.cfs_quota_us": "350000",
    "cpu/a/cpu.cfs_period_us": "100000",
    "cpu/cpu.cfs_quota_us": "-1",
    "memory/a/memory.limit_in_bytes": "4000000000",
    "memory/a/memory.stat": "total_rss 1000000000",
}
WHOLE_CPU = {"cpu/cpu.cfs_quota_us": "350000", "cpu/cpu.cfs_period_us": "100000"}
"""A container that sees its own group as the root."""


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/a/b\n", VERSION_2),
        ("4:memory:/a\n1:cpu:/a\n0::/\n", VERSION_1),
        ("4:memory:/a\n1:cpu,cpuacct:/gone\n", {**VERSION_1, **WHOLE_CPU}),
    ],
)
def test_a_container_s_limits_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, str]
) -> None:
    """Of 16 cores a group with the time of 3.5 has 4; of 4 GB, with 1 held, 3 are free."""
    groups(monkeypatch, tmp_path, own, files)
    assert cores.usable_cores() == 4
    assert cores.free_memory() == 3_000_000_000
    assert cores.fitting_processes() == min(4, 3_000_000_000 // cores.WORKER_BYTES)


def test_memory_bounds_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for two processes there are two, whatever the cores; and always one."""
    groups(monkeypatch, tmp_path, "", {})
    assert cores.usable_cores() == 16
    for free, fitting in ((2 * cores.WORKER_BYTES, 2), (0, 1), (None, 16)):
        monkeypatch.setattr(cores, "free_memory", lambda free=free: free)
        assert cores.fitting_processes() == fitting


def test_a_process_may_be_bound_to_some_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`taskset` and a cpuset leave as many as they name."""
    groups(monkeypatch, tmp_path, "", {})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7})
    assert cores.usable_cores() == 2
