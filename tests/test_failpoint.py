"""Failpoints: free when off, exact when armed, and each declared one is really passed somewhere."""

import ast
import asyncio
import dis
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from asyncflow import _failpoint
from asyncflow._failpoint import POINTS, VARIABLE, FailpointError, armed, hit
from asyncflow.errors import StoreError, UsageError

ROOT = Path(__file__).resolve().parent.parent
PASS_THREE_TIMES = """
from asyncflow._failpoint import hit
for number in (1, 2, 3):
    print(number, flush=True)
    hit("task.body.after")
"""
VERB = re.compile(r"store\.\w+|migration")  # what the stores hand down to `hit(f"{point}.before")`


def passed() -> Iterator[str]:
    """Yield each name that the package passes to `hit`."""
    verbs, endings = set[str](), set[str]()
    for path in (ROOT / "asyncflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name("hit"), [ast.Constant(str(name))]):
                    yield name
                case ast.Call(
                    ast.Name("hit"), [ast.JoinedStr([ast.FormattedValue(), ast.Constant(ending)])]
                ):
                    endings.add(str(ending))
                case ast.Call(ast.Name("hit")):
                    pytest.fail(f"{path}:{node.lineno}: write the name of the point there")
                case ast.Constant(str(text)) if VERB.fullmatch(text):
                    verbs.add(text)
                case _:
                    pass
    yield from (verb + ending for verb, ending in product(verbs, endings))


def run(spec: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PASS_THREE_TIMES],
        env={**os.environ, VARIABLE: spec, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )


def test_every_point_that_is_passed_is_declared() -> None:
    assert set(passed()) - POINTS == set()


def test_every_point_that_is_declared_is_passed() -> None:
    assert POINTS - set(passed()) == set()


def test_a_point_that_is_off_looks_at_one_switch_and_returns() -> None:
    off = [each.opname for each in dis.get_instructions(hit)]

    assert _failpoint._switch.armed is None
    assert len(off) < 25
    hit("not even declared")


def test_a_point_acts_at_the_pass_that_is_named_and_at_no_other() -> None:
    with armed("task.body.after:2:raise,task.start.before:1:raise") as passes:
        hit("task.body.after")
        with pytest.raises(FailpointError, match=r"task\.body\.after .* at pass 2"):
            hit("task.body.after")
        hit("task.body.after")

        assert passes == {"task.body.after": 3}


def test_one_point_may_act_at_several_passes() -> None:
    with armed(" task.body.after:1:raise, task.body.after:2:cancel ,") as passes:
        with pytest.raises(FailpointError):
            hit("task.body.after")
        with pytest.raises(asyncio.CancelledError):
            hit("task.body.after")
        hit("task.body.after")

        assert passes["task.body.after"] == 3


def test_what_a_store_raises_is_an_error_of_the_store() -> None:
    with armed("store.commit.before:1:raise,driver.decide.after:1:raise"):
        with pytest.raises(StoreError, match=r"store\.commit\.before"):
            hit("store.commit.before")
        with pytest.raises(FailpointError) as caught:
            hit("driver.decide.after")

    assert not isinstance(caught.value, StoreError)


def test_arming_ends_with_its_block() -> None:
    with armed("task.body.after:1:raise"):
        with armed() as inner:
            hit("task.body.after")
        with pytest.raises(FailpointError):
            hit("task.body.after")
    hit("task.body.after")

    assert inner == {"task.body.after": 1}
    assert _failpoint._switch.armed is None


def test_passes_on_many_threads_are_counted_each_once() -> None:
    def passes_that_raise(_: int) -> int:
        raised = 0
        for _ in range(1000):
            try:
                hit("store.commit.after")
            except FailpointError:
                raised += 1
        return raised

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with armed("store.commit.after:7777:raise") as passes, ThreadPoolExecutor(8) as threads:
            raised = sum(threads.map(passes_that_raise, range(8)))
    finally:
        sys.setswitchinterval(interval)

    assert (passes["store.commit.after"], raised) == (8000, 1)


async def test_a_cancellation_reaches_who_awaits_but_no_task_is_told_to_cancel() -> None:
    async def step() -> int:
        task = asyncio.current_task()
        assert task is not None
        try:
            hit("driver.dispatch.before")
        except asyncio.CancelledError:
            return task.cancelling()
        return -1

    with armed("driver.dispatch.before:1:cancel"):
        assert await step() == 0


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("task.body.after", "'' is no pass"),
        ("task.body.after:kill", "'kill' is no pass"),
        ("task.body.after:0:kill", "'0' is no pass"),
        ("task.body.after:-1:kill", "'-1' is no pass"),
        ("task.body.after:²:kill", "'²' is no pass"),
        ("task.body.after:1", "no action ''"),
        ("task.body.after:1:explode", "no action 'explode'; the actions are kill, raise, cancel"),
        ("task.body.after:1:kill:2", "no action 'kill:2'"),
        ("task.body.after:1:kill,task.body.after:1:raise", "has an action already"),
        ("task.body:1:kill", "'task.body:1:kill': no such point; the points are driver.decide"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(spec: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)), armed(spec):
        pass

    assert _failpoint._switch.armed is None


def test_the_variable_kills_the_process_at_the_named_pass() -> None:
    ended = run("task.body.after:2:kill")

    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["1", "2"]


def test_a_variable_that_makes_no_sense_stops_the_process_before_it_works() -> None:
    ended = run("task.body.sometime:1:kill")

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert VARIABLE in ended.stderr
    assert all(point in ended.stderr for point in POINTS)


def test_an_empty_variable_arms_nothing() -> None:
    ended = run("")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["1", "2", "3"]
