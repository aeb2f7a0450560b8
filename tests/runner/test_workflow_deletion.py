"""Workflows that are disabled, enabled and deleted."""

import asyncio
import logging
from pathlib import Path

import pytest

from asyncflow import (
    Client,
    ExecutionNotFoundError,
    Registry,
    Runner,
    Workflow,
    WorkflowDisabledError,
    WorkflowInUseError,
    WorkflowStatus,
    task,
)
from tests.runner.scene import forever
from tests.runner.test_workflow_rules import declared, on, started


async def test_a_disabled_workflow_is_started_by_nobody_and_what_runs_goes_on(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    registry = declared("started")
    with registry, Workflow("runs"):

        @task()
        async def waits() -> None:
            await gate.wait()

    async with Runner(url, registry=registry) as runner, Client(url, registry=registry) as client:
        await runner.add_workflow_rule.aio("started", on("go"))
        running = await runner.start.aio("runs")
        for name in ("started", "runs"):
            await client.disable_workflow.aio(name)
        for caller in (runner, client):
            with pytest.raises(WorkflowDisabledError, match=r"'runs' .* enable_workflow\(\)"):
                await caller.start.aio("runs")
        await runner.send_event.aio("go")
        refused = await started(runner)
        gate.set()
        done = await running.wait.aio()
        await client.enable_workflow.aio("started")
        await runner.send_event.aio("go")
        enabled = await started(runner)

    assert done.status is WorkflowStatus.SUCCESS
    assert (len(refused), len(enabled)) == (0, 1)
    assert "'started' in namespace 'default' is disabled" in caplog.text


async def test_a_workflow_is_deleted_with_its_history_once_nothing_of_it_runs(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    registry = declared("ends")
    with registry, Workflow("runs"):

        @task()
        async def waits() -> None:
            await forever()

    async with Runner(url, registry=registry) as runner:
        ended = await runner.execute.aio("ends")
        running = await runner.start.aio("runs", name="runs-1")
        with pytest.raises(WorkflowInUseError, match="while executions of it run: 'runs-1'"):
            await runner.delete_workflow.aio("runs")
        await running.stop.aio(wait=True)
        for name in ("ends", "runs"):
            await runner.delete_workflow.aio(name)
        left = [each.name async for each in runner.executions.aio()]
        found = await runner.execution.aio(ended.name)
        again = await runner.execute.aio("ends")

    assert (left, found, again.status) == ([], None, WorkflowStatus.SUCCESS)


async def test_a_client_without_the_definition_disables_what_has_executions(path: Path) -> None:
    async with Runner(path, registry=declared()) as runner:
        await runner.execute.aio("started")
        async with Client(path, registry=Registry()) as client:
            await client.disable_workflow.aio("started")
            with pytest.raises(WorkflowDisabledError):
                await runner.start.aio("started")


async def test_what_was_deleted_cannot_be_looked_at_again(url: str) -> None:
    async with Runner(url, registry=declared()) as runner:
        ended = await runner.execute.aio("started")
        await runner.delete_workflow.aio("started")

        with pytest.raises(ExecutionNotFoundError):
            await ended.refresh.aio()
