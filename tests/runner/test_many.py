"""Much at once: everything ends, the database has it all, and no event is lost."""

import asyncio
import random
import sqlite3
import threading
from collections import Counter
from pathlib import Path

from asyncflow import Context, Event, Registry, Runner, TaskAction, Workflow, WorkflowStatus, task
from tests.runner.scene import When, turns

EXECUTIONS = 100
WIDTH = 10
THREADS = 16
EACH = 20


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def declare(ran: Counter[tuple[str, str]]) -> Registry:
    """Declare ten tasks in two rows, half of them in threads; each counts its runs."""
    with Registry() as registry, Workflow("w"):
        upper: list[str] = []
        for number in range(WIDTH):
            before = upper if number >= WIDTH // 2 else []
            if number % 2:

                @task(id=f"t{number}", dependencies=list(before))
                async def on_the_loop(context: Context) -> None:
                    ran[context.execution_name, context.task_name] += 1
                    await turns(2)
                    context[context.task_name] = True

            else:

                @task(id=f"t{number}", dependencies=list(before))
                def in_a_thread(context: Context) -> None:
                    ran[context.execution_name, context.task_name] += 1
                    context[context.task_name] = True

            if number < WIDTH // 2:
                upper.append(f"t{number}")
    return registry


async def test_100_executions_of_10_tasks_all_end_and_each_task_ran_once(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    ran = Counter[tuple[str, str]]()
    async with Runner(f"sqlite:///{path}", registry=declare(ran)) as runner:
        ends = await asyncio.gather(*[runner.execute.aio("w") for _ in range(EXECUTIONS)])

    assert {end.status for end in ends} == {WorkflowStatus.SUCCESS}
    assert all(len(end.final_context) == WIDTH for end in ends)
    assert len(ran) == EXECUTIONS * WIDTH
    assert set(ran.values()) == {1}
    assert rows(path, "SELECT status, owner, count(*) FROM execution GROUP BY 1, 2") == [
        ("SUCCESS", None, EXECUTIONS)
    ]
    assert rows(
        path, "SELECT status, seq, try_number, count(*) FROM task_execution GROUP BY 1, 2, 3"
    ) == [("SUCCESS", 1, 1, EXECUTIONS * WIDTH)]
    assert rows(path, "SELECT count(*) FROM context") == [(EXECUTIONS * WIDTH,)]


async def test_executions_that_are_stopped_at_random_all_end(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    ran = Counter[tuple[str, str]]()
    dice = random.Random(7)
    async with Runner(f"sqlite:///{path}", registry=declare(ran)) as runner:

        async def one(stopped: bool) -> WorkflowStatus:
            execution = await runner.start.aio("w")
            if stopped:
                await turns(dice.randrange(200))
                await execution.stop.aio()
            return (await execution.wait.aio()).status

        plan = [number % 2 == 0 for number in range(EXECUTIONS)]
        ends = await asyncio.gather(*map(one, plan))

    assert {end for end, stopped in zip(ends, plan, strict=True) if not stopped} == {"SUCCESS"}
    assert {end for end, stopped in zip(ends, plan, strict=True) if stopped} <= {
        "SUCCESS",
        "STOPPED",
    }
    assert WorkflowStatus.STOPPED in ends
    assert set(ran.values()) == {1}
    assert rows(
        path,
        "SELECT count(*) FROM task_execution WHERE status NOT IN ('SUCCESS', 'STOPPED')",
    ) == [(0,)]
    assert rows(path, "SELECT count(*) FROM execution WHERE status IN ('INIT', 'RUNNING')") == [
        (0,)
    ]


def test_events_of_16_threads_at_once_are_all_heard_and_ordered(tmp_path: Path) -> None:
    path = tmp_path / "flows.db"
    heard: list[object] = []

    def counts(event: Event, context: Context) -> bool:
        heard.append(event.value)
        return len(heard) == THREADS * EACH

    with Registry() as registry, Workflow("w"):

        @task()
        async def last() -> None:
            """Runs at the last event."""

        last.action_on_condition(TaskAction.START, When(counts))

    offsets: dict[int, list[int | None]] = {number: [] for number in range(THREADS)}
    with Runner(f"sqlite:///{path}", registry=registry) as runner:
        execution = runner.start("w")

        def send(number: int) -> None:
            for count in range(EACH):
                offsets[number].append(runner.send_event("said", [number, count]).offset)

        threads = [threading.Thread(target=send, args=[number]) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done = execution.wait()

    every = [offset for each in offsets.values() for offset in each if offset is not None]
    stored = rows(path, 'SELECT value FROM event ORDER BY "offset"')
    assert done.status is WorkflowStatus.SUCCESS
    assert sorted(every) == list(range(1, THREADS * EACH + 1))
    assert all(each == sorted(each, key=int_of) for each in offsets.values())
    assert [str(value).replace(" ", "") for value in heard] == [str(row[0]) for row in stored]


def int_of(offset: int | None) -> int:
    assert offset is not None
    return offset
