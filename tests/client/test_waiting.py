"""Many wait for one execution: threads, foreign loops, waiters that give up."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    ExecutionExistsError,
    Registry,
    Runner,
    UsageError,
    WorkflowExecution,
    WorkflowStatus,
)
from asyncflow._runner.live import LiveExecution
from tests.client.forms import Form
from tests.client.samples import declare


@pytest.fixture
def waits(tmp_path: Path) -> Runner:
    registry = Registry()
    declare(registry)
    return Runner(tmp_path / "flows.db", registry=registry)


def live_of(runner: Runner, name: str) -> LiveExecution:
    assert runner._engine is not None
    return runner._engine.driver.names[name]


async def until_begun(runner: Runner, name: str) -> None:
    """Wait for the runner to know it: a moment before, others can read it already."""
    assert runner._engine is not None
    for _ in range(1_000_000):
        if name in runner._engine.driver.names:
            return
        await asyncio.sleep(0)
    raise AssertionError(name)


async def until_waiting(live: LiveExecution, number: int = 1) -> None:
    for _ in range(1_000_000):
        if len(live.waiters or ()) >= number:
            return
        await asyncio.sleep(0)
    raise AssertionError(live.waiters)


async def test_threads_and_foreign_loops_wait_for_one_execution(waits: Runner) -> None:
    async with waits as runner:
        started = await runner.start.aio("waits")
        begun = threading.Barrier(7)

        def block() -> WorkflowStatus:
            begun.wait(5)
            return started.wait(timeout="10s").status

        async def hop() -> WorkflowStatus:
            return (await started.wait.aio(timeout="10s")).status

        def elsewhere() -> WorkflowStatus:
            begun.wait(5)
            return asyncio.run(hop())

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(7) as threads:
            waiting = [loop.run_in_executor(threads, each) for each in (block, elsewhere) * 3]
            await loop.run_in_executor(threads, begun.wait, 5)
            await runner.send_event.aio("go")
            ends = await asyncio.gather(*waiting)

    assert ends == [WorkflowStatus.SUCCESS] * 6


async def test_cancelling_a_waiter_ends_its_wait_alone(waits: Runner) -> None:
    async with waits as runner:
        started = await runner.start.aio("waits", name="one")
        live = live_of(runner, "one")
        first, second = (asyncio.create_task(started.wait.aio()) for _ in range(2))
        await until_waiting(live, 2)

        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        left = len(live.waiters or ())
        await runner.send_event.aio("go")
        done = await second

    assert left == 1
    assert done.status is WorkflowStatus.SUCCESS


def test_cancelling_a_waiter_in_a_foreign_loop_cancels_its_wait_at_home(waits: Runner) -> None:
    async def give_up(started: WorkflowExecution) -> None:
        waiting = asyncio.create_task(started.wait.aio())
        await until_waiting(live)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with waits as runner:
        started = runner.start("waits", name="one")
        live = live_of(runner, "one")
        asyncio.run(give_up(started))

        assert not live.waiters
        runner.send_event("go")
        assert started.wait(timeout="10s").status is WorkflowStatus.SUCCESS


@pytest.mark.parametrize("call", ["wait", "execute"])
async def test_a_waiter_is_told_when_its_runner_closes(call: str, waits: Runner) -> None:
    async with waits as runner:
        if call == "wait":
            started = await runner.start.aio("waits", name="one")
            waiting = asyncio.create_task(started.wait.aio())
        else:
            waiting = asyncio.create_task(runner.execute.aio("waits", name="one"))
            await until_begun(runner, "one")
        await until_waiting(live_of(runner, "one"))

    with pytest.raises(UsageError, match="answers nothing more"):
        await waiting


async def test_who_gives_up_executing_a_workflow_leaves_nothing_behind(waits: Runner) -> None:
    async with waits as runner:
        executing = asyncio.create_task(runner.execute.aio("waits", name="one"))
        await until_begun(runner, "one")
        live = live_of(runner, "one")

        executing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await executing

        assert not live.waiters
        await runner.send_event.aio("go")
        assert (await runner.wait.aio("one")).status is WorkflowStatus.SUCCESS


async def test_who_executes_a_workflow_goes_on_waiting_when_others_are_told_of_its_tasks(
    waits: Runner,
) -> None:
    async with waits as runner:
        executing = asyncio.create_task(runner.execute.aio("waits", name="one"))
        await until_begun(runner, "one")
        live = live_of(runner, "one")

        live.wake()  # as for each who waits for statuses of its tasks
        await until_waiting(live)
        early = executing.done()
        await runner.send_event.aio("go")

        assert (await executing).status is WorkflowStatus.SUCCESS
    assert not early


async def test_of_many_executions_of_one_name_one_is_stored(waits: Runner) -> None:
    async with waits as runner:
        all_of_them = [runner.execute.aio("chain", {"given": 1}, name="one") for _ in range(10)]
        ends = await asyncio.gather(*all_of_them, return_exceptions=True)

    assert [type(end) for end in ends].count(ExecutionExistsError) == 9
    assert sum(isinstance(end, WorkflowExecution) for end in ends) == 1


async def test_of_many_starts_of_one_name_one_is_stored(waits: Runner) -> None:
    async with waits as runner:
        ends = await asyncio.gather(
            *(runner.start.aio("waits", name="one") for _ in range(10)), return_exceptions=True
        )

    assert [type(end) for end in ends].count(ExecutionExistsError) == 9
    assert sum(isinstance(end, WorkflowExecution) for end in ends) == 1


def test_what_a_client_starts_waits_for_a_runner_that_has_the_workflow(
    form: Form, waits: Runner
) -> None:
    registry = Registry()
    declare(registry)
    with form.open(Client(waits.location, registry=registry)) as client:
        started = form.call(client.start, "chain", {"given": 1})
        assert started.status is WorkflowStatus.INIT
        with form.open(waits):
            done = form.call(client.wait, started.name, timeout="10s")

    assert done.final_context == {"given": 1, "seen": [1, "second"]}


def test_plain_use_opens_itself_and_ends_with_shutdown(waits: Runner) -> None:
    done = waits.execute("chain", timeout="10s")
    waits.shutdown()

    with pytest.raises(UsageError, match="closed"):
        done.refresh()
    with pytest.raises(UsageError, match="closed"):
        waits.start("chain")
