"""Signals that come while no runner is open: the next one does all that follows from them."""

from pathlib import Path

from asyncflow import Client, Registry, Runner, TaskAction, Workflow, new_event, task


def declared() -> Registry:
    with Registry() as registry, Workflow("w"):

        @task()
        async def ask() -> bool:
            return await (await new_event.aio("go")).wait.aio()

        @task()
        async def hears() -> None: ...

        hears.action_on_event_received(action=TaskAction.START, event_key="go")
    return registry


async def test_rules_hear_what_was_signalled_while_no_runner_was_open(tmp_path: Path) -> None:
    url = str(tmp_path / "a.db")
    async with Runner(url, registry=declared(), grace=0) as runner:
        started = [await runner.start.aio("w") for _ in range(40)]
        waiting = 0
        while waiting < 40:
            waiting = len([each async for each in runner.waiting_events.aio()])
    async with Client(url) as client:
        async for event in client.waiting_events.aio():
            await event.signal.aio(True)
    async with Runner(url, registry=declared()) as runner:
        for each in started:
            await runner.wait.aio(each.name, timeout=10)
            done = await runner.execution.aio(each.name)
            assert done is not None
            assert {x.task_name for x in await done.task_executions.aio()} == {"ask", "hears"}
