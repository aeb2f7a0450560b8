"""Each kind of task x each way to end it from outside, with real threads and processes."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
import uvloop

from asyncflow import (
    BashOperator,
    Context,
    PythonOperator,
    Registry,
    Runner,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowStatus,
)
from tests.bell import in_a_thread as in_a_thread_of_its_own
from tests.operators import killable
from tests.operators.ears import Ears, gone, listening
from tests.runner.scene import forever, run_one

Declare = Callable[[str | None], object]
HOUR = timedelta(hours=1)

log = logging.getLogger("asyncflow.task")


@pytest.fixture
def ears() -> Generator[Ears]:
    with listening() as found:
        yield found


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "folders"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


async def on_the_loop() -> None:
    log.info("begun")
    await forever()


def in_a_thread(context: Context) -> None:
    log.info("begun")
    while not context.stop_requested:
        threading.Event().wait(0.001)


COMMAND = "touch file; sleep 1000 & echo begun $$ $!; wait"

KINDS: dict[str, Declare] = {
    "async": lambda timeout: PythonOperator("t", on_the_loop, timeout=timeout),
    "thread": lambda timeout: PythonOperator("t", in_a_thread, timeout=timeout),
    "bash": lambda timeout: BashOperator("t", COMMAND, timeout=timeout),
    "process": lambda timeout: PythonOperator(
        "t", killable.loops_with_a_child, isolation="process", timeout=timeout
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def declare(kind: str, timeout: str | None = None) -> Registry:
    with Registry() as registry, Workflow("w"):
        KINDS[kind](timeout)
    return registry


async def test_stop(kind: str, ears: Ears, folders: Path) -> None:
    loop = asyncio.get_running_loop()
    async with Runner(":memory:", registry=declare(kind)) as runner:
        execution = await runner.start.aio("w")
        processes = await ears.heard_begin()
        begin = loop.time()
        await execution.stop.aio(wait=True)
        taken = loop.time() - begin
        (run,) = await execution.task_executions.aio()

    assert (run.status, run.abandoned) == (TaskStatus.STOPPED, False)
    assert taken < 1
    await gone(processes)
    assert list(folders.iterdir()) == []


def test_stop_from_a_script(kind: str, ears: Ears, folders: Path) -> None:
    with Runner(":memory:", registry=declare(kind)) as runner:
        execution = runner.start("w")
        ears.begun.wait()
        execution.stop(wait=True)
        (run,) = execution.task_executions()

    assert run.status is TaskStatus.STOPPED
    anyio.run(gone, ears.numbers())
    assert list(folders.iterdir()) == []


async def test_timeout(kind: str, ears: Ears, folders: Path) -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=declare(kind, "1h"), clock=clock) as runner:
        execution = await runner.start.aio("w")
        processes = await ears.heard_begin()
        await clock.advance(HOUR)
        done = await execution.wait.aio()
        (run,) = await done.task_executions.aio()

    assert run.status is TaskStatus.FAILED
    assert run.error_message == "TimeoutError: the attempt took longer than 1:00:00"
    await gone(processes)
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize("form", ["async", "script"])
async def test_shutdown(kind: str, form: str, url: str, ears: Ears, folders: Path) -> None:
    def script() -> None:
        with Runner(url, registry=declare(kind), grace=0) as runner:
            runner.start("w", name="e")
            ears.begun.wait()

    if form == "script":
        await asyncio.get_running_loop().run_in_executor(None, script)
    else:
        async with Runner(url, registry=declare(kind), grace=0) as runner:
            await runner.start.aio("w", name="e")
            await ears.heard_begin()
    async with Runner(url, registry=Registry()) as looker:
        execution = await looker.execution.aio("e")
        assert execution is not None

    assert execution.status is WorkflowStatus.RUNNING
    await gone(ears.numbers())
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize("kind", ["bash", "process"])
async def test_kill(kind: str, ears: Ears, folders: Path) -> None:
    async with Runner(":memory:", registry=declare(kind)) as runner:
        execution = await runner.start.aio("w")
        processes = await ears.heard_begin()
        os.kill(processes[0], signal.SIGKILL)
        done = await execution.wait.aio()
        (run,) = await done.task_executions.aio()

    assert run.status is TaskStatus.FAILED
    assert "ended by SIGKILL" in str(run.error_message)
    await gone(processes)
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("kind", ["bash", "process"])
def test_on_any_loop_in_any_thread(
    kind: str, loop_factory: Callable[[], asyncio.AbstractEventLoop], ears: Ears
) -> None:
    async def main() -> TaskStatus:
        async with Runner(":memory:", registry=declare(kind)) as runner:
            execution = await runner.start.aio("w")
            await ears.heard_begin()
            await execution.stop.aio(wait=True)
            (run,) = await execution.task_executions.aio()
        return run.status

    def in_a_loop() -> TaskStatus:
        with asyncio.Runner(loop_factory=loop_factory) as loop:
            return loop.run(main())

    assert in_a_thread_of_its_own(in_a_loop) is TaskStatus.STOPPED
    anyio.run(gone, ears.numbers())


# --- what usually ends more than a task ---


async def exits_on_the_loop() -> None:
    raise SystemExit(3)


async def interrupts_on_the_loop() -> None:
    raise KeyboardInterrupt


BODIES: dict[str, Callable[[], object]] = {
    "async SystemExit": lambda: PythonOperator("t", exits_on_the_loop),
    "async KeyboardInterrupt": lambda: PythonOperator("t", interrupts_on_the_loop),
    "thread SystemExit": lambda: PythonOperator("t", killable.exits),
    "thread KeyboardInterrupt": lambda: PythonOperator("t", killable.interrupts),
    "process SystemExit": lambda: PythonOperator("t", killable.exits, isolation="process"),
    "process KeyboardInterrupt": lambda: PythonOperator(
        "t", killable.interrupts, isolation="process"
    ),
    "bash exit": lambda: BashOperator("t", "exit 3"),
    "bash SIGINT": lambda: BashOperator("t", "kill -INT $$"),
}


@pytest.mark.parametrize("body", BODIES)
async def test_what_ends_a_program_ends_only_the_task(body: str) -> None:
    with Registry() as registry, Workflow("w"):
        BODIES[body]()

    done, run = await run_one(registry)

    assert (done.status, run.status) == (WorkflowStatus.FAILED, TaskStatus.FAILED)
