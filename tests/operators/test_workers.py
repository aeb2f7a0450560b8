"""Threads for blocking code: used again, heard once, and never in the way of an exit."""

import asyncio
import contextvars
import threading
from textwrap import dedent

import pytest

from asyncflow._operators.workers import _idle, work_in_thread
from tests.bell import run_script

WORD = contextvars.ContextVar("WORD", default="nobody's")


async def test_a_function_is_called_in_a_daemon_thread_and_its_value_returned() -> None:
    thread = await work_in_thread(threading.current_thread)

    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_one_thread_after_the_other_is_one_thread() -> None:
    threads = {await work_in_thread(threading.get_ident) for _ in range(20)}

    assert len(threads) == 1


async def test_functions_at_once_have_a_thread_each() -> None:
    together = threading.Barrier(8, timeout=10)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work_in_thread(together.wait)) for _ in range(8)]

    assert sorted(task.result() for task in tasks) == list(range(8))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
async def test_what_it_raises_is_raised_where_it_is_awaited(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await work_in_thread(fail)

    assert caught.value is error
    assert await work_in_thread(lambda: "the thread lives") == "the thread lives"


async def test_it_sees_the_context_variables_of_its_caller() -> None:
    WORD.set("the caller's")

    assert await work_in_thread(WORD.get) == "the caller's"


async def test_a_cancelled_caller_does_not_wait_and_the_thread_can_be_used_again() -> None:
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(10)
        ended.set()

    caller = asyncio.create_task(work_in_thread(work))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    early = ended.is_set()
    gate.set()
    await asyncio.to_thread(ended.wait)

    assert not early
    assert await work_in_thread(lambda: 1) == 1


def test_a_loop_that_closed_meanwhile_hears_nothing_and_harms_nobody() -> None:
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(10)
        ended.set()

    async def leave() -> None:
        caller = asyncio.create_task(work_in_thread(work))
        await asyncio.sleep(0)
        caller.cancel()

    asyncio.run(leave())
    begun.wait(10)
    gate.set()
    ended.wait(10)

    assert asyncio.run(work_in_thread(lambda: 1)) == 1


def test_a_forked_child_has_threads_of_its_own() -> None:
    code, out, _ = run_script(
        dedent("""
        import asyncio, os, warnings
        from asyncflow._operators.workers import work_in_thread
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, on purpose
        asyncio.run(work_in_thread(os.getpid))
        child = os.fork()
        if not child:
            same = asyncio.run(work_in_thread(os.getpid)) == os.getpid()
            os._exit(0 if same else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """)
    )

    assert (code, out) == (0, "0\n")


def test_a_process_exits_although_a_thread_hangs() -> None:
    code, out, _ = run_script(
        dedent("""
        import asyncio, threading
        from asyncflow import Registry, Runner, Workflow, task
        begun = threading.Event()
        with Registry() as registry, Workflow("w"):
            @task()
            def hangs():
                begun.set()
                threading.Event().wait()
        async def main():
            async with Runner(":memory:", registry=registry, grace=0) as runner:
                await runner.start.aio("w")
                await asyncio.to_thread(begun.wait)
        asyncio.run(main())
        print("over")
        """)
    )

    assert (code, out) == (0, "over\n")


async def test_no_thread_that_is_idle_is_counted_twice() -> None:
    for _ in range(3):
        await work_in_thread(lambda: None)

    assert len(_idle) == len(set(_idle))
