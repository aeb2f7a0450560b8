"""A first workflow: look at a folder of files, and keep on disk what was done and found.

    python examples/quickstart.py [FOLDER] [--database PATH]

Call it twice: the second call shows the first. What starts what:

    scan ──┬── lines_and_words ──┐
           ├── kinds ────────────┼── publish ── report
           └── checksums ────────┘                │
                   └── event "inventory" ── announce
"""

import argparse
import asyncio
import hashlib
import json
import os
import stat
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path, PurePath

from asyncflow import (
    AsyncflowError,
    Context,
    NotificationClient,
    Runner,
    TaskAction,
    Workflow,
    WorkflowStatus,
    task,
)

MAX_FILES, MAX_DEPTH, CHUNK = 10_000, 20, 1 << 16
MAX_NAMES = 400_000  # bytes: a context is for small values, and warns over 512 KB

# The tasks that are made in this block belong to the workflow. `finish_when_idle`: should
# `checksums` fail, it sends no event, and the execution must not wait for `announce`.
with Workflow("quickstart", finish_when_idle=True):

    @task(id="scan")
    def scan(context: Context) -> None:
        """List the files. It starts first, because no rule starts it later."""
        folder, room, left_out = Path(context["folder"]), MAX_NAMES, 0
        files, skipped = dict[str, str](), list[str]()
        for path in below(folder):
            name = path.relative_to(folder).as_posix()
            room -= len(json.dumps(name))
            if room < 0 or len(files) == MAX_FILES:
                left_out += 1
                continue
            try:
                files[name] = kind_of(path)
            except OSError as error:
                skipped.append(f"{name!r}: {error.strerror or error}")
        context["files"] = files  # now every later task finds it in its context
        context["skipped"] = skipped[:20]
        context["counts"] = {"files": len(files), "skipped": len(skipped), "left out": left_out}

    # The next three start side by side. A `def` runs in a thread, an `async def` on the loop.

    @task(id="lines_and_words", dependencies=[scan])
    def lines_and_words(context: Context) -> dict[str, int]:
        """Count in the text files. What a task returns is kept as its result."""
        counts = [lines_and_words_of(file) for _, file in opened(context, "text")]
        totals = {"lines": sum(n for n, _ in counts), "words": sum(n for _, n in counts)}
        context["text"] = totals
        return totals

    @task(id="kinds", dependencies=[scan])
    async def kinds(context: Context) -> None:
        """Count the endings of names."""
        endings = Counter(PurePath(name).suffix or "(none)" for name in context["files"])
        context["kinds"] = dict(endings.most_common(8))

    @task(id="checksums", dependencies=[scan])
    def checksums(context: Context) -> None:
        """Find files with the same content, then send an event with the totals."""
        same, size = defaultdict[str, list[str]](list), 0
        for name, file in opened(context):
            same[hashlib.file_digest(file, "sha256").hexdigest()].append(name)
            size += file.tell()
        twins = [names for names in same.values() if len(names) > 1]
        context["twins"] = [names[:3] for names in twins[:5]]
        totals = {"files": len(context["files"]), "bytes": size, "duplicates": len(twins)}
        event = NotificationClient().send_event("inventory", totals)
        context["event"] = {"key": event.key, "offset": event.offset, "value": event.value}

    @task(id="announce")
    async def announce(context: Context) -> str:
        """Start when the event arrives, not before."""
        return f"the inventory of {context['folder']!r} is ready"

    announce.action_on_event_received(action=TaskAction.START, event_key="inventory")

    @task(id="publish", dependencies=[lines_and_words, kinds, checksums], retries=3)
    def publish(context: Context) -> None:
        """Write what was found to a file. After an error it is tried again, a second later."""
        if context.try_number == 1:
            raise ConnectionError("the first attempt fails on purpose, to show a retry")
        found = {key: context[key] for key in ("folder", "counts", "text", "kinds", "twins")}
        Path(context["report"]).write_text(json.dumps(found, indent=2), encoding="utf-8")

    @task(id="report", dependencies=[publish, announce])
    async def report(context: Context) -> None:
        """Start last: all its dependencies must have succeeded."""
        files, text = context["counts"]["files"], context["text"]
        context["summary"] = f"{files} files, {text['lines']} lines, {text['words']} words"


