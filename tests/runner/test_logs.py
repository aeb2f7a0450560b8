"""What tasks log is kept with them, up to a limit, and other users of `logging` notice nothing."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    LogLine,
    Registry,
    Runner,
    TaskExecution,
    UsageError,
    VirtualClock,
    Workflow,
    task,
)
from asyncflow._runner.logs import LONGEST_LINE, MOST_LINES, ROOT, TaskLog
from tests.runner.scene import forever, log_numbers, turns

logger = logging.getLogger("tests.of.logs")

AT_MOST = timedelta(milliseconds=100)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(level)
    assert not [each for each in ROOT.handlers if isinstance(each, TaskLog)]


async def lines_of(registry: Registry, url: str = ":memory:") -> list[LogLine]:
    """Run the workflow "w" of one task, and return its log."""
    async with Runner(url, registry=registry, clock=VirtualClock()) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()
        return [line async for line in run.logs.aio()]


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


async def test_what_a_task_logs_is_kept_with_level_time_and_attempt(url: str) -> None:
    clock = VirtualClock()
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logger.info("reads %d rows", 3)
            logger.warning("one is odd")

    async with Runner(url, registry=registry, clock=clock) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()
        lines = [line async for line in run.logs.aio()]

    assert lines == [
        LogLine(clock.now(), logging.INFO, "reads 3 rows", 1),
        LogLine(clock.now(), logging.WARNING, "one is odd", 1),
    ]


async def test_lines_of_a_thread_of_a_task_are_kept() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        def works() -> None:
            logger.info("in %s", threading.current_thread() is threading.main_thread())

    assert texts(await lines_of(registry)) == ["in False"]


async def test_lines_are_kept_with_the_run_and_the_attempt_that_logged_them() -> None:
    tried: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=0)
        async def first() -> None:
            logger.info("tries")
            if not tried:
                tried.append(1)
                raise ValueError("no")

        @task()
        async def other() -> None:
            logger.info("other")

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")
        logger.warning("of nobody")
        found = {
            run.task_name: [(line.text, line.try_number) async for line in run.logs.aio()]
            for run in await done.task_executions.aio()
        }

    assert found == {"first": [("tries", 1), ("tries", 2)], "other": [("other", 1)]}


async def test_a_runner_keeps_the_lines_of_its_own_tasks_only() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logger.info("mine")

    async with Runner(":memory:", registry=registry) as other:
        first = await other.execute.aio("w")
        assert texts(await lines_of(registry)) == ["mine"]
        await other.execute.aio("w")  # with what else it has gathered
        (run,) = await first.task_executions.aio()
        assert [line.text async for line in run.logs.aio()] == ["mine"]


async def test_both_forms_read_a_log_page_by_page(url: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            for number in range(5):
                logger.info("%d", number)

    async with Runner(url, registry=registry) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()
        awaited = [line.text async for line in run.logs.aio(limit=2)]
        with pytest.raises(UsageError, match="limit is a whole number"):
            _ = [line async for line in run.logs.aio(limit=0)]

    def block() -> list[str]:
        with Client(url, registry=registry) as client:
            execution = client.execution(done.name)
            assert execution is not None
            return [line.text for each in execution.task_executions() for line in each.logs(2)]

    blocked = await asyncio.to_thread(block)

    assert awaited == blocked == list("01234")


async def test_lines_of_a_task_that_goes_on_are_on_disk_after_a_tenth_of_a_second() -> None:
    clock = VirtualClock()
    spoken = asyncio.Event()
    with Registry() as registry, Workflow("w"):

        @task(idempotent=False)
        async def works() -> None:
            await spoken.wait()
            logger.info("goes on")
            await forever()

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        execution = await runner.start.aio("w")
        await clock.settle()
        spoken.set()
        await turns()
        (run,) = await execution.task_executions.aio()
        before = [line.text async for line in run.logs.aio()]
        await clock.advance(AT_MOST - MOMENT)
        still = [line.text async for line in run.logs.aio()]
        await clock.advance(MOMENT)
        after = [line.text async for line in run.logs.aio()]

    assert (before, still, after) == ([], [], ["goes on"])


async def test_the_output_of_children_is_kept_though_the_root_logger_hears_warnings_only() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logging.getLogger("asyncflow.task").info("output")
            logging.getLogger("tests.unheard").info("not heard")

    level = ROOT.level
    ROOT.setLevel(logging.WARNING)
    try:
        assert texts(await lines_of(registry)) == ["output"]
    finally:
        ROOT.setLevel(level)


async def test_what_the_engine_says_of_a_task_is_no_part_of_its_log() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logging.getLogger("asyncflow._runner.task_runner").warning("inside")
            raise ValueError("no")

    assert await lines_of(registry) == []


async def test_an_exception_is_kept_with_its_traceback() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            try:
                int("x")
            except ValueError:
                logger.exception("skipped")

    (line,) = await lines_of(registry)
    first, second, *_, last = line.text.splitlines()

    assert first == "skipped"
    assert second == "Traceback (most recent call last):"
    assert last == "ValueError: invalid literal for int() with base 10: 'x'"


class Bad:
    """Cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("no text")


