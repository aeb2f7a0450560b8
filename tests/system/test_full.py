"""A disk that is full for a while: one clear error, reads go on, and so does work afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]

# A file system of its own, of 16 MB: as root just so, else in a namespace where we are root.
MOUNT = 'mount -t tmpfs -o size=16m tmpfs "$1" && shift && exec "$@"'
AS_ROOT = ("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")


def mounting(folder: Path) -> list[str]:
    """Return the beginning of a command that runs the rest with a small disk at the folder."""
    said = list[str]()
    for namespace in AS_ROOT:
        command = [*namespace, "sh", "-c", MOUNT, "sh", str(folder)]
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return command
        said.append(tried.stderr.strip())
    pytest.fail(f"no small disk can be made here, run the tests where `unshare` may mount: {said}")


@pytest.mark.parametrize("way", ["few_pages", "small_files", "full_disk"])
def test_work_goes_on_when_a_full_disk_has_space_again(tmp_path: Path, way: str) -> None:
    before = mounting(tmp_path) if way == "full_disk" else []
    places = os.pathsep.join(map(str, [ROOT, *sys.path]))
    program = [sys.executable, "-m", "tests.system.full", str(tmp_path / "flows.db"), way]

    ran = subprocess.run(
        [*before, *program],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert len(told["refused"]) == 3
    assert all("flows.db cannot grow, the disk is full" in text for text in told["refused"])
    assert len(told["errors"]) == 1
    assert "a transaction failed" in told["errors"][0]
    assert told["refused"][0] in told["errors"][0]
    assert "the store takes transactions again" in told["infos"]
    assert told["names"] == ["running"]
    assert told["ran"] == ["first", "second"] * 2
    assert told["ends"] == ["SUCCESS", "SUCCESS"]
    assert told["whole"] == [["ok"]]
