"""A runner and a file trigger: each file is worked on once, whatever is closed in between."""

import asyncio
from pathlib import Path

import pytest

from asyncflow import (
    Context,
    ExecutionType,
    Registry,
    Runner,
    TriggerResult,
    Workflow,
    WorkflowStatus,
    task,
)
from asyncflow.triggers import FileTrigger
from asyncflow.triggers.file import MOST
from tests.runner.scene import until

NAME = "inbox"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def registry() -> Registry:
    with Registry() as registry, Workflow("intake"):

        @task()
        async def read(context: Context) -> str:
            return await asyncio.to_thread(Path(context["path"]).read_text, encoding="utf-8")

    return registry


class Counted(FileTrigger):
    """A file trigger that knows how many of its polls have ended."""

    polls = 0

    def poll(self, cursor: object = None) -> TriggerResult:
        try:
            return super().poll(cursor)
        finally:
            self.polls += 1

    async def polled(self, times: int) -> None:
        """Return when it was polled so often from now on, and what the last of them gave is kept.

        A poll begins when that of the one before it is on disk.
        """
        target = self.polls + times + 1
        await until(lambda: self.polls >= target)


def watch(registry: Registry, folder: Path, name: str = NAME) -> Counted:
    with registry:
        return Counted("intake", folder, name=name, poll_interval="10ms")


async def results(runner: Runner) -> list[tuple[str, str]]:
    """Return the name and the text of each file that was read, in order of start."""
    found: list[tuple[str, str]] = []
    async for listed in runner.executions.aio(workflow="intake"):
        done = await listed.wait.aio(timeout="10s")
        assert done.status is WorkflowStatus.SUCCESS
        assert done.execution_type is ExecutionType.EVENT
        (run,) = await done.task_executions.aio()
        found.append((Path(str(done.final_context["path"])).name, str(run.result)))
    return found[::-1]


async def errors(runner: Runner) -> list[str | None]:
    history = await runner.get_trigger_execution_history.aio(NAME, limit=None)
    return [each["error"] for each in history]


async def test_each_version_of_a_file_starts_an_execution(registry: Registry, inbox: Path) -> None:
    trigger = watch(registry, inbox)
    versions = [("a", "one"), ("a", "two and more"), ("b", "three")]

    async with Runner(":memory:", registry=registry) as runner:
        for name, text in versions:
            (inbox / name).write_text(text)
            await trigger.polled(6)

        assert await results(runner) == versions


async def test_a_restart_repeats_nothing_and_finds_what_came_meanwhile(
    registry: Registry, inbox: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'flows.db'}"
    found: list[tuple[str, str]] = []
    for name in "abc":
        (inbox / name).write_text(name)
        trigger = watch(registry, inbox)  # as another process would
        async with Runner(url, registry=registry) as runner:
            await trigger.polled(5)
            found = await results(runner)

    assert found == [("a", "a"), ("b", "b"), ("c", "c")]


async def test_one_trigger_serves_several_stores(
    registry: Registry, inbox: Path, tmp_path: Path
) -> None:
    trigger = watch(registry, inbox)
    (inbox / "a").write_text("one")
    for url in (":memory:", ":memory:", f"sqlite:///{tmp_path / 'flows.db'}"):
        async with Runner(url, registry=registry) as runner:
            await trigger.polled(5)

            assert await results(runner) == [("a", "one")]


async def test_it_asks_for_nothing_while_no_file_comes(registry: Registry, inbox: Path) -> None:
    trigger = watch(registry, inbox)
    (inbox / "a").write_text("one")

    async with Runner(":memory:", registry=registry) as runner:
        await trigger.polled(5)
        before = trigger._stored
        await trigger.polled(5)

        assert trigger._stored == before != ""
        assert await errors(runner) == [None]


async def test_a_missing_folder_is_in_the_history_and_its_files_come_when_it_is_there(
    registry: Registry, inbox: Path
) -> None:
    trigger = watch(registry, inbox)
    inbox.rmdir()

    async with Runner(":memory:", registry=registry) as runner:
        await trigger.polled(1)
        found = await errors(runner)
        inbox.mkdir()
        (inbox / "a").write_text("one")
        await trigger.polled(5)

        assert found
        assert set(found) == {f"FileNotFoundError: [Errno 2] No such file or directory: '{inbox}'"}
        assert await results(runner) == [("a", "one")]


async def test_a_disabled_workflow_gets_its_files_when_it_is_enabled(
    registry: Registry, inbox: Path
) -> None:
    trigger = watch(registry, inbox)
    (inbox / "a").write_text("one")

    async with Runner(":memory:", registry=registry) as runner:
        await runner.disable_workflow.aio("intake")
        await trigger.polled(4)
        meanwhile = await results(runner)
        await runner.enable_workflow.aio("intake")
        await trigger.polled(4)

        assert meanwhile == []
        assert await results(runner) == [("a", "one")]


async def test_a_deleted_workflow_forgets_its_files(registry: Registry, inbox: Path) -> None:
    trigger = watch(registry, inbox)
    (inbox / "a").write_text("one")

    async with Runner(":memory:", registry=registry) as runner:
        await trigger.polled(5)
        await results(runner)
        await runner.disable_workflow.aio("intake")
        await runner.delete_workflow.aio("intake")
        await trigger.polled(5)

        assert await results(runner) == [("a", "one")]
        assert len(await errors(runner)) == 1


async def test_two_triggers_on_one_folder_each_start_every_file(
    registry: Registry, inbox: Path
) -> None:
    first, second = watch(registry, inbox, "first"), watch(registry, inbox, "second")
    (inbox / "a").write_text("one")

    async with Runner(":memory:", registry=registry) as runner:
        await first.polled(5)
        await second.polled(5)

        assert await results(runner) == [("a", "one")] * 2


async def test_more_files_than_one_poll_offers_all_come(registry: Registry, inbox: Path) -> None:
    trigger = watch(registry, inbox)
    wanted = [f"{number:04}" for number in range(2 * MOST + 10)]
    for name in wanted:
        (inbox / name).touch()

    async with Runner(":memory:", registry=registry) as runner:
        await trigger.polled(6)

        assert [name for name, _ in await results(runner)] == wanted
        assert await errors(runner) == [None] * len(wanted)


async def test_a_folder_that_comes_back_brings_nothing_twice(
    registry: Registry, inbox: Path, tmp_path: Path
) -> None:
    trigger = watch(registry, inbox)
    (inbox / "a").write_text("one")

    async with Runner(":memory:", registry=registry) as runner:
        await trigger.polled(4)
        inbox.rename(tmp_path / "away")
        await trigger.polled(2)
        (tmp_path / "away").rename(inbox)
        await trigger.polled(5)

        assert await results(runner) == [("a", "one")]
