"""Break the core on purpose, one line at a time, and see that the tests of the core notice.

Usage: ``python tools/mutants``, from anywhere, with a Python that has the test extra. What is
broken stands in `mutants.toml`. Each mutant is a copy of the package in a temporary directory; the
working tree is never touched. Exit status 1: one survived, or a line is not where it was.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_suffix(".toml")
CORE = Path("asyncflow/_core")
TESTS = Path("tests/core")
COPIED = ("asyncflow", TESTS, "tests/conftest.py", "pyproject.toml")
LAST = ("test_cost", "test_simulation", "test_properties", "test_timetable_oracle")
"""Run after the other tests, because they are slow; most mutants are dead by then."""
TIMEOUT = 120.0
"""Seconds; a mutant that makes the core run for ever counts as caught."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A place in the core, what it is turned into, and what that breaks."""

    module: str
    old: str
    new: str
    breaks: str


def main() -> int:
    """Try the core as it is, then every mutant of it, and print what came of each."""
    mutants = [Mutant(**row) for row in tomllib.loads(TABLE.read_text("utf-8"))["mutant"]]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        wrong = _unsound(Path(folder) / "sound")
        if wrong is not None:
            print(wrong)
            return 1
        return _try_all(Path(folder), mutants)


def _unsound(folder: Path) -> str | None:
    """Say why nothing can be learned from mutants, if it cannot."""
    _copy(folder)
    if _imported(folder) != folder / "asyncflow" / "__init__.py":
        return f"not the copy in {folder} is imported, so no mutant would be"
    status, text = _test(folder)
    return f"{text}\nthe tests fail on the core as it is: mend that first" if status else None


def _try_all(folder: Path, mutants: list[Mutant]) -> int:
    began, caught = time.monotonic(), 0
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        jobs = [(folder / str(number), mutant) for number, mutant in enumerate(mutants)]
        for mutant, (verdict, by) in zip(mutants, pool.map(_try, jobs), strict=True):
            print(f"{verdict:9} {mutant.module:12} {mutant.breaks}", flush=True)
            if by:
                print(f"{'':22} by {by}", flush=True)
            caught += verdict == "caught"
    print(f"{caught} of {len(mutants)} caught in {time.monotonic() - began:.0f} s")
    return int(caught != len(mutants))


def _try(job: tuple[Path, Mutant]) -> tuple[str, str]:
    """Return ``caught`` and by which test, or ``survived``, or what is wrong with the mutant."""
    folder, mutant = job
    source = (ROOT / CORE / mutant.module).read_text("utf-8")
    if source.count(mutant.old) != 1:
        return "not found" if mutant.old not in source else "ambiguous", ""
    _copy(folder)
    broken = source.replace(mutant.old, mutant.new)
    (folder / CORE / mutant.module).write_text(broken, "utf-8")
    status, text = _test(folder)
    shutil.rmtree(folder)
    found = re.search(r"^FAILED \S+::(\w+)", text, re.MULTILINE)
    # 0: all tests passed, 1: some failed; anything else is no answer
    return {0: "survived", 1: "caught"}.get(status, "broken"), found[1] if found else ""


def _copy(folder: Path) -> None:
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def _test(folder: Path) -> tuple[int, str]:
    """Run the core's tests on the package in a folder; return pytest's status and what it said."""
    files = sorted((folder / TESTS).glob("test_*.py"), key=lambda file: (file.stem in LAST, file))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *(str(file.relative_to(folder)) for file in files)],
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"FAILED ::nothing ended in {TIMEOUT:.0f} s"
    return done.returncode, done.stdout + done.stderr


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ASYNCFLOW_PROPERTIES": "core-short",
    }


def _imported(folder: Path) -> Path:
    """Return where a test in the folder finds the package: an installed one must not win."""
    where = [sys.executable, "-c", "import asyncflow; print(asyncflow.__file__)"]
    done = subprocess.run(
        where, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
