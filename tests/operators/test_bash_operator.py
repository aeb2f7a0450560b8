"""Shell commands as tasks: what they get, what is heard of them, and that nothing is left."""

import asyncio
import os
import resource
import signal
from collections.abc import Generator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from asyncflow import (
    BashError,
    BashOperator,
    DefinitionError,
    Registry,
    Runner,
    TaskExecution,
    TaskStatus,
    VirtualClock,
    Workflow,
    WorkflowExecution,
)
from asyncflow._operators import lines as lines_module
from asyncflow._operators.lines import LONGEST, Lines
from asyncflow._operators.process import Child
from tests.operators.ears import Ears, gone, listening, lives
from tests.runner.scene import turns

GRACE = timedelta(seconds=10)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def ears() -> Generator[Ears]:
    with listening() as found:
        yield found


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have commands work below a folder that can be looked at."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def declare(command: str, env: Mapping[str, str] | None = None) -> Registry:
    with Registry() as registry, Workflow("w"):
        BashOperator("b", command, env=env)
    return registry


async def run(command: str, env: Mapping[str, str] | None = None) -> TaskExecution:
    async with Runner(":memory:", registry=declare(command, env)) as runner:
        done = await runner.execute.aio("w", name="e", timeout="15s")
        (found,) = await done.task_executions.aio()
    return found


def open_files() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


async def test_a_command_that_ends_with_0_is_a_success_without_a_result(ears: Ears) -> None:
    found = await run("echo one; echo two >&2")

    assert (found.status, found.result, found.error_message) == (TaskStatus.SUCCESS, None, None)
    assert ears.lines == [(20, "one"), (20, "two")]


