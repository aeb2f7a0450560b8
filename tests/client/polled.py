"""Triggers that tests of the client ask for; none of them is polled meanwhile."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from asyncflow import (
    Client,
    Context,
    Registry,
    Runner,
    TaskAction,
    Workflow,
    WorkflowExecution,
    task,
    trigger,
)
from tests.client.forms import Form


def never() -> bool:
    """Skip: what starts here is fired by hand."""
    return False


def declared() -> Registry:
    """Declare a workflow that ends and one that waits, in two namespaces, and their triggers."""
    with Registry() as registry:
        for namespace in ("default", "team"):
            with Workflow("ends", namespace):

                @task()
                async def end(context: Context) -> None:
                    context["seen"] = sorted(context)

            with Workflow("waits", namespace):

                @task()
                async def waiter() -> None: ...

                waiter.action_on_event_received(TaskAction.START, "go")

            trigger("waits", name="b", namespace=namespace, poll_interval="1h")(never)
        trigger("ends", name="a", poll_interval="1500ms")(never)
        trigger("waits", name="c", allow_concurrent=True, poll_interval="1h")(never)
        trigger("ends", name="d", dedup="forever", poll_interval=timedelta(hours=1))(never)
    return registry


@dataclass
class Asked:
    """Who is asked, and the runner that works; often they are one."""

    form: Form
    client: Client
    runner: Runner

    def fire(
        self, name: str, context: Mapping[str, object] | None = None, key: str | None = None
    ) -> WorkflowExecution | None:
        return self.form.call(self.client.fire_trigger, name, context, key=key)

    def fired(
        self, name: str, context: Mapping[str, object] | None = None, key: str | None = None
    ) -> WorkflowExecution:
        found = self.fire(name, context, key)
        assert found is not None
        return found

    def end(self, execution: WorkflowExecution) -> WorkflowExecution:
        return self.form.call(self.client.wait, execution.name, timeout=5)


@contextmanager
def asking(kind: str, form: Form, path: Path) -> Generator[Asked]:
    """Open a runner, and a client of its own if one is to be asked."""
    registry = declared()
    with ExitStack() as stack:
        runner = stack.enter_context(form.open(Runner(path, registry=registry)))
        client: Client = runner
        if kind == "client":
            client = stack.enter_context(form.open(Client(path, registry=registry)))
        yield Asked(form, client, runner)
