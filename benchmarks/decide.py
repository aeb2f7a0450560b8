"""The cost of one decision at 10, 100, 1,000 and 10,000 tasks: it must not grow with the workflow.

Two shapes: a chain, where each end starts the next task, and a join, where one task waits for all
others. No store, no loop: `decide` and `apply` alone.
"""

import statistics
import sys
import time
from datetime import UTC, datetime

from asyncflow import Registry, Workflow, task
from asyncflow._core.commands import StartTask
from asyncflow._core.decide import decide
from asyncflow._core.execution import ExecutionState
from asyncflow._core.facts import ExecutionStarted, Fact, TaskEnded, TaskStarted
from asyncflow._core.plan import Plan
from asyncflow._core.state import Outcome
from asyncflow._model.status import TaskStatus, WorkflowStatus
from benchmarks.yardstick import judge, options, run

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = 5
MOST_GROWTH = 2.0
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def chain(size: int) -> Plan:
    """Return the plan of a chain."""
    with Registry(), Workflow("chain") as workflow:
        for number in range(size):
            before = [f"t{number - 1}"] if number else []

            @task(id=f"t{number}", dependencies=before)
            async def link() -> None:
                """Never runs."""

    return Plan.of(workflow)


def join(size: int) -> Plan:
    """Return the plan of tasks that one waits for."""
    with Registry(), Workflow("join") as workflow:
        names = [f"t{number}" for number in range(size - 1)]
        for name in names:

            @task(id=name)
            async def one() -> None:
                """Never runs."""

        @task(id="last", dependencies=names)
        async def last() -> None:
            """Never runs."""

    return Plan.of(workflow)


def decisions(plan: Plan) -> list[float]:
    """Run an execution in memory to its end; return the microseconds of all decisions but one.

    The first is left out: it starts every task that waits for nothing, however many.
    """
    state = ExecutionState.new(plan, {})
    taken: list[float] = []
    todo: list[Fact] = [ExecutionStarted(NOON)]
    while todo:
        fact = todo.pop()
        begin = time.perf_counter()
        decision = decide(plan, state, fact)
        state.apply(decision)
        taken.append((time.perf_counter() - begin) * 1e6)
        for command in decision.commands:
            if isinstance(command, StartTask):
                todo += _life(command)
    if state.head.status is not WorkflowStatus.SUCCESS:
        sys.exit(f"{plan.workflow} of {len(plan.tasks)} ended {state.head.status}")
    return taken[1:]


def _life(command: StartTask) -> list[Fact]:
    attempt = (command.task, command.sequence_number, command.try_number)
    ended = TaskEnded(NOON, *attempt, Outcome(TaskStatus.SUCCESS))
    return [ended, TaskStarted(NOON, *attempt)]


def main() -> None:
    """Print the median cost of a decision for each shape and size."""
    options(__doc__).parse_args()
    for shape in (chain, join):
        medians: list[float] = []
        for size in SIZES:
            plan = shape(size)
            rounds = [statistics.median(decisions(plan)) for _ in range(ROUNDS)]
            medians.append(statistics.median(rounds))
        cells = ", ".join(
            f"{size:,}: {cost:.1f}" for size, cost in zip(SIZES, medians, strict=True)
        )
        print(f"one decision, {shape.__name__}: {cells} us")
        growth = max(medians) / min(medians)
        judge(f"one decision, {shape.__name__}, longest by shortest", growth, "x", MOST_GROWTH)


if __name__ == "__main__":
    run(main)
