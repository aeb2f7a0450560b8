"""A trigger that is polled, a workflow that it starts, and callbacks of its tasks.

Run it with ``python examples/event_triggers.py``.
"""

import time
from datetime import datetime
from itertools import count

from asyncflow import Context, Runner, TriggerResult, Workflow, task, trigger

LINE = "-" * 40


def on_task_success(task_id: str, context: Context) -> None:
    """Say which task has succeeded."""
    print(f" [SUCCESS] Task '{task_id}' completed")


def on_task_failure(task_id: str, error: str, context: Context) -> None:
    """Say which task has failed, and why; it is called after the last attempt."""
    print(f" [FAILURE] Task '{task_id}' failed: {error}")


with Workflow("file_processor"):

    @task(id="validate_file", on_success=on_task_success, on_failure=on_task_failure)
    def validate_file(context: Context) -> None:
        """Look at a file that came in."""
        print(f" Validating file: {context.get('filename', 'unknown')}")
        context["validated"] = True

    @task(
        id="process_file",
        dependencies=[validate_file],
        on_success=on_task_success,
        on_failure=on_task_failure,
    )
    def process_file(context: Context) -> None:
        """Work on it once it is known to be good."""
        print(f" Processing file: {context.get('filename', 'unknown')}")
        context["processed_at"] = datetime.now().astimezone().isoformat()


polls = count(1)


# The runner calls it again and again; it is a plain function all the same.
@trigger(workflow="file_processor", poll_interval="200ms", allow_concurrent=False)
def file_watcher() -> TriggerResult:
    """Find a file at every fifth poll; `examples/watch_folder.py` looks for real ones."""
    if next(polls) % 5:
        return TriggerResult.skip()
    filename = f"data_{datetime.now().astimezone():%H%M%S}.csv"
    print(f" [TRIGGER] Found new file: {filename}")
    return TriggerResult.fire({"filename": filename})


def call_it(times: int) -> None:
    """Call the trigger by hand, which starts nothing."""
    for number in range(1, times + 1):
        if file_watcher().is_fire_result():
            print(f" Poll {number}: FIRE - workflow will execute")
        else:
            print(f" Poll {number}: SKIP - waiting...")


def let_it_be_polled(runner: Runner) -> None:
    """Wait until the runner's polls have started an execution, and that has ended."""
    runner.set_trigger_enabled("file_watcher", True)
    while not (history := runner.get_trigger_execution_history("file_watcher", limit=1)):
        time.sleep(0.05)
    runner.set_trigger_enabled("file_watcher", False)
    name = history[0]["workflow_execution_id"]
    if name is not None and (execution := runner.execution(name)) is not None:
        done = execution.wait()
        print(f"{LINE}\nWorkflow status: {done.status}, started by an {done.execution_type}")


def main() -> None:
    """Start the workflow by hand, poll by hand, and then let the runner do both."""
    print(f"Event Triggers and Task Callbacks Demo\n{'=' * 50}")
    with Runner(":memory:") as runner:
        runner.set_trigger_enabled("file_watcher", False)  # it is to be polled last
        print(f"\nManual execution with callbacks:\n{LINE}")
        done = runner.execute("file_processor", {"filename": "report_2024.csv"})
        print(f"{LINE}\nWorkflow status: {done.status}")

        print(f"\nPolls by hand:\n{LINE}")
        call_it(7)

        print(f"\nPolls by the runner:\n{LINE}")
        let_it_be_polled(runner)
        for each in runner.list_trigger_schedules():
            name, workflow = each["trigger_name"], each["workflow_name"]
            print(f"{name} -> {workflow}, every {each['poll_interval_ms']} ms")
    print("\nDemo complete!")


if __name__ == "__main__":
    main()
