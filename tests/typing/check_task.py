"""What type checkers must make of tasks: a decorated function is called as before; nothing is run.

Each `type: ignore` stands where a wrong call must be rejected, as in `check_dual`.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, assert_type

from asyncflow import (
    BashOperator,
    Client,
    Context,
    Event,
    PythonOperator,
    Runner,
    TaskExecution,
    Workflow,
    WorkflowExecution,
    task,
)

with Workflow("typed") as typed:

    @task(id="add", retries=3, retry_delay="1s", timeout=timedelta(minutes=1))
    def add(a: int, b: float = 1.0, *, context: Context | None = None) -> str:
        return f"{a}{b}{context}"

    @task(dependencies=[add, "other"])
    async def fetch(context: Context) -> list[int]:
        return [len(context)]

    made = PythonOperator("made", len, op_args=["abc"])


async def check_that_a_task_is_its_function() -> None:
    assert_type(add(1, b=2.0), str)
    assert_type(await fetch(Context()), list[int])
    coroutine: Coroutine[Any, Any, list[int]] = fetch(Context())
    coroutine.close()
    fetch.start_after(add)
    fetch.start_after([add, made])
    assert_type(add.name, str)


def check_wrong_calls() -> None:
    add()  # type: ignore[call-arg]
    add("1")  # type: ignore[arg-type]
    add(1, c=2)  # type: ignore[call-arg]
    add(1).aio()  # type: ignore[attr-defined]
    fetch(1).close()  # type: ignore[arg-type]
    task(add)  # type: ignore[arg-type]
    task(retries="3")  # type: ignore[arg-type]
    task(tries=3)  # type: ignore[call-arg]
    task(isolation="fork")  # type: ignore[arg-type]
    BashOperator("x")  # type: ignore[call-arg]
    BashOperator("x", ["ls"])  # type: ignore[arg-type]
    BashOperator("x", "ls", env={"A": 1})  # type: ignore[dict-item]
    BashOperator("x", "ls", tries=3)  # type: ignore[call-arg]
    PythonOperator("x", "not callable")  # type: ignore[arg-type]


def check_the_blocking_forms(client: Client) -> None:
    execution = client.start("typed", {"a": 1}, name="one")
    assert_type(execution, WorkflowExecution)
    assert_type(client.execute(typed, timeout="1m"), WorkflowExecution)
    assert_type(client.execution("one"), WorkflowExecution | None)
    assert_type(WorkflowExecution.get("one"), WorkflowExecution | None)
    assert_type(list(client.executions(limit=1)), list[WorkflowExecution])
    assert_type(client.send_event("key", [1]), Event)
    assert_type(execution.task_executions(), list[TaskExecution])
    assert_type(execution.wait(timeout=5), WorkflowExecution)


async def check_the_awaited_forms(runner: Runner) -> None:
    execution = await runner.start.aio("typed", {"a": 1}, name="one")
    assert_type(execution, WorkflowExecution)
    assert_type(await runner.execute.aio(typed, timeout="1m"), WorkflowExecution)
    assert_type(await WorkflowExecution.get.aio("one"), WorkflowExecution | None)
    async for each in WorkflowExecution.listall.aio(workflow="typed"):
        assert_type(each, WorkflowExecution)
    assert_type(await runner.send_event.aio("key"), Event)


async def check_wrong_questions(client: Client) -> None:
    client.start()  # type: ignore[call-arg]
    client.start("typed", [1])  # type: ignore[arg-type]
    client.start("typed", nam="one")  # type: ignore[call-arg]
    await client.start.aio("typed", nam="one")  # type: ignore[call-arg]
    WorkflowExecution.listall(cursor=1)  # type: ignore[call-arg]
    client.send_event(1)  # type: ignore[arg-type]
