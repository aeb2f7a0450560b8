"""Has the type checkers look at tests/typing/wrong_calls.py: they must reject each marked line.

    python tools/wrong_calls.py

Each checker must reject every line that says ``# wrong``, and no other.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
CALLS = "tests/typing/wrong_calls.py"
MARK = "  # wrong: "


def output(*command: str) -> str:
    """Return what a module of this Python prints, run at the root of the repository."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode not in {0, 1}:  # 1: it has rejected something
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def by_mypy() -> set[int]:
    """Return the numbers of the lines that mypy rejects."""
    found = output("mypy", "--strict", CALLS)
    error = rf"^{re.escape(CALLS)}:(\d+): error: "
    return {int(line) for line in re.findall(error, found, re.MULTILINE)}


def by_pyright() -> set[int]:
    """Return the numbers of the lines that pyright rejects.

    It leaves out what the project's settings exclude, even if it is named: so it gets a copy.
    """
    settings = {
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    with TemporaryDirectory() as folder:
        shutil.copy(ROOT / CALLS, folder)
        (Path(folder) / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        options = ("--project", folder, "--pythonpath", sys.executable, "--outputjson")
        found = json.loads(output("pyright", *options))
    if found["summary"]["filesAnalyzed"] != 1:
        raise RuntimeError(f"pyright has not looked at one file: {found['summary']}")
    return {each["range"]["start"]["line"] + 1 for each in found["generalDiagnostics"]}


CHECKERS: dict[str, Callable[[], set[int]]] = {"mypy": by_mypy, "pyright": by_pyright}


def main() -> int:
    """Print what is not as it must be; return 1 if there is anything."""
    lines = (ROOT / CALLS).read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if MARK in line}
    bad = False
    for name, checker in CHECKERS.items():
        rejected = checker()
        for number in sorted(wrong ^ rejected):
            what = "accepts" if number in wrong else "rejects"
            print(f"{CALLS}:{number}: {name} {what} {lines[number - 1].strip()}")
            bad = True
    if not bad:
        print(f"{len(wrong)} wrong calls are rejected by {' and '.join(CHECKERS)}")
    return 1 if bad or not wrong else 0


if __name__ == "__main__":
    sys.exit(main())
