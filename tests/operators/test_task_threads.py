"""Where blocking tasks run: in threads of the runner's own, with what their task knows."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
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
    """Counts who is inside, and lets nobody out before `free` is set."""

    def __init__(self, expected: int) -> None:
        self.inside = 0
        self._expected = expected
        self.free = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.inside += 1
        assert self.free.wait(5)

    async def watch(self) -> int:
        """Let come whoever can come, and return how many these were; then let them out."""
        limiter, more = anyio.CapacityLimiter(1), 50
        while self.inside < self._expected or more:  # each is a way through a thread and back
            await anyio.to_thread.run_sync(threading.get_ident, limiter=limiter)
            more -= self.inside >= self._expected
        found = self.inside
        self.free.set()
        return found


@pytest.mark.parametrize("threads", [1, 2, 5])
async def test_no_more_tasks_work_in_threads_than_the_runner_gives(threads: int) -> None:
    crowd = Crowd(threads)
    with Registry() as registry, Workflow("many"):
        for number in range(10):
            PythonOperator(f"t{number}", crowd)
        PythonOperator("watch", crowd.watch)

    async with Runner(":memory:", registry=registry, threads=threads) as runner:
        done = await runner.execute.aio("many", timeout="10s")
        runs = await done.task_executions.aio()

    assert done.status == "SUCCESS", done.error_message
    assert [each.result for each in runs if each.task_name == "watch"] == [threads]
    assert crowd.inside == 10


class AsyncCalled:
    """Sets an event when it is called; calling it only makes a coroutine."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    async def __call__(self) -> None:
        self._event.set()

    async def method(self) -> None:
        self._event.set()


WAYS: list[Callable[[threading.Event], Callable[[], object]]] = [
    AsyncCalled,
    lambda event: AsyncCalled(event).method,
    lambda event: partial(AsyncCalled(event)),
    lambda event: partial(partial(AsyncCalled(event).method)),
]


@pytest.mark.parametrize("function_of", WAYS)
async def test_what_only_makes_a_coroutine_needs_no_thread(
    function_of: Callable[[threading.Event], Callable[[], object]],
) -> None:
    free = threading.Event()

    def blocks() -> None:
        assert free.wait(5)

    with Registry() as registry, Workflow("both"):
        PythonOperator("takes the only thread", blocks)
        PythonOperator("frees it", function_of(free))

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        done = await runner.execute.aio("both", timeout="10s")

    assert done.status == "SUCCESS", done.error_message


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
