"""A release that ships after two answers of people, however long these take.

    python examples/approval.py [DATABASE]

While it waits, kill it with Ctrl-C or `kill -9`, and start it again: it goes on where it was.
`examples/approve.py` answers from another terminal, also while this one is down.
"""

import argparse
import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field

from asyncflow import AsyncflowError, Context, Event, Runner, Workflow, new_event, task

T = TypeVar("T")
DATABASE = Path("asyncflow-approval.db")


class Rollout(BaseModel):
    """How a release goes out: the payload of the second answer."""

    region: str
    percent: int = Field(default=100, ge=1, le=100)


with Workflow("release"):

    @task(id="build")
    async def build(context: Context) -> None:
        """Build it; this is recorded, and not done again."""
        print(f"builds {context['version']}", flush=True)
        context["artifact"] = f"app-{context['version']}.whl"

    # After a crash the task begins anew, and finds what was answered: an answer is never asked for
    # twice. So ask first, and act afterwards.
    @task(id="deploy", dependencies=[build])
    async def deploy(context: Context) -> str:
        """Ask whether and how, and ship."""
        approval = await new_event.aio(
            "approve", prompt=f"Ship {context['version']}?", data_type=bool, timeout="2d"
        )
        if not await answered(approval):
            return "rejected"
        rollout = await new_event.aio(
            "rollout", prompt="To which region, and to how many percent?", data_type=Rollout
        )
        plan = await answered(rollout)
        return f"{context['artifact']} shipped to {plan.percent} % of {plan.region}"


async def answered(event: Event[T]) -> T:
    """Return the payload of an event, and print what is waited for, and who answered."""
    if event.signalled_at is None:
        until = f", until {event.deadline:%Y-%m-%d %H:%M} UTC" if event.deadline else ""
        print(f"waits for {event.name!r}: {event.prompt}{until}", flush=True)
    payload = await event.wait.aio()
    known = await event.refresh.aio()
    note = f", who says: {known.comment}" if known.comment else ""
    print(f"{event.name!r} was answered by {known.signalled_by or 'somebody'}{note}", flush=True)
    return payload


async def main(database: Path, version: str) -> None:
    """Go on with the release of a version, or start it, and wait for its end."""
    async with Runner(database) as runner:
        name = f"release-{version}"
        execution = await runner.execution.aio(name)
        if execution is None:
            print(f"{name} begins", flush=True)
            execution = await runner.start.aio("release", {"version": version}, name=name)
        else:  # the runner goes on with what it finds in the database; here we find it, too
            print(f"{name} began earlier, and is {execution.status}", flush=True)
        done = await execution.wait.aio()
        for run in await done.task_executions.aio():
            print(run.task_name, run.status, run.result or run.error_message or "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Ship a release once people have agreed.")
    parser.add_argument("database", nargs="?", type=Path, default=DATABASE)
    parser.add_argument("--release", default="1.2", help="which version is shipped")
    given = parser.parse_args()
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(main(given.database, given.release))
    except AsyncflowError as problem:
        sys.exit(f"approval: {problem}")
