"""A signal that was acknowledged outlives kill -9 of whoever waits, and of whoever signals."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from asyncflow import Client, Event, EventClosedError, EventPhase, EventTimedOutError
from tests.system.signalled import NAME, PAYLOAD

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("signalled.py")
POINTS = (
    "store.commit.before",
    "store.commit.after",
    "driver.decide.after",
    "driver.dispatch.before",
    "driver.dispatch.after",
    "event.open.before",
    "event.wait.before",
)
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Scene:
    """A database, and what is written down outside of it."""

    database: Path
    log: Path

    def begin(
        self, role: str, failpoint: str = "", timeout: str | None = None
    ) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "ASYNCFLOW_FAILPOINT": failpoint,
            "PYTHONPATH": str(ROOT),  # for what tests share
        }
        arguments = [str(self.database), str(self.log), role, *([timeout] if timeout else [])]
        command = [sys.executable, "-W", "error", str(PROGRAM), *arguments]
        return subprocess.Popen(command, env=environment)

    def run(self, role: str, failpoint: str = "", timeout: str | None = None) -> int:
        return self.begin(role, failpoint, timeout).wait(60)

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def select(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(sql).fetchall()

    def check(self, acknowledged: bool) -> None:
        """See that the signal was taken once, that its waiter got it, and rules heard it once."""
        lines = self.lines()
        assert f"got {PAYLOAD}" in lines
        assert set(lines) <= {f"got {PAYLOAD}", f"taken {PAYLOAD}"}
        assert not acknowledged or f"taken {PAYLOAD}" in lines
        states = self.select("SELECT phase, value FROM awaited_event WHERE name = 'approve'")
        assert states == [("SUCCEEDED", str(PAYLOAD))]
        events = self.select("SELECT value FROM event WHERE key = 'approve'")
        assert events == [(str(PAYLOAD),)]
        runs = self.select("SELECT task, seq, status FROM task_execution ORDER BY task")
        assert runs == [("asks", 1, "SUCCESS"), ("hears", 1, "SUCCESS")]
        assert self.select("SELECT count(*) FROM inbox") == [(0,)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "flows.db", tmp_path / "log")


def kill_runner(scene: Scene, role: str, failpoint: str) -> int:
    """Kill a runner there, start the next one, and see it through; say how the first ended."""
    other = scene.begin("signal") if role == "run" else None
    first = scene.run(role, failpoint)
    assert scene.run(role) == 0
    if other is not None:
        assert other.wait(30) == 0
    scene.check(acknowledged=True)
    return first


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("role", "failpoint"),
    [
        ("run", "event.open.before:1:kill"),
        ("run", "event.wait.before:1:kill"),
        ("both", "driver.dispatch.before:4:kill"),
        ("both", "store.commit.before:4:kill"),
        ("both", "store.commit.after:5:kill"),
    ],
)
def test_an_acknowledged_signal_reaches_its_task_through_kill_9_of_the_runner(
    scene: Scene, role: str, failpoint: str
) -> None:
    assert kill_runner(scene, role, failpoint) == KILLED


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["run", "both"])
@pytest.mark.parametrize("point", POINTS)
def test_an_acknowledged_signal_reaches_its_task_wherever_the_runner_is_killed(
    tmp_path: Path, role: str, point: str
) -> None:
    number, ended = 0, KILLED
    while ended == KILLED:
        number += 1
        scene = Scene(tmp_path / f"{number}.db", tmp_path / f"{number}.log")
        ended = kill_runner(scene, role, f"{point}:{number}:kill")

    assert ended == 0
    assert number > 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("point", ["store.commit.before", "store.commit.after"])
def test_a_signal_whose_sender_is_killed_is_there_or_not_and_can_be_sent_again(
    scene: Scene, point: str
) -> None:
    runner = scene.begin("run")

    killed = scene.run("signal", f"{point}:1:kill")
    lines = scene.lines()
    again = scene.run("signal")

    assert killed == KILLED
    assert f"taken {PAYLOAD}" not in lines
    assert (again, runner.wait(30)) == (0, 0)
    scene.check(acknowledged=True)


def asked(client: Client, name: str = "approve") -> Event[int]:
    event = client.event(name, NAME)
    assert event is not None
    return event


@pytest.mark.timeout(60)
def test_a_signal_while_no_runner_is_up_is_applied_when_one_starts(scene: Scene) -> None:
    first = scene.run("run", "event.wait.before:1:kill")
    with Client(scene.database) as client:
        asked(client).signal(PAYLOAD, by="ann")
        waiting = asked(client)
        payload = waiting.wait()

    assert first == KILLED
    assert (payload, waiting.signalled_by) == (PAYLOAD, "ann")
    assert scene.run("run") == 0
    scene.check(acknowledged=False)


@pytest.mark.timeout(60)
def test_a_time_that_is_over_while_no_runner_is_up_is_over_for_everybody(scene: Scene) -> None:
    first = scene.run("run", "event.wait.before:1:kill", "300ms")
    with Client(scene.database) as client:
        with pytest.raises(EventTimedOutError):
            asked(client).wait()
        with pytest.raises(EventClosedError):
            asked(client).signal(PAYLOAD)
        phase = asked(client).phase

    assert (first, phase) == (KILLED, EventPhase.TIMED_OUT)
    assert scene.run("run", timeout="300ms") == 0
    assert scene.lines() == ["timed out"]
    assert scene.select("SELECT count(*) FROM event WHERE key = 'approve'") == [(0,)]


@pytest.mark.timeout(60)
def test_a_signal_in_time_wins_over_a_timeout_that_passed_before_the_restart(
    scene: Scene,
) -> None:
    first = scene.run("run", "event.wait.before:1:kill", "1s")
    with Client(scene.database) as client:
        asked(client).signal(PAYLOAD)
        with pytest.raises(EventTimedOutError):
            asked(client, "other").wait()  # its time is over a little later

    assert first == KILLED
    assert scene.run("run", timeout="1s") == 0
    assert scene.lines() == [f"got {PAYLOAD}"]
