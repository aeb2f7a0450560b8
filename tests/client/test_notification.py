"""What a task says with `NotificationClient`: to its own workflow execution, and no further."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from asyncflow import (
    Context,
    Event,
    NotificationClient,
    Registry,
    Runner,
    SingleEventCondition,
    SyncInLoopError,
    TaskAction,
    TaskStatus,
    TaskStopped,
    UsageError,
    WaitTimeoutError,
    Workflow,
    task,
)
from asyncflow._model.port import CURRENT_TASK, StopSign, TaskScope
from tests.client.forms import Form


class Recorded(SingleEventCondition):
    """Met by any event of its key, and remembers what it saw."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.seen: list[Event] = []

    def is_met(self, event: Event, context: Context) -> bool:
        self.seen.append(event)
        return True


class Talk:
    """A workflow of a speaker, on the loop or in a thread, and of one who hears it."""

    def __init__(self, namespace: str = "default") -> None:
        self.sent: list[Event] = []
        self.heard = Recorded("said")
        with Registry() as self.registry, Workflow("talk", namespace):

            @task(id="speaker")
            async def speaker(context: Context) -> None:
                if context.get("speak") == "on the loop":
                    notifier = NotificationClient()
                    self.sent.append(await notifier.send_event.aio("said", context.get("value")))
                    self.sent.append(await notifier.send_event.aio("more", 2, {"why": "a test"}))

            @task(id="thread", dependencies=[speaker])
            def thread(context: Context) -> None:
                if context.get("speak") == "in a thread":
                    notifier = NotificationClient("localhost:50051")
                    self.sent.append(notifier.send_event("said", context.get("value")))
                    self.sent.append(notifier.send_event("more", 2, {"why": "a test"}))

            @task(id="hearer")
            async def hearer(context: Context) -> None:
                context["heard"] = True

            hearer.action_on_condition(TaskAction.START, self.heard)


@pytest.fixture(params=["on the loop", "in a thread"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_returns_the_event_as_it_was_stored(form: Form, way: str) -> None:
    talk, before = Talk("team"), datetime.now(UTC)
    with form.open(Runner(":memory:", registry=talk.registry)) as runner:
        given = {"speak": way, "value": {"n": [1]}}
        started = form.call(runner.start, "talk", given, name="one", namespace="team")
        form.call(started.wait, timeout="10s")

    said, more = talk.sent
    speaker = "speaker" if way == "on the loop" else "thread"
    assert (said.key, said.value, said.context) == ("said", {"n": [1]}, None)
    assert (more.key, more.value, more.context) == ("more", 2, {"why": "a test"})
    assert said.sender == more.sender == f"one/{speaker}"
    assert said.namespace == more.namespace == "team"
    assert said.offset is not None
    assert more.offset is not None
    assert more.offset > said.offset
    assert said.create_time is not None
    assert before <= said.create_time <= datetime.now(UTC)


def test_a_value_of_none_stays_none(form: Form, way: str) -> None:
    talk = Talk()
    with form.open(Runner(":memory:", registry=talk.registry)) as runner:
        form.call(runner.execute, "talk", {"speak": way}, timeout="10s")

    (seen,) = talk.heard.seen
    assert seen.value is None
    assert talk.sent[0].value is None
    assert (seen.offset, seen.create_time) == (None, talk.sent[0].create_time)


def test_another_execution_of_the_same_workflow_does_not_hear_it(form: Form, way: str) -> None:
    talk = Talk()
    with form.open(Runner(":memory:", registry=talk.registry)) as runner:
        deaf = form.call(runner.start, "talk")
        done = form.call(runner.execute, "talk", {"speak": way}, timeout="10s")
        with pytest.raises(WaitTimeoutError):
            form.call(deaf.wait, timeout=0)
        runs = form.call(deaf.task_executions)

        assert done.final_context["heard"] is True
        assert len(talk.heard.seen) == 1
        assert "hearer" not in [run.task_name for run in runs]


def test_the_blocking_form_in_a_task_on_the_loop_is_refused_and_sends_nothing(form: Form) -> None:
    errors: list[UsageError] = []
    with Registry() as registry, Workflow("wrong"):

        @task(id="wrong")
        async def wrong() -> None:
            try:
                NotificationClient().send_event("said")
            except SyncInLoopError as error:
                errors.append(error)

    with form.open(Runner(":memory:", registry=registry)) as runner:
        form.call(runner.execute, "wrong", timeout="10s")
        next_one = form.call(runner.send_event, "said")

    assert "await NotificationClient.send_event.aio() instead" in str(errors[0])
    assert next_one.offset == 1


@pytest.mark.parametrize("key", ["", None, "\udc80"])
def test_a_bad_key_fails_the_task_and_stores_nothing(form: Form, key: str) -> None:
    with Registry() as registry, Workflow("wrong"):

        @task(id="wrong")
        async def wrong() -> None:
            await NotificationClient().send_event.aio(key)

    with form.open(Runner(":memory:", registry=registry)) as runner:
        done = form.call(runner.execute, "wrong", timeout="10s")
        next_one = form.call(runner.send_event, "said")

    assert "Error: an event's key is" in str(done.error_message)
    assert next_one.offset == 1


def test_it_speaks_for_the_task_that_made_it_from_any_thread(form: Form) -> None:
    senders: list[str | None] = []
    with Registry() as registry, Workflow("talk"):

        @task(id="speaker")
        def speaker() -> None:
            notifier = NotificationClient()

            def send() -> None:
                senders.append(notifier.send_event("said").sender)

            thread = threading.Thread(target=send)  # it knows nothing of the task
            thread.start()
            thread.join()

    with form.open(Runner(":memory:", registry=registry)) as runner:
        form.call(runner.execute, "talk", name="one", timeout="10s")

    assert senders == ["one/speaker"]


def test_outside_a_task_it_cannot_be_made(form: Form) -> None:
    refused = pytest.raises(UsageError, match="only inside a task")
    with form.open(Runner(":memory:", registry=Registry())), refused:
        NotificationClient(None)


async def test_a_task_that_was_told_to_stop_sends_nothing() -> None:
    async with Runner(":memory:", registry=Registry()) as runner:
        sign = StopSign()
        scope = TaskScope(runner, 1, "one", "default", "a task", 1, 1, stop_sign=sign)
        token = CURRENT_TASK.set(scope)
        notifier = NotificationClient()
        CURRENT_TASK.reset(token)
        sign.raised = True

        with pytest.raises(TaskStopped):
            await notifier.send_event.aio("said")

        assert (await runner.send_event.aio("next")).offset == 1


async def test_many_threads_that_send_at_once_lose_nothing() -> None:
    with Registry() as registry, Workflow("choir"):
        for number in range(16):

            @task(id=f"singer {number}")
            def singer(context: Context) -> list[int | None]:
                notifier = NotificationClient()
                return [notifier.send_event("la", n).offset for n in range(10)]

    async with Runner(":memory:", registry=registry) as runner:
        done = await runner.execute.aio("choir", timeout="15s")
        runs = await done.task_executions.aio()
        await asyncio.gather(*(runner.send_event.aio("la") for _ in range(10)))

    results = [run.result for run in runs]
    offsets = [offset for each in results if isinstance(each, list) for offset in each]
    assert {run.status for run in runs} == {TaskStatus.SUCCESS}
    assert len(offsets) == 160
    assert len(set(map(str, offsets))) == 160
    assert all(
        each == sorted(map(int, map(str, each))) for each in results if isinstance(each, list)
    )