async def test_a_command_knows_its_task_and_gets_the_runners_environment(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_RUNNER", "r")
    monkeypatch.setenv("OVER", "r")
    monkeypatch.delenv("ASYNCFLOW_FROZEN", raising=False)

    await run("env | grep -E '^(ASYNCFLOW|OF_|OVER)' | sort", {"OF_MINE": "$(m)", "OVER": "m"})

    assert ears.texts == [
        "ASYNCFLOW_EXECUTION=e",
        "ASYNCFLOW_IDEMPOTENCY_KEY=e/b/1",
        "ASYNCFLOW_SEQUENCE_NUMBER=1",
        "ASYNCFLOW_TASK=b",
        "ASYNCFLOW_TRY_NUMBER=1",
        "OF_MINE=$(m)",
        "OF_THE_RUNNER=r",
        "OVER=m",
    ]


async def test_a_command_works_in_an_empty_folder_that_is_removed(
    ears: Ears, folders: Path
) -> None:
    await run(
        "pwd; ls -A | wc -l; mkdir -p a/b; touch a/b/c; chmod 000 a/b; readlink /proc/$$/fd/0"
    )

    folder, count, stdin = ears.texts
    assert Path(folder).parent == folders
    assert (count.strip(), stdin) == ("0", "/dev/null")
    assert list(folders.iterdir()) == []


async def test_signals_that_python_ignores_work_in_a_command(ears: Ears) -> None:
    found = await run("yes | head -n 1; echo ${PIPESTATUS[0]}")

    assert found.status is TaskStatus.SUCCESS
    assert ears.texts == ["y", "141"]  # 128 and SIGPIPE


async def test_a_return_code_fails_the_attempt_with_the_last_20_lines() -> None:
    found = await run("for i in $(seq 30); do echo line $i; done; exit 3")

    error = str(found.error_message)
    assert found.status is TaskStatus.FAILED
    assert error.startswith(
        "BashError: the command ended with return code 3; its last lines:\n  line 11\n"
    )
    assert error.endswith("\n  line 30")


async def test_a_signal_is_named() -> None:
    found = await run("kill -SEGV $$")

    assert found.error_message == "BashError: the command ended by SIGSEGV; it wrote nothing"


def test_an_error_has_the_return_code_and_the_lines() -> None:
    error = BashError(-99, ("x" * 500,))

    assert (error.returncode, error.tail) == (-99, ("x" * 500,))
    assert str(error) == f"the command ended by signal 99; its last lines:\n  {'x' * 400}..."
    assert isinstance(error, ChildProcessError)


@pytest.mark.parametrize("command", ["", " ", "a\0b", "\ud800", 7, None])
def test_what_is_no_command_is_refused(command: object) -> None:
    with pytest.raises(DefinitionError, match="'b': bash_command is the text of a command"):
        declare(cast("Any", command))


@pytest.mark.parametrize(
    ("env", "text"),
    [
        (["A"], "env is a mapping of names to texts"),
        ({"A=B": "c"}, "has the name 'A=B'"),
        ({"": "c"}, "has the name ''"),
        ({1: "c"}, "has the name 1"),
        ({"A": 1}, r"env\['A'\] is 1"),
        ({"A": "\0"}, r"env\['A'\] is"),
    ],
)
def test_an_environment_that_cannot_be_passed_is_refused(env: object, text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        declare("true", cast("Any", env))


# --- output ---


async def test_bytes_that_are_no_text_are_replaced_and_a_line_may_lack_its_end(
    ears: Ears,
) -> None:
    await run(r"printf 'a\xffb\r\n\nno end'")

    assert ears.texts == ["a\N{REPLACEMENT CHARACTER}b", "", "no end"]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_line_without_an_end_is_cut_between_characters(size: int, ears: Ears) -> None:
    text = "ä" * LONGEST
    data = b"x" + text.encode() + b"\nnext\n"
    lines = Lines(1)

    for at in range(0, len(data), size):
        lines.feed(data[at : at + size])
    lines.close()

    assert "".join(ears.texts) == f"x{text}next"
    assert [len(each.encode()) for each in ears.texts[:-1]] == [LONGEST - 1, LONGEST, 2]
    assert list(lines.tail) == ["next"]


async def test_a_million_lines_need_no_more_memory_than_a_few(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = 0

    def count(_format: str, text: str) -> None:
        nonlocal logged
        logged += 1

    await run("yes | head -n 1000")
    ears.lines.clear()
    monkeypatch.setattr(lines_module.task_log, "info", count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    found = await run("yes a line of a common length | head -n 1000000; exit 1")

    assert logged == 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # KiB
    assert str(found.error_message).count("a line of") == 20


# --- what is left ---


@pytest.mark.parametrize(
    "left",
    [
        "sleep 1000 &",
        "(trap '' TERM HUP; while :; do sleep 1000; done) &",
        "while :; do echo more; done &",
        "nohup sleep 1000 >/dev/null 2>&1 &",
    ],
)
async def test_what_a_command_leaves_in_the_background_is_killed(left: str, ears: Ears) -> None:
    found = await run(f"{left} echo begun $$ $!")

    assert found.status is TaskStatus.SUCCESS
    await gone(ears.numbers())


async def test_a_command_may_close_its_output_and_go_on(tmp_path: Path) -> None:
    proof = tmp_path.parent / f"{tmp_path.name}-proof"

    found = await run(f"exec >&- 2>&-; sleep 0.05; echo done > {proof}")

    assert (found.status, proof.read_text()) == (TaskStatus.SUCCESS, "done\n")
    proof.unlink()


async def test_no_descriptor_no_zombie_and_no_folder_is_left(folders: Path) -> None:
    with Registry() as registry, Workflow("w"):
        for number in range(10):
            BashOperator(f"b{number}", f"echo x > f; exit {number % 2}")
    async with Runner(":memory:", registry=registry) as runner:
        await runner.execute.aio("w")
        before = open_files()
        await runner.execute.aio("w")
        after = open_files()

    assert after == before
    assert not has_children()
    assert list(folders.iterdir()) == []


async def test_a_command_that_cannot_be_started_fails_and_leaves_nothing(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folders))
    before = open_files()

    found = await run("true")

    assert str(found.error_message).startswith("FileNotFoundError")
    assert open_files() == before
    assert list(folders.iterdir()) == []


# --- stopping ---


async def test_a_command_is_stopped_at_every_moment_of_its_start(folders: Path) -> None:
    with Registry() as registry, Workflow("w"):
        BashOperator("b", "touch f; sleep 1000")
    async with Runner(":memory:", registry=registry) as runner:
        before = open_files()
        for number in range(20):
            execution = await runner.start.aio("w")
            await turns(number)
            await execution.stop.aio(wait=True)
        after = open_files()

    assert after == before
    assert not has_children()
    assert list(folders.iterdir()) == []


STUBBORN = "trap '' TERM; sleep 1000 & echo begun $$ $!; while :; do wait; done"


async def stubborn(
    ears: Ears, runner: Runner, clock: VirtualClock
) -> tuple[WorkflowExecution, list[int]]:
    """Start a command that ignores SIGTERM."""
    execution = await runner.start.aio("w")
    await clock.advance(timedelta(seconds=1))
    return execution, await ears.heard_begin()


async def test_a_command_that_ignores_sigterm_is_killed_after_10_s(ears: Ears) -> None:
    clock = VirtualClock()
    async with Runner(":memory:", registry=declare(STUBBORN), clock=clock) as runner:
        execution, processes = await stubborn(ears, runner, clock)
        await execution.stop.aio()
        await clock.advance(GRACE - MOMENT)
        early = [lives(each) for each in processes]
        await clock.advance(MOMENT)
        done = await execution.wait.aio()

    assert early == [True, True]
    assert done.status == "STOPPED"
    await gone(processes)


async def test_a_command_cleans_up_within_the_10_s_and_so_do_its_children(ears: Ears) -> None:
    command = """
        mkfifo fifo; trap 'echo x > fifo & exit' TERM
        bash -c 'trap "read x < fifo; echo cleaned; exit" TERM
                 echo begun $$; while :; do sleep 0.01; done' &
        wait
    """
    async with Runner(":memory:", registry=declare(command)) as runner:
        execution = await runner.start.aio("w")
        processes = await ears.heard_begin()
        await execution.stop.aio(wait=True)

    assert ears.texts[-1] == "cleaned"
    await gone(processes)


async def test_groups_that_a_command_made_are_stopped_too(ears: Ears) -> None:
    command = "set -m; sleep 1000 & echo begun $$ $!; wait"
    async with Runner(":memory:", registry=declare(command)) as runner:
        execution = await runner.start.aio("w")
        processes = await ears.heard_begin()
        await execution.stop.aio(wait=True)

    await gone(processes)


async def test_cancelled_once_more_the_engine_waits_no_longer(ears: Ears) -> None:
    clock = VirtualClock()  # it stands still: 10 s never pass
    lines = Lines(1)
    child = Child(["bash", "-c", STUBBORN], lines.feed, environment=os.environ)
    while not ears.begun.is_set():
        await child.listen()
    ending = asyncio.create_task(child.finish(clock))
    await turns()
    early = ending.done()
    ending.cancel()
    await turns(1)
    ending.cancel()  # while the killed one is on its way to its end

    assert await ending == -signal.SIGKILL
    assert not early
    await gone(ears.numbers())


async def test_without_pidfds_a_thread_waits_for_the_end(
    monkeypatch: pytest.MonkeyPatch, ears: Ears
) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    found = await run("sleep 1000 & echo begun $$ $!; exit 4")

    assert "return code 4" in str(found.error_message)
    await gone(ears.numbers())
    assert not has_children()
