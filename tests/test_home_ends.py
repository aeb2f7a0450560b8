"""All the ways in which a call can end, and what signals, forks and exits do to a home."""

import asyncio
import gc
import signal
import threading
from contextlib import suppress
from typing import Any
from weakref import finalize

import anyio
import pytest

from asyncflow._root import PATIENCE, Call
from asyncflow.errors import TaskStopped
from tests.bell import Bell, run_script, to_thread


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


def test_a_cancelled_anyio_scope_does_not_cancel_the_waiting_caller_in_every_turn() -> None:
    waits, may_end = threading.Event(), asyncio.Event()

    async def clean_up_slowly() -> None:
        waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    async def end() -> None:
        may_end.set()

    async def call(bell: Bell, scope: anyio.CancelScope) -> None:
        with scope:
            await bell.home.arun(clean_up_slowly, "clean_up_slowly")

    async def foreign(bell: Bell) -> int:
        scope = anyio.CancelScope()
        task = asyncio.create_task(call(bell, scope))
        await to_thread(waits.wait)
        scope.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        cancelled = task.cancelling()
        await bell.home.arun(end, "end")
        await task
        return cancelled

    with Bell() as bell:
        assert asyncio.run(foreign(bell)) == 1


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


def test_a_call_that_is_interrupted_before_it_begins_is_over() -> None:
    with Bell() as bell:
        root = bell.home._root
        assert root is not None
        call = Call(lambda: bell.add.aio(1), "add", root)
        call.cancel()
        call.done.wait(PATIENCE)

        assert call.done.is_set
        assert call.cancelled


def test_the_task_of_a_call_dies_in_its_loop_s_thread() -> None:
    """In the main thread its death would run Python code, in which a Ctrl-C can be lost."""
    died: list[int] = []

    async def body() -> int:
        finalize(asyncio.current_task(), lambda: died.append(threading.get_ident()))
        return threading.get_ident()

    with Bell() as bell:
        root = bell.home._root
        assert root is not None
        calls = [Call(body, "body", root) for _ in range(3)]
        for call in calls:
            call.begin()
            call.done.wait(PATIENCE)
        bell.add(1)  # the loop has let go of them too

        assert died == [call.result() for call in calls]


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


def test_ctrl_c_cancels_the_call_waits_for_its_end_and_is_raised() -> None:
    code, out, err = run_script(
        "from tests.bell import Bell\n"
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
from tests.bell import Bell

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
class Printed(list):
    def append(self, line):
        print("child", line, flush=True)
another = Bell()
another.log = Printed()
print("child has", another.add(2), flush=True)
"""


def test_a_forked_child_is_refused_and_may_open_a_home_of_its_own() -> None:
    code, out, err = run_script(FORK)

    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Bell was opened before this process was forked: open another one here",
        "child opened",
        "child has 3",
        "child closed",
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
        "from tests.bell import Bell\n"
        "@atexit.register\n"
        "def late() -> None:\n"
        "    try:\n"
        "        Bell().add(1)\n"
        "    except UsageError as error:\n"
        "        print(error)\n"
    )

    assert (code, err) == (0, "")
    assert out == "Bell cannot be opened: the interpreter is shutting down\n"
