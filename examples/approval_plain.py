"""An approval in a plain script, without asyncio: a task asks, and the script answers.

Run it with ``python examples/approval_plain.py``.
"""

from asyncflow import Context, Event, Runner, Workflow, new_event, task

with Workflow("release") as release:

    @task()
    def deploy(context: Context) -> str:
        """Ask, and ship; while it waits, its thread takes nothing from those that work."""
        approval = new_event("approve", prompt=f"Ship {context['version']}?", timeout="2d")
        return "shipped" if approval.wait() else "rejected"


def main() -> None:
    """Ship one version, and print who let it."""
    with Runner(":memory:") as runner:
        execution = runner.start(release, {"version": "1.2"})
        event = Event.get("approve", execution.name, timeout="10s")
        assert event is not None
        print(f"{event.prompt} ({event.phase})")
        event.signal(True, by="ops", comment="tests are green")
        (run,) = execution.wait().task_executions()
        print(f"{run.task_name}: {run.status}, {run.result}")
        event = event.refresh()
        print(f"{event.phase} by {event.signalled_by}: {event.comment}")


if __name__ == "__main__":
    main()
