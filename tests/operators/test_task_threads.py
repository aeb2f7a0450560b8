"""Where blocking tasks run: in threads of the runner's own, with what their task knows."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import pytest

from asyncflow import (
    Context,
    PythonOperator,
    Registry,
    Runner,
    TaskStatus,
    Workflow,
    task,
)
from tests.operators.runs import result_of, run

P = ParamSpec("P")
T = TypeVar("T")


class NoThreads(ThreadPoolExecutor):
    """Stands for a default executor that an embedding service needs for itself."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        raise AssertionError("a task runs in the loop's default executor")


def test_tasks_in_threads_leave_the_loops_default_executor_alone() -> None:
    def work(context: Context) -> bool:
        context["worked"] = True
        return threading.current_thread() is not threading.main_thread()

    async def main() -> object:
        asyncio.get_running_loop().set_default_executor(NoThreads())
        return await result_of(work)

    assert asyncio.run(main()) is True


class Crowd:
    """Counts who is inside, and holds them there until ``size`` came or all that can have come."""

    def __init__(self, size: int) -> None:
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()
        self._full = threading.Barrier(size)

    def __call__(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._full.wait(5)  # nobody leaves before so many are inside
        with self._lock:
            self._inside -= 1


@pytest.mark.parametrize("threads", [1, 2, 5])
async def test_no_more_tasks_work_in_threads_than_the_runner_gives(threads: int) -> None:
    crowd = Crowd(threads)
    with Registry() as registry, Workflow("many"):
        for number in range(10):
            PythonOperator(f"t{number}", crowd)

    async with Runner(":memory:", registry=registry, threads=threads) as runner:
        done = await runner.execute.aio("many", timeout="10s")

    assert done.status == "SUCCESS", done.error_message
    assert crowd.most == threads


async def test_tasks_in_threads_do_not_hold_up_those_on_the_loop() -> None:
    free, entered = threading.Event(), asyncio.Event()
    with Registry() as registry, Workflow("both"):

        @task(id="blocks")
        def blocks() -> None:
            assert free.wait(5)

        @task(id="frees")
        async def frees() -> None:
            entered.set()
            free.set()

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("both", timeout="10s")

    assert done.status == "SUCCESS", done.error_message
    assert entered.is_set()


async def test_a_thread_that_raises_stop_iteration_fails_its_task_alone() -> None:
    def broken() -> None:
        raise StopIteration("none left")

    found = await run(broken)

    assert found.status is TaskStatus.FAILED
    assert "StopIteration" in str(found.error_message)


# --- context variables ---

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")


async def test_a_thread_sees_the_context_variables_of_its_task_and_changes_nobodys() -> None:
    CALLER.set("the opener")

    def in_a_thread() -> str:
        seen = CALLER.get()
        CALLER.set("a thread")
        return seen

    with Registry() as registry, Workflow("many"):
        for number in range(3):
            PythonOperator(f"t{number}", in_a_thread)

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("many", timeout="10s")
        results = [each.result for each in await done.task_executions.aio()]

    assert results == ["the opener"] * 3
    assert CALLER.get() == "the opener"


async def test_what_one_task_sets_no_other_sees() -> None:
    CALLER.set("the opener")

    with Registry() as registry, Workflow("many"):

        @task(id="first")
        async def first() -> str:
            seen = CALLER.get()
            CALLER.set("first")
            return seen

        @task(id="second", dependencies=[first])
        async def second() -> str:
            return CALLER.get()

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("many", timeout="10s")
        results = [each.result for each in await done.task_executions.aio()]

    assert results == ["the opener"] * 2