def below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield what is in a folder and in the folders below it. Links are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        entries = []
        yield folder  # `kind_of` refuses it, so that it is reported
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
            yield from below(folder / entry.name, depth + 1)
        else:
            yield folder / entry.name


def kind_of(path: Path) -> str:
    """Return ``"text"`` or ``"binary"``; raise OSError if it cannot be read."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("a link, a pipe, or a folder that is closed or too deep")
    with path.open("rb") as file:
        return "binary" if b"\0" in file.read(1024) else "text"


def opened(context: Context, kind: str = "") -> Iterator[tuple[str, BufferedReader]]:
    """Open the files of a kind, one after the other; one that is gone by now is passed over."""
    for name in (name for name, its in context["files"].items() if kind in its):
        try:
            with Path(context["folder"], name).open("rb") as file:
                yield name, file
        except OSError as error:
            print(f"passed over {name!r}: {error.strerror}", file=sys.stderr)


def lines_and_words_of(file: BufferedReader) -> tuple[int, int]:
    """Count line ends, and words between ASCII white space, of a file of any size."""
    lines, words, in_word = 0, 0, False
    while chunk := file.read(CHUNK):
        lines += chunk.count(b"\n")
        words += len(chunk.split()) - (in_word and not chunk[:1].isspace())
        in_word = not chunk[-1:].isspace()
    return lines, words


async def print_history(runner: Runner, most: int = 5) -> None:
    """Show what the database has of earlier calls, newest first."""
    print("Earlier executions:")
    async for listed in runner.executions.aio(workflow="quickstart"):
        earlier = await listed.refresh.aio()  # a listing leaves the contexts in the database
        begin = f"{earlier.begin_date:%Y-%m-%d %H:%M:%S} UTC" if earlier.begin_date else "not begun"
        summary = earlier.final_context.get("summary") or earlier.error_message or "-"
        print(f"  {earlier.name}  {begin}  {earlier.status}  {summary}")
        if (most := most - 1) == 0:
            break
    else:
        print("  (that is all)")


async def main(folder: Path, database: Path) -> int:
    """Run the workflow once; show the history, then how each task went and what it found."""
    async with Runner(database) as runner:
        await print_history(runner)
        context = {"folder": str(folder), "report": f"{database}.report.json"}
        done = await runner.execute.aio("quickstart", context)  # start it, and wait for its end
        print(f"\nNow {done.name}: {done.status} {done.error_message or ''}\n")
        print(f"{'task':16} {'status':8} {'tries':>5} {'duration':>11}")
        for run in await done.task_executions.aio():
            begin, end = run.begin_date, run.end_date
            took = (end - begin).total_seconds() * 1000 if begin and end else 0
            print(f"{run.task_name:16} {run.status:8} {run.try_number:>5} {took:>8,.1f} ms")
        print()
        for key in ("event", "summary", "counts", "kinds", "twins", "skipped", "report"):
            print(f"{key:8} {done.final_context.get(key)!r}")
        print(f"stored   {runner.location!r}: the next call shows this execution as an earlier one")
    return 0 if done.status is WorkflowStatus.SUCCESS else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Look at a folder of files with a workflow.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--database", type=Path, default=Path("asyncflow-quickstart.db"))
    given = parser.parse_args()
    folder = given.folder.expanduser()
    if not (os.access(folder, os.R_OK) and folder.is_dir()):
        parser.exit(2, f"no folder that can be read: {str(folder)!r}\n")
    try:
        sys.exit(asyncio.run(main(folder.resolve(), given.database.absolute())))
    except (AsyncflowError, KeyboardInterrupt) as problem:
        sys.exit(f"quickstart: {str(problem) or 'interrupted; the next call goes on with it'}")
