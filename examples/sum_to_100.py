"""A condition that remembers: the consumer starts once the numbers it was sent add up to 100.

The producer never ends by itself; a rule stops it. Run it with ``python examples/sum_to_100.py``.
"""

import time
from itertools import count

from asyncflow import (
    Condition,
    Context,
    Event,
    NotificationClient,
    Runner,
    TaskAction,
    TaskStatus,
    ValueStateDescriptor,
    Workflow,
    task,
)

GOAL = 100
TOTAL = ValueStateDescriptor("total")  # kept in the store, with each event that changes it


class SumIs100(Condition):
    """Met when the values of its events add up to 100."""

    def is_met(self, event: Event, context: Context) -> bool:
        """Add the event's value to what there is."""
        assert isinstance(event.value, int)  # one that raises counts as not met
        state = context.get_state(TOTAL)
        state.update((state.value() or 0) + event.value)
        return bool(state.value() >= GOAL)


with Workflow("sum_to_100") as sum_to_100:

    @task()
    def producer() -> None:
        """Send 1, 2, 3 and so on; once the task is stopped, `send_event` ends it."""
        client = NotificationClient()
        for number in count(1):
            client.send_event("number", number)
            time.sleep(0.01)

    @task()
    def consumer(context: Context) -> int:
        """Return the sum."""
        return int(context.get_state(TOTAL).value())

    consumer.action_on_condition(TaskAction.START, SumIs100(["number"]))
    producer.action_on_task_status(TaskAction.STOP, {consumer: TaskStatus.SUCCESS})


def main() -> None:
    """Run it once, and print how each task went."""
    with Runner(":memory:") as runner:
        execution = runner.execute(sum_to_100)
        for run in execution.task_executions():
            print(run.task_name, run.status, run.result)


if __name__ == "__main__":
    main()
