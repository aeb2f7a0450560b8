"""A folder is watched: each file that lies in it, comes to it or changes is worked on once.

    python examples/watch_folder.py [FOLDER] [--database PATH] [--seconds N]

Kill it at any moment, drop files meanwhile, start it again: what was worked on is not worked on
again, and what came meanwhile is found. A name that begins with a dot is passed over.
"""

import argparse
import asyncio
import hashlib
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from asyncflow import AsyncflowError, Context, Runner, Workflow, WorkflowExecution, task
from asyncflow.triggers import FileTrigger

WORKFLOW = "watch_folder"
SHOWN = 10
DATA = Path(__file__).parent / "data"

with Workflow(WORKFLOW):

    @task(id="checksum", retries=2)
    def checksum(context: Context) -> None:
        """Read the file. The context says which one: `uri` has any name, `path` only a text."""
        path = path_of(context["uri"])
        with path.open("rb") as file:
            context["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()

    @task(id="report", dependencies=[checksum])
    async def report(context: Context) -> str:
        """Print it; on the loop, because the lines of threads may mix.

        What is recorded never runs again. A kill just before that may print a line twice.
        """
        path = path_of(context["uri"])
        text = f"{path.name!r}  {context['size']} bytes  sha256 {context['sha256'][:12]}"
        print(f"  worked on {text}", flush=True)
        return text


def path_of(uri: str) -> Path:
    """Return the path of a file, also if its name is no text."""
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def shown(execution: WorkflowExecution) -> str:
    """Say what became of a file, in one line."""
    begin = f"{execution.begin_date:%Y-%m-%d %H:%M:%S} UTC" if execution.begin_date else "queued"
    name = path_of(str(execution.final_context["uri"])).name
    return f"{begin}  {execution.status}  {name!r}  {execution.error_message or ''}".rstrip()


def hint(folder: Path) -> str:
    """Return a command that lets something happen; it adds nothing to the project's own files."""
    if folder == DATA.resolve():
        return f"touch {shlex.quote(str(folder / 'numerals.txt'))}"
    return f"date > {shlex.quote(str(folder / 'hello.txt'))}"


async def print_history(runner: Runner, trigger: str) -> None:
    """Show what the database has of earlier calls on this folder, newest first."""
    history = await runner.get_trigger_execution_history.aio(trigger, limit=None)
    names = [each["workflow_execution_id"] for each in history if each["workflow_execution_id"]]
    print(f"Worked on earlier: {len(names)}")
    for name in names[:SHOWN]:
        if (execution := await runner.execution.aio(name)) is not None:
            print(f"  {shown(execution)}")
    if len(names) > SHOWN:
        print("  ...")


async def main(folder: Path, database: Path, seconds: float) -> None:
    """Watch until the time is over, or until Ctrl-C."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    # Half a second after a file came, and has not changed since, its execution starts.
    watch = FileTrigger(WORKFLOW, folder, poll_interval="250ms")
    async with Runner(database) as runner:
        await print_history(runner, watch.trigger.name)
        print(f"\nWatching {str(folder)!r} {f'for {seconds:g} s' if seconds else 'until Ctrl-C'}.")
        print(f"Now drop a file into it, or touch one, from another terminal:\n  {hint(folder)}\n")
        sys.stdout.flush()
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), seconds or None)
    print(f"\nKept in {str(database)!r}: the next call goes on from here.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Work on each file in a folder once.")
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    parser.add_argument("--database", type=Path, default=Path(".asyncflow-watch.db"))
    parser.add_argument("--seconds", type=float, default=0, help="0: until Ctrl-C")
    given = parser.parse_args()
    folder, database = given.folder.expanduser(), given.database.absolute()
    if not (os.access(folder, os.R_OK) and folder.is_dir()):
        parser.exit(2, f"no folder that can be read: {str(folder)!r}\n")
    if database.parent.resolve() == folder.resolve() and not database.name.startswith("."):
        parser.exit(2, f"the database changes all the time: keep it out of {str(folder)!r}\n")
    try:
        asyncio.run(main(folder.resolve(), database, max(given.seconds, 0)))
    except AsyncflowError as problem:
        sys.exit(f"watch_folder: {problem}")
