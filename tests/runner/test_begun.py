"""A poll that waits goes on in its task as any coroutine does: answers, errors, cancellation."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from asyncflow._runner.begun import Begun

WHO = ContextVar("who", default="nobody")


def begin(coroutine: Coroutine[Any, Any, object]) -> Begun:
    """Begin a coroutine that waits."""
    return Begun(coroutine, coroutine.send(None))


def begin_in(context: Context, coroutine: Coroutine[Any, Any, object]) -> Begun:
    """Begin a coroutine that waits, in a context of its own."""
    return Begun(coroutine, context.run(coroutine.send, None), context)


async def test_it_returns_what_the_coroutine_returns() -> None:
    async def work() -> object:
        for _ in range(3):
            await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: "done")

    assert await begin(work()) == "done"


async def test_it_raises_what_the_coroutine_raises() -> None:
    async def work() -> object:
        await asyncio.sleep(0)
        raise LookupError("x")

    with pytest.raises(LookupError, match="x"):
        await begin(work())


async def test_what_it_waits_for_may_fail() -> None:
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def work() -> object:
        try:
            return await future
        except LookupError as error:
            return str(error)

    asyncio.get_running_loop().call_soon(future.set_exception, LookupError("x"))

    assert await begin(work()) == "x"


async def test_a_timeout_inside_it_ends_only_what_is_inside() -> None:
    async def work() -> object:
        try:
            async with asyncio.timeout(0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return "timed out"
        return "never"

    assert await begin(work()) == "timed out"


async def test_a_cancellation_reaches_the_coroutine_which_may_clean_up() -> None:
    steps: list[str] = []

    async def work() -> object:
        steps.append("begun")
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    async def outer() -> None:
        await begin(work())

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert steps == ["begun", "cleaned up"]


async def test_closed_it_closes_the_coroutine() -> None:
    closed: list[bool] = []

    async def work() -> object:
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)

    waiting = begin(work()).__await__()
    next(waiting)
    waiting.close()

    assert closed == [True]


async def test_it_goes_on_in_the_context_in_which_it_was_begun() -> None:
    context, seen = copy_context(), list[str]()
    context.run(WHO.set, "it")

    async def work() -> object:
        token = WHO.set("it, at work")
        try:
            await asyncio.sleep(0)
            seen.append(WHO.get())
            await asyncio.get_running_loop().create_future()
        finally:
            WHO.reset(token)
            seen.append(WHO.get())
        return None

    async def outer() -> None:
        await begin_in(context, work())

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closed = begin_in(context, work()).__await__()
    next(closed)
    closed.close()

    assert seen == ["it, at work", "it", "it"]
    assert WHO.get() == "nobody"
