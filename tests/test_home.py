"""Where a call cannot run, and how a home of either kind is opened and closed."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncflow._home import Home
from asyncflow._root import exit_watch
from asyncflow.errors import SyncInLoopError, UsageError
from tests.bell import WORD, Bell, in_a_thread, to_thread


async def test_blocking_on_a_thread_that_runs_a_loop_is_refused_before_a_coroutine_is_made() -> (
    None
):
    made: list[str] = []

    async def body() -> None:
        made.append("a coroutine")

    def make() -> Coroutine[Any, Any, None]:
        made.append("a coroutine")
        return body()

    async with Bell() as bell:
        with pytest.raises(SyncInLoopError, match=r"Bell\.add\(\) .* await Bell\.add\.aio\(\)"):
            bell.add(1)
        with pytest.raises(SyncInLoopError, match=r"`async for \.\.\. in Bell\.numbers\.aio\(\):`"):
            bell.numbers(3)
        with pytest.raises(SyncInLoopError):
            bell.home.run(make, "make")
        with pytest.raises(SyncInLoopError, match=r"await Bell\.shutdown\.aio"):
            bell.shutdown()

    assert made == []


async def test_with_on_a_thread_that_runs_a_loop_names_async_with() -> None:
    bell = Bell()
    with pytest.raises(UsageError, match=r"use `async with Bell\(\.\.\.\)`"):
        bell.__enter__()
    assert bell.log == []


async def test_awaiting_on_a_home_that_is_not_open_names_async_with() -> None:
    with pytest.raises(UsageError, match=r"Bell\.add\.aio\(\) inside `async with Bell\(\.\.\.\)"):
        await Bell().add.aio(1)


async def test_a_closed_home_refuses_both_forms() -> None:
    async with Bell() as bell:
        pass

    with pytest.raises(UsageError, match="Bell is closed"):
        await bell.add.aio(1)
    with pytest.raises(UsageError, match="Bell is closed"):
        await to_thread(lambda: bell.add(1))
    with pytest.raises(UsageError, match="Bell is closed"):
        await bell.__aenter__()


def test_a_home_closed_before_it_was_opened_stays_closed() -> None:
    bell = Bell()
    bell.shutdown()

    with pytest.raises(UsageError, match="Bell is closed"):
        bell.add(1)
    assert bell.log == []


async def test_a_home_opens_once() -> None:
    async with Bell() as bell:
        with pytest.raises(UsageError, match="Bell is open already"):
            await bell.__aenter__()
        with pytest.raises(UsageError, match="Bell is open already"):
            await to_thread(bell.__enter__)


def test_blocking_where_only_this_thread_could_run_the_home_loop_is_refused() -> None:
    bell = Bell()
    with asyncio.Runner() as runner:
        runner.run(bell.__aenter__())
        with pytest.raises(UsageError, match=r"await Bell\.add\.aio\(\) in that loop"):
            bell.add(1)
        with pytest.raises(UsageError, match=r"await Bell\.shutdown\.aio\(\) in that loop"):
            bell.shutdown()
        assert runner.run(bell.add.aio(1)) == 2
        runner.run(bell.shutdown.aio())

    assert bell.log == ["opened", "closed"]


def test_a_home_whose_loop_was_closed_under_it_is_closed() -> None:
    bell = Bell()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bell.__aenter__())
    loop.close()

    with pytest.raises(UsageError, match="Bell is closed"):
        in_a_thread(lambda: bell.add(1))
    in_a_thread(bell.shutdown)


def test_a_home_whose_loop_nobody_runs_refuses_both_forms_in_other_loops_and_threads() -> None:
    bell = Bell()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bell.__aenter__())

    for call in (lambda: bell.add.aio(1), bell.shutdown.aio):
        with pytest.raises(UsageError, match=r"nobody runs that loop now: .* same loop_scope"):
            asyncio.run(call())
    for blocking in (lambda: bell.add(1), bell.shutdown):
        with pytest.raises(UsageError, match="nobody runs that loop now"):
            in_a_thread(blocking)

    assert loop.run_until_complete(bell.add.aio(1)) == 2
    loop.run_until_complete(bell.shutdown.aio())
    loop.close()


def test_a_caller_whose_home_loop_stopped_under_its_call_can_be_cancelled() -> None:
    bell = Bell()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(bell.__aenter__())
    running = threading.Event()

    async def moment() -> None:
        running.set()
        await asyncio.to_thread(bell.entered.wait)

    async def wait_in_vain() -> None:
        thread = threading.Thread(target=lambda: loop.run_until_complete(moment()))
        thread.start()
        await asyncio.to_thread(running.wait)
        call = asyncio.create_task(bell.hang.aio())
        await asyncio.to_thread(thread.join)
        call.cancel()
        await call

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(wait_in_vain())
    loop.run_until_complete(bell.shutdown.aio())
    loop.close()


async def test_whoever_enters_and_whoever_leaves_may_be_different_tasks() -> None:
    bell = Bell()

    async with asyncio.TaskGroup() as group:
        group.create_task(bell.__aenter__())
    assert await bell.add.aio(1) == 2
    async with asyncio.TaskGroup() as group:
        group.create_task(bell.__aexit__(None, None, None))

    assert bell.log == ["opened", "closed"]


async def test_what_entering_the_session_raises_is_raised_to_the_opener_who_may_try_again() -> None:
    bell = Bell(fail_to_open=1)

    with pytest.raises(ValueError, match="cannot open"):
        await bell.__aenter__()
    async with bell:
        assert await bell.add.aio(1) == 2


def test_what_entering_the_session_raises_is_raised_to_whoever_opened_lazily() -> None:
    bell = Bell(fail_to_open=2)

    with pytest.raises(ValueError, match="cannot open"):
        bell.add(1)
    with pytest.raises(ValueError, match="cannot open"), bell:
        pass
    with bell:
        assert bell.add(1) == 2


async def test_what_leaving_the_session_raises_is_raised_to_the_closer() -> None:
    here, threaded = Bell(), Bell()
    here.fail_to_close = threaded.fail_to_close = ValueError("cannot close")

    await here.__aenter__()
    with pytest.raises(ValueError, match="cannot close"):
        await here.shutdown.aio()
    await to_thread(threaded.__enter__)
    with pytest.raises(ValueError, match="cannot close"):
        await to_thread(threaded.shutdown)


async def test_a_session_that_fails_by_itself_closes_its_home_and_is_the_cause() -> None:
    die, left = asyncio.Event(), asyncio.Event()

    async def driver() -> None:
        await die.wait()
        raise ValueError("driver died")

    @asynccontextmanager
    async def session() -> AsyncGenerator[None]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(driver())
                yield
        finally:
            left.set()

    async def answer() -> int:
        return 42

    home = Home(session, "Driven")
    await home.open_here()
    die.set()
    await left.wait()

    with pytest.raises(ExceptionGroup):
        await home.aclose()
    with pytest.raises(UsageError, match="Driven is closed") as caught:
        await home.arun(answer, "answer")
    assert isinstance(caught.value.__cause__, ExceptionGroup)


def test_shutting_down_twice_and_leaving_with_does_nothing_more() -> None:
    with Bell() as bell:
        bell.shutdown()
        bell.shutdown()
        asyncio.run(bell.shutdown.aio())

    assert bell.log == ["opened", "closed"]


async def test_any_thread_and_any_loop_may_close_a_home() -> None:
    by_a_thread, by_a_loop = Bell(), Bell()
    await by_a_thread.__aenter__()
    await by_a_loop.__aenter__()

    await to_thread(by_a_thread.shutdown)
    await to_thread(lambda: asyncio.run(by_a_loop.shutdown.aio()))

    assert by_a_thread.log == by_a_loop.log == ["opened", "closed"]


def test_a_caller_waits_for_whoever_is_opening() -> None:
    bell = Bell()
    bell.home._opening.acquire()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bell.add, 1)
        assert not wait_for([waiting], timeout=0.05).done
        bell.home._open_thread()
        bell.home._opening.release()

        assert waiting.result() == 2
    bell.shutdown()
    assert bell.log == ["opened", "closed"]


async def test_only_one_opens_at_a_time() -> None:
    bell = Bell()
    with bell.home._opening, pytest.raises(UsageError, match="Bell is being opened already"):
        await bell.__aenter__()


async def test_a_session_sees_the_context_variables_of_its_opener() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def session() -> AsyncGenerator[None]:
        seen.append(WORD.get())
        yield

    def in_thread() -> None:
        WORD.set("the thread's")
        home = Home(session, "Bell")
        home.open_in_thread()
        home.close()

    await to_thread(in_thread)
    WORD.set("the task's")
    home = Home(session, "Bell")
    await home.open_here()
    await home.aclose()

    assert seen == ["the thread's", "the task's"]


def test_a_home_that_is_closed_is_forgotten() -> None:
    with Bell() as bell:
        bell.add(1)

    assert exit_watch._roots == set()


async def test_closing_outlasts_the_cancellation_of_the_closer() -> None:
    closing, go_on, log = asyncio.Event(), asyncio.Event(), list[str]()

    @asynccontextmanager
    async def session() -> AsyncGenerator[None]:
        yield
        closing.set()
        await go_on.wait()
        log.append("closed")

    home = Home(session, "Slow")
    await home.open_here()
    closer = asyncio.create_task(home.aclose())
    await closing.wait()
    closer.cancel()
    await asyncio.sleep(0)
    closer.cancel()
    await asyncio.sleep(0)
    assert not closer.done()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await closer
    assert log == ["closed"]


async def test_an_opener_that_is_cancelled_leaves_nothing_open() -> None:
    entered, log = asyncio.Event(), list[str]()

    @asynccontextmanager
    async def session() -> AsyncGenerator[None]:
        entered.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            await asyncio.sleep(0)
            log.append("undone")

    opener = asyncio.create_task(Home(session, "Slow").open_here())
    await entered.wait()
    opener.cancel()

    with pytest.raises(asyncio.CancelledError):
        await opener
    assert log == ["undone"]


async def test_a_call_that_comes_while_the_session_is_entered_waits_until_it_is() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def session() -> AsyncGenerator[None]:
        entered.set()
        await go_on.wait()
        yield

    async def ready() -> bool:
        return go_on.is_set()

    home = Home(session, "Slow")
    opener = asyncio.create_task(home.open_here())
    await entered.wait()
    called = asyncio.create_task(to_thread(lambda: home.run(ready, "ready")))
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()

    assert await called
    await opener
    await home.aclose()


def test_closing_ends_the_calls_that_still_wait() -> None:
    waits: list[Callable[[Bell], None]] = [
        lambda bell: bell.hang(),
        lambda bell: asyncio.run(bell.hang.aio()),
    ]
    for wait in waits:
        with Bell() as bell, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait, bell)
            bell.entered.wait()
            bell.shutdown()
            with pytest.raises(UsageError, match=r"Bell was closed while Bell\.hang\(\) waited"):
                waiting.result()
        assert bell.log == ["opened", "closed", "cleaned"]


def test_a_closing_session_may_be_asked_by_its_own_threads() -> None:
    @asynccontextmanager
    async def session() -> AsyncGenerator[None]:
        yield
        asked.append(await to_thread(lambda: home.run(answer, "answer")))

    async def answer() -> str:
        return "an answer"

    asked: list[str] = []
    home = Home(session, "Talker")
    home.open_in_thread()
    home.close()

    assert asked == ["an answer"]
