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
import io
import json
import os
import stat
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import TypeVar

from asyncflow import (
    AsyncflowError,
    Context,
    NotificationClient,
    Runner,
    TaskAction,
    Workflow,
    WorkflowExecution,
    WorkflowStatus,
    task,
)

T = TypeVar("T")
MAX_FILES, MAX_DEPTH, CHUNK = 10_000, 20, 1 << 16
MAX_NAMES = 400_000  # bytes: a context is for small values, and warns over 512 KB

# The tasks that are made in this block belong to the workflow. `finish_when_idle`: should
# `checksums` fail, it sends no event, and the execution must not wait for `announce`.
with Workflow("quickstart", finish_when_idle=True):

    @task(id="scan")
    def scan(context: Context) -> None:
        """List the files. It starts first, because no rule starts it later."""
        folder, files, skipped, left_out = Path(context["folder"]), dict[str, str](), list[str](), 0
        room = MAX_NAMES
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

    # The next three start side by side when `scan` has succeeded. A `def` runs in a thread, where
    # it may block; an `async def` runs on the event loop.

    @task(id="lines_and_words", dependencies=[scan])
    def lines_and_words(context: Context) -> dict[str, int]:
        """Count in the text files. What a task returns is kept as its result."""
        texts = [name for name, kind in context["files"].items() if kind == "text"]
        counts = [count for _, count in each(context["folder"], texts, lines_and_words_of)]
        context["text"] = {"lines": sum(n for n, _ in counts), "words": sum(n for _, n in counts)}
        return context["text"]

    @task(id="kinds", dependencies=[scan])
    async def kinds(context: Context) -> None:
        """Count the endings of names."""
        endings = Counter(PurePath(name).suffix or "(none)" for name in context["files"])
        context["kinds"] = dict(endings.most_common(8))

    @task(id="checksums", dependencies=[scan])
    def checksums(context: Context) -> None:
        """Find files with the same content, then send an event with the totals."""
        same, size = defaultdict[str, list[str]](list), 0
        for name, (digest, length) in each(context["folder"], context["files"], checksum_of):
            same[digest].append(name)
            size += length
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
    def publish(context: Context) -> str:
        """Write what was found to a file. After an error it is tried again, a second later."""
        if context.try_number == 1:
            text = "no answer (on purpose: the first attempt always fails, to show a retry)"
            raise ConnectionError(text)
        found = {key: context[key] for key in ("folder", "counts", "text", "kinds", "twins")}
        Path(context["report"]).write_text(json.dumps(found, indent=2), encoding="utf-8")
        return context["report"]

    @task(id="report", dependencies=[publish, announce])
    async def report(context: Context) -> None:
        """Start last: all its dependencies must have succeeded."""
        context["summary"] = "{files} files, {lines} lines, {words} words".format(
            **context["counts"], **context["text"]
        )


def below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield what is in a folder and in the folders below it. Links are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield folder  # `kind_of` fails with it, and is reported
        return
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
            yield from below(path, depth + 1)
        else:
            yield path


def kind_of(path: Path) -> str:
    """Return ``"text"`` or ``"binary"``; raise OSError if it cannot be read."""
    if not stat.S_ISREG(path.lstat().st_mode):
        text = "a link, a pipe, or a folder that is closed or too deep"
        raise OSError(text)
    with path.open("rb") as file:
        return "binary" if b"\0" in file.read(1024) else "text"


def each(folder: str, names: Iterable[str], read: Callable[[Path], T]) -> Iterator[tuple[str, T]]:
    """Yield what `read` finds in each file; one that is gone by now is reported and passed over."""
    for name in names:
        try:
            found = read(Path(folder, name))
        except OSError as error:
            print(f"passed over {name!r}: {error.strerror}", file=sys.stderr)
        else:
            yield name, found


def lines_and_words_of(path: Path) -> tuple[int, int]:
    """Count line ends, and words between ASCII white space, of a file of any size."""
    lines = words = 0
    in_word = False
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            lines += chunk.count(b"\n")
            words += len(chunk.split()) - (in_word and not chunk[:1].isspace())
            in_word = not chunk[-1:].isspace()
    return lines, words


def checksum_of(path: Path) -> tuple[str, int]:
    """Return a file's SHA-256, and its size in bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


async def print_history(runner: Runner) -> None:
    """Show the last executions that are in the database already, newest first."""
    print("Earlier executions:")
    shown = 0
    async for listed in runner.executions.aio(workflow="quickstart", limit=5):
        execution = await listed.refresh.aio()  # a listing leaves the contexts in the database
        files = execution.final_context.get("files") or {}
        when = f"{execution.begin_date.astimezone():%Y-%m-%d %H:%M:%S}" if execution.begin_date else "-"
        print(f"  {execution.name}  {when}  {execution.status:8} {len(files)} files")
        shown += 1
        if shown == 5:
            break
    if not shown:
        print("  none")
