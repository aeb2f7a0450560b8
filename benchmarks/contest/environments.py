"""Environments of the peers: made where there are none, in the user's cache, one for each."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.contest.field import OWN, REQUIREMENTS


class Missing(Exception):  # noqa: N818  it is no fault that a peer cannot be installed here
    """An environment cannot be made; the text says why."""


def cache() -> Path:
    """Return where environments are by default."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "asyncflow-benchmarks"


def interpreter(folder: Path, name: str) -> str:
    """Return the interpreter of an environment, which is made if it is not there as wanted."""
    if name == OWN:
        return sys.executable
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = folder / f"{name}-{version}"
    python, stamp = place / "bin" / "python", place / "installed.txt"
    wanted = "\n".join(REQUIREMENTS[name])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return str(python)
    print(f"making an environment for {name}", flush=True)
    venv.create(place, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
    done = subprocess.run(
        [*command, *REQUIREMENTS[name]], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise Missing((lines or done.stderr.splitlines() or ["pip failed"])[-1])
    stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def version(python: str, name: str, imports: str) -> str:
    """Return which version of its peer an environment has; it must also load."""
    (distribution, *_) = re.split(r"[^\w-]", REQUIREMENTS[name][0])
    code = f"import {imports}, importlib.metadata as m; print(m.version('{distribution}'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(done.stderr.splitlines()[-1].partition(" (required by")[0])
    return f"{distribution} {done.stdout.split()[-1]}"