async def test_what_cannot_be_formatted_or_stored_is_kept_as_far_as_it_can_be(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest cannot report it
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logger.info("%s", Bad())
            logger.info("%d rows", "three")
            logger.info("\udcff and \0")

    assert texts(await lines_of(registry, url)) == [
        "(a message that cannot be formatted: ValueError)",
        "(a message that cannot be formatted: TypeError)",
        "\\udcff and \\x00",
    ]


@pytest.mark.parametrize("letter", ["a", "é", "€"])
async def test_a_long_line_is_cut_to_16_kib(letter: str) -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logger.info(letter * (LONGEST_LINE // len(letter.encode())))
            logger.info(letter * count)

    count = LONGEST_LINE // len(letter.encode()) + 1
    fits, cut = texts(await lines_of(registry))

    assert fits == letter * (LONGEST_LINE // len(letter.encode()))
    assert cut.endswith(f"{letter}... ({count:,} characters)")
    assert LONGEST_LINE - 3 <= len(cut.encode()) <= LONGEST_LINE


async def test_of_one_attempt_ten_thousand_lines_are_kept_and_one_that_says_so() -> None:
    tried: list[int] = []
    with Registry() as registry, Workflow("w"):

        @task(retries=1, retry_delay=0)
        def works() -> None:
            log_numbers(MOST_LINES + 3)
            if not tried:
                tried.append(1)
                raise ValueError("no")

    lines = await lines_of(registry)

    first = [line for line in lines if line.try_number == 1]
    assert len(lines) == 2 * len(first) == 2 * (MOST_LINES + 1)
    assert texts(first[:2]) == ["0", "1"]
    assert first[-2].text == str(MOST_LINES - 1)
    assert first[-1].text == "more than 10,000 lines: the others of this attempt were not kept"


async def test_lines_are_kept_after_somebody_has_configured_logging_anew() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def first() -> None:
            pass

        @task(dependencies=[first])
        async def second() -> None:
            logger.info("heard")

    kept = ROOT.handlers[:]
    async with Runner(":memory:", registry=registry) as runner:
        for each in ROOT.handlers[:]:
            ROOT.removeHandler(each)
            if isinstance(each, TaskLog):
                each.close()
        ROOT.handlers[:] = kept
        done = await runner.execute.aio("w")
        _, run = await done.task_executions.aio()
        lines = [line.text async for line in run.logs.aio()]

    assert lines == ["heard"]


SCRIPT = """
import logging
from asyncflow import Runner

logging.getLogger().setLevel(logging.INFO)
with Runner(":memory:") as one, Runner(":memory:") as two:
    logging.getLogger("a.b").info("not shown")
    logging.getLogger("a.b").warning("shown")
    one.execution("nobody")
    logging.getLogger("c").addHandler(logging.NullHandler())
    logging.getLogger("c.d").warning("has a handler")
"""


def test_where_nobody_configured_logging_warnings_reach_stderr_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=Path(__file__).resolve().parent.parent.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "shown\n")


async def test_a_copy_of_a_task_execution_is_data_and_finds_the_only_client_that_is_open() -> None:
    with Registry() as registry, Workflow("w"):

        @task()
        async def works() -> None:
            logger.info("said")

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w")
        (run,) = await done.task_executions.aio()
        copy = TaskExecution(
            run.workflow_execution_id, run.task_name, run.sequence_number, run.execution_type
        )
        lines = [line.text async for line in copy.logs.aio()]

    assert lines == ["said"]
