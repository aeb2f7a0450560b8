"""Which processes of this machine are alive: a runner's row outlives a killed process."""

import os
import socket
from pathlib import Path
from typing import Final

from asyncflow._store.batch import RunnerRow

HOST: Final = socket.gethostname()

ENDED: Final = "ended"

_open_runners: Final[set[str]] = set()


def identity(pid: int) -> str:
    """Return what tells a process from a later one with its number; "" where unknown.

    The time of its start, in clock ticks since boot (field 22 of proc_pid_stat(5)), and the boot.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    # The name of the program, in brackets, may itself hold brackets and spaces.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:  # it has ended, its parent has not asked how
        return ENDED
    return f"{boot}/{fields[19]}"


def _here() -> str:
    """Return the host, and which of its spaces of process numbers: containers have their own."""
    try:
        return f"{HOST}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return HOST


HERE: Final = _here()


def enter(runner: str) -> None:
    """Note that this process works as ``runner``."""
    _open_runners.add(runner)


def leave(runner: str) -> None:
    """Note that it does not any more."""
    _open_runners.discard(runner)


def is_gone(row: RunnerRow) -> bool:
    """Say whether a runner's process has certainly ended.

    A runner on another host, or in another container, may live: nothing here can tell.
    """
    if row.host not in {HERE, HOST}:  # the latter where an earlier version wrote it
        return False
    if row.pid == os.getpid() and row.process == identity(row.pid):
        return row.id not in _open_runners
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, as another user
    return row.process != identity(row.pid)
