"""Functions in processes of their own: how they are told, what they may ask, how they end."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from asyncflow import (
    Condition,
    Context,
    Event,
    PythonOperator,
    Registry,
    Runner,
    TaskAction,
    TaskExecution,
    TaskStatus,
    Workflow,
    WorkflowExecution,
    task,
)
from asyncflow._operators import process
from tests.operators import killable
from tests.operators.ears import Ears, gone, listening, lives
from tests.runner.scene import run_one, turns

pytestmark = pytest.mark.long


@pytest.fixture
def ears() -> Generator[Ears]:
    with listening() as found:
        yield found


def declare(
    function: Callable[..., object],
    arguments: Sequence[object] = (),
    keywords: Mapping[str, object] | None = None,
    retries: int = 0,
) -> Registry:
    with Registry() as registry, Workflow("w"):
        PythonOperator(
            "t",
            function,
            op_args=arguments,
            op_kwargs=keywords,
            isolation="process",
            retries=retries,
            retry_delay=0,
        )
    return registry


async def run(
    function: Callable[..., object],
    arguments: Sequence[object] = (),
    keywords: Mapping[str, object] | None = None,
    *,
    given: Mapping[str, object] | None = None,
    retries: int = 0,
) -> tuple[WorkflowExecution, TaskExecution]:
    registry = declare(function, arguments, keywords, retries)
    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", given or {"given": 1}, name="e", timeout="15s")
        (found,) = await done.task_executions.aio()
    return done, found


async def result(function: Callable[..., object], *arguments: object) -> object:
    _, found = await run(function, arguments)
    assert found.status is TaskStatus.SUCCESS, found.error_message
    return found.result


async def error(function: Callable[..., object], *arguments: object) -> tuple[str, str]:
    _, found = await run(function, arguments)
    assert found.status is TaskStatus.FAILED
    return str(found.error_message), str(found.traceback)


# --- what is told ---


async def test_a_function_runs_in_a_process_and_a_session_of_its_own() -> None:
    number, group, session = cast("list[int]", await result(killable.place))

    assert number == group == session != os.getpid()
    assert not lives(number)


async def test_arguments_and_the_context_reach_it() -> None:
    _, found = await run(killable.Holder.static, [7], {"factor": 3})

    assert found.result == 22


@pytest.mark.parametrize("path", [None, "/some/where"])
async def test_it_imports_from_where_its_runner_does_and_has_its_environment(
    path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/only/here"])
    if path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", path)

    assert await result(killable.surroundings) == [sys.path, path]


async def test_a_builtin_function_may_be_called() -> None:
    assert await result(time.sleep, 0.001) is None


async def test_a_decorated_function_is_found_through_its_operator() -> None:
    registry = Registry()
    with registry, Workflow("w"):
        PythonOperator("other", killable.decorated.python_callable, isolation="process")

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", timeout="15s")
        (found,) = await done.task_executions.aio()

    assert found.result == "other in tests.operators.killable"


async def test_only_what_it_changed_in_the_context_comes_back() -> None:
    done, found = await run(killable.changes, given={"list": [1], "same": 1.50, "gone": 0})

    assert done.final_context == {"list": [1, 2], "same": 1.5, "new": {"a": 1}}
    assert found.result == done.final_context


async def test_the_context_itself_is_no_result() -> None:
    assert await result(killable.nothing) is None


async def test_it_knows_its_names_and_numbers() -> None:
    assert await result(killable.numbers) == ["e", 1, 1]


async def test_what_it_logs_and_prints_is_logged_line_by_line(ears: Ears) -> None:
    await result(killable.says)

    assert {(20, "printed"), (20, "ünd mehr"), (20, "an error"), (20, "of a process")} < set(
        ears.lines
    )
    logged = [line for line in ears.lines if line[1] not in {"printed", "ünd mehr", "an error"}]
    assert (20, "informed of 100") in logged
    assert {
        (40, "two"),
        (40, "lines"),
        (40, "ValueError: invalid literal for int() with base 10: 'x'"),
    } < set(logged)
    assert "not heard" not in ears.texts


# --- what it asks ---


async def test_its_events_reach_the_rules_of_its_execution() -> None:
    class Said(Condition):
        def is_met(self, event: Event, context: Context) -> bool:
            return event.value == {"a": [1]} and event.context == "more"

    registry = declare(killable.sends)
    with registry, Workflow("w"):
        PythonOperator("t", killable.sends, isolation="process")

        @task()
        async def hears() -> str:
            return "heard"

        hears.action_on_condition(TaskAction.START, Said(["said"]))

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("w", name="e", timeout="15s")
        results = {each.task_name: each.result for each in await done.task_executions.aio()}

    assert results == {"t": ["said", {"a": [1]}, 1, "e/t", "more"], "hears": "heard"}


async def test_it_asks_for_the_status_of_tasks() -> None:
    assert await result(killable.asks, "t") == "RUNNING"
    text, _ = await error(killable.asks, "nobody")
    assert text == "TaskNotFoundError: workflow 'w' has no task 'nobody'; its tasks are: 't'"


async def test_it_keeps_states() -> None:
    assert await result(killable.remembers) == [None, {"a": 1}, None]


async def test_a_value_that_is_no_json_is_refused_where_it_is_sent() -> None:
    assert str(await result(killable.sends_wrongly)).startswith("value is of type object")


async def test_what_it_cannot_ask_is_named() -> None:
    text, _ = await error(killable.calls_something_else)

    assert text.startswith("UsageError: this call (find_execution) does not work in a task with ")


# --- ends ---


async def test_an_error_has_its_type_text_and_traceback() -> None:
    text, trace = await error(killable.raises)

    assert text == "OddError: it's odd"
    assert 'raise OddError("it\'s odd")' in trace


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (killable.raises_key_error, "KeyError: 'missing'"),
        (killable.exits, "SystemExit: out"),
        (killable.interrupts, "KeyboardInterrupt"),
        (killable.returns_what_is_no_json, "TypeError: result is of type object"),
    ],
)
async def test_whatever_it_raises_fails_the_task_alone(
    function: Callable[..., object], text: str
) -> None:
    _, found = await run_one(declare(function))

    assert found.status is TaskStatus.FAILED
    assert str(found.error_message).startswith(text)


@pytest.mark.parametrize(
    ("how", "text"),
    [("exit", "with return code 7"), ("SIGKILL", "by SIGKILL"), ("SIGSEGV", "by SIGSEGV")],
)
async def test_a_process_that_dies_fails_the_attempt_and_is_retried(how: str, text: str) -> None:
    _, once = await run(killable.ends_hard, [how])
    _, twice = await run(killable.ends_hard, [how], retries=1)

    assert once.error_message == (
        f"ChildProcessError: the process of task 't' ended {text}, before its function returned"
    )
    assert (twice.status, twice.try_number, twice.result) == (TaskStatus.SUCCESS, 2, "survived")


async def test_what_it_leaves_running_is_killed() -> None:
    left = cast("int", await result(killable.leaves_a_child))

    await gone([left])


async def test_no_descriptor_is_left() -> None:
    async with Runner(":memory:", registry=declare(killable.place)) as runner:
        await runner.execute.aio("w")
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(3):
            await runner.execute.aio("w")
        after = sorted(os.listdir("/proc/self/fd"))

    assert after == before


async def test_it_is_stopped_at_every_moment_of_its_start() -> None:
    async with Runner(":memory:", registry=declare(killable.place)) as runner:
        before = sorted(os.listdir("/proc/self/fd"))
        for number in range(20):
            execution = await runner.start.aio("w")
            await turns(number)
            await execution.stop.aio(wait=True)
        after = sorted(os.listdir("/proc/self/fd"))

    assert after == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222  it does not wait


async def test_told_to_stop_it_knows_and_its_calls_raise(ears: Ears, tmp_path: Path) -> None:
    path = tmp_path / "raised"
    async with Runner(":memory:", registry=declare(killable.looks, [str(path)])) as runner:
        execution = await runner.start.aio("w")
        processes = await ears.heard_begin()
        await execution.stop.aio(wait=True)
        (found,) = await execution.task_executions.aio()

    assert found.status is TaskStatus.STOPPED
    assert path.read_text() == "TaskStopped"
    await gone(processes)


async def test_no_more_processes_work_than_the_runner_gives_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = now = 0

    class Counting(process.Child):
        async def listen(self, *, patient: bool = False) -> bool:
            nonlocal most, now
            now += 1
            most = max(most, now)
            try:
                return await super().listen(patient=patient)
            finally:
                now -= 1

    monkeypatch.setattr("asyncflow._operators.isolation.Child", Counting)
    with Registry() as registry, Workflow("w"):
        for number in range(3):
            PythonOperator(f"t{number}", killable.place, isolation="process")

    async with Runner(":memory:", registry=registry, threads=1) as runner:
        await runner.execute.aio("w", timeout="15s")

    assert (most, now) == (1, 0)


async def test_a_name_that_leads_to_another_function_fails_the_task() -> None:
    (earlier,) = killable.earlier

    text, _ = await error(earlier)

    assert text.startswith("DefinitionError: task 't': tests.operators.killable.twice is ")
    assert "give each function with isolation='process' its own name" in text


async def test_the_loop_goes_on_while_a_process_starts_and_works() -> None:
    turned = 0

    async def turn() -> None:
        nonlocal turned
        while True:
            await asyncio.sleep(0.001)  # what it counts: turns of the loop
            turned += 1

    turning = asyncio.create_task(turn())
    await result(time.sleep, 0.2)
    turning.cancel()

    assert turned > 20
