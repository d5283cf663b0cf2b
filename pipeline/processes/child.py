"""Processes that die with the run that started them.

`python -m sluice.pipeline.processes.child PID MODULE ARGUMENTS` is how they start.

When the run ends, by any signal, the kernel ends its children in the same moment (Linux), so that
nothing writes to an output that no run holds, and no training runs on without one.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when the thread that started it ends."""


def command(module: str, *arguments: str) -> list[str]:
    """Returns the command line of a module's process; the thread that starts it must wait for it."""
    this = [sys.executable, "-P", "-m", "sluice.pipeline.processes.child", str(os.getpid())]
    return [*this, module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Returns the environment of a child: it imports what this process would, wherever it is started."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def die_with(parent: int) -> None:
    """Asks the kernel to kill this process when its parent ends; ends it where it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that asked for this one has ended")


def describe_exit(pid: int, code: int) -> str:
    """Returns how a worker ended, and what to do, from its return code as `Popen` has it."""
    again = "finished units are kept: run the same command again"
    if code == -signal.SIGKILL:
        return (
            f"worker process {pid} was killed (SIGKILL), as by a system that is out of memory; {again}, "
            f"with more memory or fewer processes (--workers N)"
        )
    if code < 0:
        return f"worker process {pid} was killed by {signal.Signals(-code).name}; {again}"
    return (
        f"worker process {pid} ended with exit code {code}; {again}, "
        f"with SLUICE_DEBUG=1 to see what the worker prints"
    )


def main() -> None:
    """Runs the module as `python -m` does."""
    _, parent, module, *arguments = sys.argv
    die_with(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
