"""A periodic task, and one that follows it each time, until they have run three times.

Run it with ``python examples/periodic.py``.
"""

import time

from asyncflow import Runner, TaskExecution, Workflow, WorkflowExecution, task

REPORTS = 3

with Workflow("weather") as weather:
    # days, hours, minutes, seconds: what is left out is 0
    @task(periodic_expression="interval@0 0 0 1")
    async def measure() -> None:
        """Start with the workflow, and then every second."""

    @task(dependencies=[measure])
    async def report() -> None:
        """Start each time that the other has succeeded."""


def reports(execution: WorkflowExecution) -> list[TaskExecution]:
    """Return the runs of the second task that have ended."""
    runs = execution.task_executions()
    return [run for run in runs if run.task_name == "report" and run.status.ended]


def main() -> None:
    """Run it until the reports are there, and print when each run began."""
    with Runner(":memory:") as runner:
        execution = runner.start(weather)
        while len(reports(execution)) < REPORTS:
            time.sleep(0.01)
        execution.stop(wait=True)
        for run in execution.task_executions():
            if execution.begin_date and run.begin_date:
                seconds = (run.begin_date - execution.begin_date).total_seconds()
                print(f"{run.task_name} {run.sequence_number} after {seconds:.0f} s")


if __name__ == "__main__":
    main()
