"""Both forms of a call, on a home of either kind, and all the ways in which a call can end."""

import asyncio
import contextvars
import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from asyncflow._dual import (
    DualContext,
    Page,
    dual_classmethod,
    dual_function,
    dual_iterator,
    dual_iterator_classmethod,
    dual_method,
)
from asyncflow._home import Home
from asyncflow.errors import SyncInLoopError, TaskStopped, UsageError

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
WORD = contextvars.ContextVar("WORD", default="nobody's")


class Bell(DualContext):
    """A client with a session that can fail, and calls that can do anything."""

    current: "Bell | None" = None

    def __init__(self, fail_to_open: int = 0) -> None:
        self.home = Home(self.session, "Bell")
        self.log: list[str] = []
        self.fail_to_open = fail_to_open
        self.fail_to_close: BaseException | None = None
        self.entered = threading.Event()
        self.fetched: list[int | None] = []
        self.broken_page: int | None = None

    def __home__(self) -> Home:
        return self.home

    @classmethod
    def __class_home__(cls) -> Home:
        if cls.current is None:
            raise UsageError("no Bell is open")
        return cls.current.home

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        if self.fail_to_open:
            self.fail_to_open -= 1
            raise ValueError("cannot open")
        self.log.append("opened")
        task = asyncio.current_task()
        try:
            yield
        finally:
            self.log.append("closed" if asyncio.current_task() is task else "another task")
        if self.fail_to_close is not None:
            raise self.fail_to_close

    @dual_method
    async def add(self, left: int, right: int = 1) -> int:
        """Add two numbers."""
        return left + right

    @dual_method
    async def place(self) -> tuple[asyncio.AbstractEventLoop, int]:
        return asyncio.get_running_loop(), threading.get_ident()

    @dual_method
    async def task(self) -> "asyncio.Task[Any] | None":
        return asyncio.current_task()

    @dual_method
    async def word(self) -> str:
        return WORD.get()

    @dual_method
    async def fail(self, error: BaseException | type[BaseException]) -> None:
        raise error

    @dual_method
    async def hang(self, error: BaseException | None = None) -> None:
        """Wait until it is cancelled, and then take three turns of the loop to clean up."""
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            self.log.append("cleaned")
            if error is not None:
                raise error

    @dual_method
    async def interrupt(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await self.hang.aio()

    @dual_classmethod
    @classmethod
    async def get(cls, name: str) -> str:
        """Get one."""
        return f"{cls.__name__} {name}"

    @dual_iterator
    async def numbers(self, cursor: int | None, stop: int, *, size: int = 2) -> Page[int, int]:
        """Count from 0, with an empty page before the last."""
        start = cursor or 0
        self.fetched.append(cursor)
        if start == self.broken_page:
            self.broken_page = None
            raise ValueError("page is broken")
        if start == -1:
            return Page([stop])
        items = range(start, min(start + size, stop))
        return Page(items, start + size) if start < stop else Page([], -1)

    @dual_iterator_classmethod
    @classmethod
    async def listall(cls, cursor: str | None, limit: int = 2) -> Page[str, str]:
        """List all."""
        return Page([f"{cls.__name__} {cursor}"] * limit, None if cursor else "second")


class LouderBell(Bell):
    @dual_method
    async def add(self, left: int, right: int = 1) -> int:
        return 10 * await super().add.aio(left, right)


def only_home() -> Home:
    return Bell.__class_home__()


@dual_function(only_home)
async def ring(times: int, /) -> str:
    """Ring."""
    return "ding" * times


@contextmanager
def the_only(bell: Bell) -> Generator[Bell]:
    Bell.current = bell
    try:
        yield bell
    finally:
        Bell.current = None


def in_a_thread(call: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


async def to_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call)


def run_script(script: str) -> tuple[int, str, str]:
    """Run it in an interpreter of its own; one that does not end fails the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )
    return done.returncode, done.stdout, done.stderr


# ---------------------------------------------------------------- where a call runs


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
    uvloop = pytest.importorskip("uvloop")
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


# ---------------------------------------------------------------- where a call cannot run


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
        with pytest.raises(SyncInLoopError):
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


# ---------------------------------------------------------------- opening and closing


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


# ---------------------------------------------------------------- how a call ends


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), SystemExit(3), KeyboardInterrupt(), TaskStopped(), StopAsyncIteration()],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_body_raises_is_raised_in_the_caller_and_the_home_lives(
    error: BaseException,
) -> None:
    async def foreign(bell: Bell) -> BaseException | None:
        try:
            await bell.fail.aio(error)
        except BaseException as caught:
            return caught
        return None

    with Bell() as bell:
        with pytest.raises(type(error)) as caught:
            bell.fail(error)
        assert caught.value is error
        assert asyncio.run(foreign(bell)) is error
        assert bell.add(1) == 2


def test_a_body_that_is_cancelled_by_itself_raises_that_in_its_caller() -> None:
    with Bell() as bell:
        with pytest.raises(asyncio.CancelledError):
            bell.fail(asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(bell.fail.aio(asyncio.CancelledError()))
        assert bell.add(1) == 2


def test_wrong_arguments_are_the_caller_s_error_in_both_forms() -> None:
    wrong: Any
    with Bell() as bell:
        wrong = bell.add
        with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
            wrong(1, nonsense=2)
        with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
            asyncio.run(wrong.aio(1, nonsense=2))


async def hang_and_be_cancelled(bell: Bell, error: BaseException | None = None) -> None:
    task = asyncio.create_task(bell.hang.aio(error))
    await to_thread(bell.entered.wait)
    task.cancel("enough")
    await task


def test_cancelling_a_caller_in_a_foreign_loop_cancels_the_body_and_waits_for_its_end() -> None:
    with Bell() as bell:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(hang_and_be_cancelled(bell))
        assert bell.log == ["opened", "cleaned"]
        assert bell.add(1) == 2


async def test_cancelling_a_caller_on_the_home_loop_cancels_the_body() -> None:
    async with Bell() as bell:
        with pytest.raises(asyncio.CancelledError):
            await hang_and_be_cancelled(bell)
        assert bell.log == ["opened", "cleaned"]


def test_an_error_in_the_cleaning_up_of_a_cancelled_call_is_told() -> None:
    with Bell() as bell, pytest.raises(ValueError, match="in finally"):
        asyncio.run(hang_and_be_cancelled(bell, ValueError("in finally")))


def test_an_anyio_scope_in_a_foreign_loop_cancels_the_body_once() -> None:
    async def foreign(bell: Bell) -> bool:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(bell.hang.aio)
                await to_thread(bell.entered.wait)
                scope.cancel()
        return scope.cancelled_caught

    with Bell() as bell:
        assert asyncio.run(foreign(bell))
        assert bell.log == ["opened", "cleaned"]


def test_a_signal_handler_that_raises_cancels_the_call() -> None:
    def handle(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with Bell() as bell:
            main = threading.main_thread().ident or 0

            def send() -> None:
                bell.entered.wait()
                signal.pthread_kill(main, signal.SIGUSR1)

            sender = threading.Thread(target=send)
            sender.start()
            with pytest.raises(InterruptedError):
                bell.hang()
            sender.join()
            assert bell.log == ["opened", "cleaned"]
            assert bell.add(1) == 2
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_caught_error_does_not_keep_itself_alive() -> None:
    class WeightyError(Exception):
        pass

    gc.collect()
    gc.disable()
    try:
        with Bell() as bell:
            with suppress(WeightyError):
                bell.fail(WeightyError)  # the class: a body that kept its error would keep it alive
            assert not [thing for thing in gc.get_objects() if isinstance(thing, WeightyError)]
    finally:
        gc.enable()


# ---------------------------------------------------------------- processes


def test_ctrl_c_cancels_the_call_waits_for_its_end_and_is_raised() -> None:
    code, out, err = run_script(
        "from tests.test_dual import Bell\n"
        "bell = Bell()\n"
        "for _ in range(50):\n"
        "    try:\n"
        "        bell.interrupt()\n"
        "    except KeyboardInterrupt:\n"
        "        print(bell.log.pop(), bell.add(1))\n"
        "bell.shutdown()\n"
        "print(bell.log)\n"
    )

    assert (code, err) == (0, "")
    assert out == "cleaned 2\n" * 50 + "['opened', 'closed']\n"


FORK = """
import os, sys, warnings
from asyncflow.errors import UsageError
from tests.test_dual import Bell

bell = Bell()
bell.add(1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # what it warns of is what is tried here
    child = os.fork()
if child:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("child ended", code, "parent has", bell.add(1), flush=True)
    bell.shutdown()
    sys.exit()
try:
    bell.add(1)
except UsageError as error:
    print(error, flush=True)
bell.shutdown()
print("child has", Bell().add(2), flush=True)
"""


def test_a_forked_child_is_refused_and_may_open_a_home_of_its_own() -> None:
    code, out, err = run_script(FORK)

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Bell was opened before this process was forked: open another one here",
        "child has 3",
        "child ended 0 parent has 2",
    ]


FORGOTTEN = """
import asyncio, threading
from contextlib import asynccontextmanager
from asyncflow._home import Home

@asynccontextmanager
async def session():
    ended = threading.Event()
    threading.Thread(target=ended.wait).start()  # as a database has one
    try:
        yield
    finally:
        await asyncio.sleep(0)
        ended.set()
        print("closed", flush=True)

async def answer():
    return 42

async def wait():
    waits.set()
    await asyncio.Event().wait()

waits = threading.Event()
home = Home(session, "Forgotten")
threading.Thread(target=lambda: home.run(wait, "wait"), daemon=True).start()
waits.wait()
threading.excepthook = lambda what: print(what.exc_value, flush=True)
print(home.run(answer, "answer"), flush=True)
"""


def test_a_program_that_forgets_to_shut_down_closes_and_exits() -> None:
    code, out, err = run_script(FORGOTTEN)

    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["42", "closed"]


def test_a_program_that_fails_before_it_shuts_down_closes_and_exits() -> None:
    code, out, err = run_script(FORGOTTEN + "raise SystemExit(3)")

    assert (code, err) == (3, "")
    assert out.splitlines()[:2] == ["42", "closed"]


def test_a_session_that_fails_at_exit_is_logged() -> None:
    script = FORGOTTEN.replace('print("closed", flush=True)', 'raise ValueError("cannot close")')

    code, _, err = run_script(script)

    assert code == 0
    assert "Forgotten failed while it was closed" in err
    assert "ValueError: cannot close" in err


def test_nothing_opens_while_the_interpreter_shuts_down() -> None:
    code, out, err = run_script(
        "import atexit\n"
        "from asyncflow.errors import UsageError\n"
        "from tests.test_dual import Bell\n"
        "@atexit.register\n"
        "def late() -> None:\n"
        "    try:\n"
        "        Bell().add(1)\n"
        "    except UsageError as error:\n"
        "        print(error)\n"
    )

    assert (code, err) == (0, "")
    assert out == "Bell cannot be opened: the interpreter is shutting down\n"


# ---------------------------------------------------------------- listings


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


# ---------------------------------------------------------------- what they look like


def test_an_override_is_called_in_both_forms_and_reaches_the_one_below() -> None:
    with LouderBell() as bell:
        assert bell.add(1) == 20
        assert asyncio.run(bell.add.aio(1)) == 20


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
