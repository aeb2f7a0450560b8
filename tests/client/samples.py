"""Workflows that the tests of the client start."""

from asyncflow import Context, Registry, TaskAction, Workflow, task


def declare(registry: Registry) -> Workflow:
    """Declare one that ends, one that waits for an event, and one of another namespace."""
    with registry:
        with Workflow("chain") as chain:

            @task(id="first")
            async def first(context: Context) -> str:
                context["seen"] = [context["given"]] if "given" in context else []
                return "done"

            @task(id="second", dependencies=[first])
            def second(context: Context) -> None:
                context["seen"] = [*context["seen"], "second"]

        for namespace in ("default", "team"):
            with Workflow("waits", namespace):

                @task(id="waiter")
                async def waiter(context: Context) -> None:
                    context["came"] = True

                waiter.action_on_event_received(action=TaskAction.START, event_key="go")
    return chain
