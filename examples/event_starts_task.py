"""An event starts a task: the packer packs when the shop says that an order has come.

Run it with ``python examples/event_starts_task.py``.
"""

from asyncflow import NotificationClient, Runner, TaskAction, Workflow, task

with Workflow("orders") as orders:

    @task()
    async def shop() -> None:
        """Start at once, because no rule starts it later, and send an event."""
        await NotificationClient().send_event.aio("order", {"item": "apples"})

    @task()
    def pack() -> str:
        """Start when the event has come."""
        return "packed"

    pack.action_on_event_received(action=TaskAction.START, event_key="order")


def main() -> None:
    """Run it once, and print how each task went."""
    with Runner(":memory:") as runner:
        execution = runner.execute(orders)
        for run in execution.task_executions():
            print(run.task_name, run.execution_type, run.status, run.result)


if __name__ == "__main__":
    main()
