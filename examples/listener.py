"""A task that listens: it counts the events of a key that another task sends.

Run it with ``python examples/listener.py``.
"""

import time

from asyncflow import (
    Event,
    ListenerProcessor,
    NotificationClient,
    Runner,
    TaskAction,
    Workflow,
    task,
)

PARCELS = 5


class Counter(ListenerProcessor):
    """Counts what it hears."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.counter = 0

    def process(self, events: list[Event]) -> None:
        """Take some events, in order."""
        self.counter += len(events)


with Workflow("post") as post:

    @task()
    def count() -> int:
        """Listen until every parcel has come, and return their number."""
        counter, client = Counter(), NotificationClient()
        listener_id = client.register_listener(counter, ["parcel"])
        client.send_event("ready")
        while counter.counter < PARCELS:
            time.sleep(0.01)
        client.unregister_listener(listener_id)
        return counter.counter

    @task()
    def deliver() -> None:
        """Send parcels, and something else that nobody counts."""
        client = NotificationClient()
        for number in range(PARCELS):
            client.send_event("parcel", number)
            client.send_event("letter", number)

    deliver.action_on_event_received(TaskAction.START, "ready")


def main() -> None:
    """Run it once, and print what was counted."""
    with Runner(":memory:") as runner:
        execution = runner.execute(post)
        runs = {run.task_name: run.result for run in execution.task_executions()}
        print(f"{execution.status}: {runs['count']} parcels")


if __name__ == "__main__":
    main()
