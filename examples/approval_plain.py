"""An approval in a plain script, without asyncio: a task asks, and the script answers.

Run it with ``python examples/approval_plain.py``.
"""

import time

from asyncflow import Context, Event, Runner, Workflow, new_event, task

with Workflow("release") as release:

    @task()
    def deploy(context: Context) -> str:
        """Ask, and ship; while it waits, its thread takes nothing from those that work."""
        approval = new_event("approve", prompt=f"Ship {context['version']}?", timeout="2d")
        return "shipped" if approval.wait() else "rejected"


def asked(run_name: str) -> Event:
    """Return the event, once the task waits for it."""
    while (event := Event.get("approve", run_name)) is None:
        time.sleep(0.01)
    return event


def main() -> None:
    """Ship one version, and print who let it."""
    with Runner(":memory:") as runner:
        execution = runner.start(release, {"version": "1.2"})
        event = asked(execution.name)
        print(f"{event.prompt} ({event.phase})")
        event.signal(True, by="Ada", comment="tests are green")
        (run,) = execution.wait().task_executions()
        print(f"{run.task_name}: {run.status}, {run.result}")
        event = event.refresh()
        print(f"{event.phase} by {event.signalled_by}: {event.comment}")


if __name__ == "__main__":
    main()
