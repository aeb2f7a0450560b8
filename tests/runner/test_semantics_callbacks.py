"""When callbacks are called, that it is at least once, and where their errors go."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow import Context, Registry, Runner, TaskStatus, Workflow, task
from asyncflow._failpoint import VARIABLE
from tests.runner.scene import ended, rows, turns

ROOT = Path(__file__).resolve().parent.parent.parent

SILENT = """
import asyncio, sys
from asyncflow import Context, Registry, Runner, Workflow, task
if "configured" in sys.argv:
    import logging
    logging.basicConfig(level=logging.CRITICAL + 1)

def spoils(*_):
    raise LookupError("no such callback")

with Registry() as registry, Workflow("w"):
    @task(on_success=spoils)
    async def works() -> str:
        return "result"

async def main():
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")
        print(done.status)

asyncio.run(main())
"""

CRASH = """
import asyncio, sys
from asyncflow import Context, Registry, Runner, Workflow, task

def told(name, *_):
    with open("told", "a") as file:
        file.write(name + "\\n")

with Registry() as registry, Workflow("w"):
    @task(id="good", on_success=told)
    async def good() -> str:
        return "result"

    @task(id="bad", on_failure=told, dependencies=["good"])
    async def bad() -> None:
        raise ValueError("no")

async def main():
    async with Runner("sqlite:///flows.db", registry=registry) as runner:
        if await runner.execution.aio("e") is None:
            await runner.start.aio("w", name="e")
        print((await runner.wait.aio("e")).status)

asyncio.run(main())
"""


def run(program: str, *arguments: str, cwd: Path, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_error_in_a_callback_reaches_stderr_where_nobody_configured_logging(
    tmp_path: Path,
) -> None:
    code, out, error = run(SILENT, cwd=tmp_path)

    assert (code, out) == (0, "SUCCESS\n")
    assert error.count("a callback of task 'works' of 'w-") == 1
    assert error.rstrip().endswith("LookupError: no such callback")


def test_where_logging_is_configured_it_goes_where_that_says(tmp_path: Path) -> None:
    assert run(SILENT, "configured", cwd=tmp_path) == (0, "SUCCESS\n", "")


def test_its_logger_has_no_handler_of_its_own() -> None:
    assert logging.getLogger("asyncflow.callbacks").handlers == []
    assert logging.getLogger("asyncflow").handlers == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_crash_between_a_callback_and_its_commit_lets_it_be_called_again(
    tmp_path: Path, number: int
) -> None:
    first = run(CRASH, cwd=tmp_path, **{VARIABLE: f"task.result.before:{number}:kill"})
    second = run(CRASH, cwd=tmp_path)

    assert first[0] != 0
    assert second == (0, "FAILED\n", second[2])
    told = (tmp_path / "told").read_text(encoding="utf-8").split()
    assert told == (["good", "good", "bad"] if number == 1 else ["good", "bad", "bad"])


@pytest.mark.parametrize("end", ["success", "failure"])
async def test_the_end_of_a_task_is_not_on_disk_before_its_callback_has_returned(
    path: Path, end: str
) -> None:
    called, gate = asyncio.Event(), asyncio.Event()

    async def hangs(*_: object) -> None:
        called.set()
        await gate.wait()

    with Registry() as registry, Workflow("w"):

        @task(on_success=hangs, on_failure=hangs)
        async def works() -> str:
            if end == "failure":
                raise ValueError("no")
            return "result"

        @task(dependencies=["works"])
        async def after() -> None:
            """Not started before the callback has returned."""

    async with Runner(path, registry=registry) as runner:
        execution = await runner.start.aio("w")
        await called.wait()
        await turns()
        await runner.send_event.aio("said")  # what was told before is on disk with it
        seen = rows(path, "SELECT task, status, result FROM task_execution")
        gate.set()
        _, runs = await ended(execution)

    assert seen == [("works", TaskStatus.RUNNING, None)]
    assert len(runs) == (2 if end == "success" else 1)


async def test_the_error_of_a_failure_is_its_type_and_text(path: Path) -> None:
    told: list[tuple[str, str, object]] = []

    async def hears(task_id: str, error: str, context: Context) -> None:
        told.append((task_id, error, dict(context)))

    with Registry() as registry, Workflow("w"):

        @task(id="bad", on_failure=hears)
        def bad(context: Context) -> None:
            context["set"] = "in vain"
            raise ValueError("text")

    async with Runner(path, registry=registry) as runner:
        _, (run,) = await ended(await runner.start.aio("w", {"given": 1}))

    assert told == [("bad", "ValueError: text", {"given": 1})]
    assert run.error_message == "ValueError: text"
    assert run.traceback is not None
    assert 'raise ValueError("text")' in run.traceback
