"""Both forms of a call: where it runs, what it gives, what it looks like; listings too."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from asyncflow.errors import SyncInLoopError, UsageError
from tests.bell import WORD, Bell, LouderBell, ring, the_only, to_thread


def test_a_blocking_call_returns_what_the_body_returns() -> None:
    with Bell() as bell:
        assert bell.add(1, right=2) == 3
        assert Bell.add(bell, 1) == 2


async def test_an_awaited_call_returns_what_the_body_returns() -> None:
    async with Bell() as bell:
        assert await bell.add.aio(1, right=2) == 3
        assert await Bell.add.aio(bell, 1) == 2


async def test_on_the_home_loop_the_caller_s_own_task_runs_the_body() -> None:
    async with Bell() as bell:
        assert await bell.task.aio() is asyncio.current_task()


def test_from_a_foreign_loop_the_body_runs_on_the_home_loop() -> None:
    with Bell() as bell:
        home = bell.place()

        assert asyncio.run(bell.place.aio()) == home
        assert home[1] != threading.get_ident()


def test_the_thread_of_a_home_runs_uvloop_where_it_is_installed() -> None:
    uvloop = pytest.importorskip("uvloop")  # it has no wheel for every platform
    with Bell() as bell:
        assert isinstance(bell.place()[0], uvloop.Loop)


async def test_a_thread_without_a_loop_blocks_on_the_home_loop_of_its_opener() -> None:
    async with Bell() as bell:
        here = (asyncio.get_running_loop(), threading.get_ident())

        assert await to_thread(bell.place) == here


async def test_a_task_in_an_anyio_worker_thread_may_block() -> None:
    async with Bell() as bell:
        assert await anyio.to_thread.run_sync(bell.add, 1) == 2


def test_a_hundred_threads_that_call_at_once_open_one_home() -> None:
    bell = Bell()
    barrier = threading.Barrier(100)

    def call(number: int) -> int:
        barrier.wait()
        return bell.add(number, number)

    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(call, range(100)))
    bell.shutdown()

    assert results == [2 * number for number in range(100)]
    assert bell.log == ["opened", "closed"]


async def test_a_hundred_threads_may_block_on_one_caller_s_loop() -> None:
    async with Bell() as bell:
        barrier = threading.Barrier(100)

        def call(number: int) -> int:
            barrier.wait()
            return bell.add(number, number)

        with ThreadPoolExecutor(100) as pool:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(pool, call, number) for number in range(100)]
            results = await asyncio.gather(*calls)

    assert results == [2 * number for number in range(100)]


def test_the_body_sees_the_context_variables_of_its_caller() -> None:
    async def foreign(bell: Bell) -> str:
        WORD.set("mine in a loop")
        return await bell.word.aio()

    with Bell() as bell:
        token = WORD.set("mine")
        try:
            assert bell.word() == "mine"
            assert asyncio.run(foreign(bell)) == "mine in a loop"
        finally:
            WORD.reset(token)
        assert bell.word() == "nobody's"


async def test_the_body_sees_the_context_variables_of_a_caller_in_a_thread() -> None:
    def call(bell: Bell) -> str:
        WORD.set("the thread's")
        return bell.word()

    async with Bell() as bell:
        assert await to_thread(lambda: call(bell)) == "the thread's"
        assert await bell.word.aio() == "nobody's"


def test_a_blocking_listing_fetches_page_by_page_as_it_is_read() -> None:
    with Bell() as bell:
        numbers = bell.numbers(3)
        assert bell.fetched == []
        assert next(numbers) == 0
        assert bell.fetched == [None]
        assert list(numbers) == [1, 2, 3]
        assert bell.fetched == [None, 2, 4, -1]
        assert list(numbers) == []


async def test_an_awaited_listing_fetches_page_by_page_as_it_is_read() -> None:
    async with Bell() as bell:
        numbers = bell.numbers.aio(3)
        assert bell.fetched == []
        assert await anext(numbers) == 0
        assert bell.fetched == [None]
        assert [number async for number in numbers] == [1, 2, 3]
        assert bell.fetched == [None, 2, 4, -1]


async def test_awaiting_a_listing_gives_the_listing() -> None:
    async with Bell() as bell:
        numbers = bell.numbers.aio(3, size=1)
        assert await numbers is numbers
        assert [number async for number in numbers] == [0, 1, 2, 3]


def test_a_listing_hops_from_a_foreign_loop() -> None:
    async def foreign(bell: Bell) -> list[int]:
        return [number async for number in await bell.numbers.aio(3)]

    with Bell() as bell:
        assert asyncio.run(foreign(bell)) == [0, 1, 2, 3]


async def test_breaking_out_of_a_listing_leaves_nothing_behind() -> None:
    async with Bell() as bell:
        before = asyncio.all_tasks()
        async for number in bell.numbers.aio(100):
            if number == 3:
                break
        assert bell.fetched == [None, 2]
        assert asyncio.all_tasks() == before
    with pytest.raises(UsageError, match="Bell is closed"):
        async for _ in bell.numbers.aio(100):
            pass


def test_a_page_that_failed_is_fetched_again() -> None:
    with Bell() as bell:
        bell.broken_page = 2
        numbers = bell.numbers(3)
        assert [next(numbers), next(numbers)] == [0, 1]
        with pytest.raises(ValueError, match="page is broken"):
            next(numbers)
        assert list(numbers) == [2, 3]


async def test_a_page_that_failed_is_awaited_again() -> None:
    async with Bell() as bell:
        bell.broken_page = 2
        numbers = bell.numbers.aio(3)
        assert [await anext(numbers), await anext(numbers)] == [0, 1]
        with pytest.raises(ValueError, match="page is broken"):
            await anext(numbers)
        assert [number async for number in numbers] == [2, 3]


def test_classmethods_and_functions_find_their_home_at_each_call() -> None:
    async def foreign() -> tuple[str, str, list[str]]:
        listed = [name async for name in await Bell.listall.aio(limit=1)]
        return await LouderBell.get.aio("a"), await ring.aio(2), listed

    with Bell() as bell, the_only(bell):
        assert Bell.get("a") == "Bell a"
        assert LouderBell.get("a") == bell.get("a").replace("Bell", "LouderBell")
        assert ring(2) == "dingding"
        assert list(Bell.listall(1)) == ["Bell None", "Bell second"]
        assert asyncio.run(foreign()) == (
            "LouderBell a",
            "dingding",
            ["Bell None", "Bell second"],
        )


async def test_classmethods_and_functions_without_a_home_say_so_in_both_forms() -> None:
    calls: list[Callable[[], object]] = [
        lambda: Bell.get("a"),
        lambda: ring(1),
        Bell.listall,
        Bell.listall.aio,
    ]
    for call in calls:
        with pytest.raises(UsageError, match="no Bell is open"):
            call()
    for awaited in (Bell.get.aio("a"), ring.aio(1)):
        with pytest.raises(UsageError, match="no Bell is open"):
            await awaited


def test_an_override_is_called_in_both_forms_and_reaches_the_one_below() -> None:
    with LouderBell() as bell:
        assert bell.add(1) == 20
        assert asyncio.run(bell.add.aio(1)) == 20


async def test_a_call_is_named_by_the_class_that_the_caller_uses() -> None:
    bell = LouderBell()

    with pytest.raises(SyncInLoopError, match=r"await LouderBell\.place\.aio\(\) instead"):
        bell.place()
    with pytest.raises(SyncInLoopError, match=r"in LouderBell\.numbers\.aio\(\):` instead"):
        bell.numbers(1)
    with pytest.raises(UsageError, match=r"call LouderBell\.place\.aio\(\) inside"):
        await bell.place.aio()


def test_name_docstring_and_signature_are_those_of_the_body() -> None:
    bell = Bell()

    assert [thing.__doc__ for thing in (Bell.add, bell.add, Bell.get, bell.get)] == [
        *("Add two numbers.", "Add two numbers."),
        *("Get one.", "Get one."),
    ]
    assert [Bell.numbers.__doc__, Bell.listall.__doc__, ring.__doc__] == [
        "Count from 0, with an empty page before the last.",
        "List all.",
        "Ring.",
    ]
    assert str(inspect.signature(Bell.add)) == "(self, left: int, right: int = 1) -> int"
    assert str(inspect.signature(bell.add)) == "(left: int, right: int = 1) -> int"
    assert str(inspect.signature(Bell.get)) == "(name: str) -> str"
    assert str(inspect.signature(bell.numbers)) == "(stop: int, *, size: int = 2)"
    assert str(inspect.signature(ring)) == "(times: int, /) -> str"
    assert [bell.add.__name__, Bell.get.__name__, ring.__name__] == ["add", "get", "ring"]
    assert inspect.iscoroutinefunction(bell.add.aio)


def test_bound_forms_are_slots_only() -> None:
    bell = Bell()

    for bound in (bell.add, bell.numbers, bell.shutdown, ring):
        assert not hasattr(bound, "__dict__")
