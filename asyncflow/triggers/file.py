"""`FileTrigger`: each version of each file in a folder starts a workflow, once.

It must never take its own memory for the truth. What it has offered counts as started only when
the store gives back the cursor that went with the offer; all else is offered again, and what was
started already is refused there, by its key.
"""

import hashlib
import heapq
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from asyncflow import DefinitionError, Trigger, TriggerResult, Workflow, parse_duration, trigger
from asyncflow.triggers.folder import Folder, Found
from asyncflow.triggers.pattern import Pattern

MOST: Final = 500
"""How many files one poll offers; the others wait for the next one."""

LONGEST: Final = 1000
"""How many characters of a name a key has room for; indexes of stores have a limit."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Sighting:
    """A version of a file, as the last scan saw it.

    Attributes:
        polls: how many polls in a row have found it the same, after the first one.
        started: whether the store is known to have started it.
    """

    modified_ns: int
    size: int
    polls: int = 0
    started: bool = False


class FileTrigger:
    """Starts a workflow for each file that comes to a folder, and again when the file changed.

    A version of a file is its path below the folder, its modification time and its size. Each is
    started once, ever: nothing twice and nothing lost, also when the process is killed. A file
    that is being written waits until it has stayed the same; a renamed one is a new one. Of many
    files the first 500 are started by one poll and the others by the next ones.

    The execution finds in its context: ``uri`` of the file (``file:///...``, any bytes in it
    percent-encoded), ``path`` if that is text, ``size`` in bytes, and ``modified``, ISO 8601 in
    UTC (None beyond the year 9999).

    Links are followed to files in the folder only; folders that are links, pipes, sockets and
    devices are passed over. A link that leads out of the folder is refused, and logged once.

    Attributes:
        trigger: what it declared, in the registry whose block is open.
        folder: its absolute path.

    Args:
        workflow: what it starts: its name, which may be declared later, or the workflow itself.
        folder: where to look. If it is missing the poll fails, which the history shows.
        glob: which files, by their path below the folder: ``"*.csv"``, ``"in/*.csv"``,
            ``"**/*.csv"`` in all folders. A name that begins with a dot is matched only by a part
            of the glob that begins with one.
        name: of the trigger; None: made of the workflow, the folder's absolute path and the glob.
            Under another name all files are new.
        namespace: as for `trigger`.
        poll_interval: from one look to the next.
        settle: how long a file must have stayed the same; a whole number of poll intervals,
            rounded up, one at least. None: one.
        poll_timeout: as for `trigger`.

    Raises:
        DefinitionError: an option makes no sense; names it.
    """

    def __init__(
        self,
        workflow: str | Workflow,
        folder: str | os.PathLike[str],
        glob: str = "*",
        *,
        name: str | None = None,
        namespace: str | None = None,
        poll_interval: str | float | timedelta = "2s",
        settle: str | float | timedelta | None = None,
        poll_timeout: str | float | timedelta = "30s",
    ) -> None:
        self.folder = _absolute(folder)
        try:
            self._folder = Folder(self.folder, Pattern(glob))
            interval = parse_duration(poll_interval, "poll_interval")
            pause = interval if settle is None else parse_duration(settle, "settle", zero=True)
        except ValueError as error:
            text = f"the file trigger of {self.folder!r}: {error}"
            raise DefinitionError(text) from error
        self._polls = max(1, ceil(pause / interval))
        self._lock = Lock()
        self._sightings = dict[str, Sighting]()
        self._stored: str = ""
        self._offer: str = ""
        self._offered: list[Sighting] = []
        self._newest, self._earlier = 0, 0
        self.trigger: Trigger[[object], TriggerResult] = trigger(
            workflow,
            name=_default_name(workflow, self.folder, glob) if name is None else name,
            namespace=namespace,
            poll_interval=interval,
            dedup="forever",
            poll_timeout=poll_timeout,
        )(self.poll)

    def __repr__(self) -> str:
        return f"<FileTrigger {self.trigger.name!r}>"

    def __call__(self, cursor: object = None) -> TriggerResult:
        """Poll, as `poll`."""
        return self.poll(cursor)

    def poll(self, cursor: object = None) -> TriggerResult:
        """Look once, and offer what has settled.

        Args:
            cursor: what the last offer that was started came with.

        Raises:
            OSError: the folder is missing, or cannot be read.
            RuntimeError: the last look has not ended: the disk hangs.
        """
        if not self._lock.acquire(blocking=False):
            text = f"the last look into {self.folder!r} has not ended yet"
            raise RuntimeError(text)
        try:
            self._learn(cursor)
            return self._result(self._settled())
        finally:
            self._lock.release()

    def _learn(self, cursor: object) -> None:
        """Take from the cursor what the store has.

        One that is unknown comes from another store, another runner or an earlier process: then
        nothing is known to be started.
        """
        offer, newest = _read(cursor)
        if offer and offer == self._offer:
            for sighting in self._offered:
                sighting.started = True
        elif offer != self._stored:
            for sighting in self._sightings.values():
                sighting.started = False
            self._newest, self._earlier = newest, newest
        self._stored, self._offered = offer, []

    def _settled(self) -> list[Found]:
        """Look, and return the files that are to be offered."""
        before, now = self._sightings, dict[str, Sighting]()
        settled: list[Found] = []
        for file in self._folder.files():
            name, modified_ns, size, _ = file
            seen = before.get(name)
            if seen is None or seen.modified_ns != modified_ns or seen.size != size:
                now[name] = Sighting(modified_ns, size)
                continue
            seen.polls += 1
            now[name] = seen
            if seen.polls >= self._polls and not seen.started:
                settled.append(file)
        self._sightings = now
        return settled

    def _result(self, settled: list[Found]) -> TriggerResult:
        if not settled:
            return TriggerResult.skip()
        files = heapq.nsmallest(MOST, settled, key=self._turn)
        self._offer = uuid4().hex
        self._offered = [self._sightings[file.name] for file in files]
        self._newest = max(self._newest, *(file.changed_ns for file in files))
        cursor = {"offer": self._offer, "newest": self._newest}
        fires = [TriggerResult.fire(_context(self.folder, file), _key(file)) for file in files]
        return TriggerResult.fire_many(fires, cursor=cursor)

    def _turn(self, file: Found) -> tuple[bool, int, str]:
        """Return what files are ordered by: oldest first, but after a restart new ones first.

        All others have most likely been started by then, which only the store can tell.
        """
        return file.changed_ns <= self._earlier, file.changed_ns, file.name


def _read(cursor: object) -> tuple[str, int]:
    match cursor:
        case {"offer": str(offer), "newest": int(newest)}:
            return offer, newest
        case _:
            return "", 0


def _absolute(folder: str | os.PathLike[str]) -> str:
    path = os.path.expanduser(os.fsdecode(folder))
    if not path or "\0" in path:
        text = (
            f"a file trigger is given a folder, as FileTrigger('workflow', 'inbox'), not {path!r}"
        )
        raise DefinitionError(text)
    return os.path.abspath(path)


def _default_name(workflow: str | Workflow, folder: str, glob: str) -> str:
    what = workflow.name if isinstance(workflow, Workflow) else workflow
    path = folder if _is_text(folder) else quote(os.fsencode(folder))
    return f"{what}: {os.path.join(path, glob)}"


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _context(folder: str, file: Found) -> dict[str, object]:
    path = os.path.join(folder, file.name)
    try:
        modified = (EPOCH + timedelta(microseconds=file.modified_ns // 1000)).isoformat()
    except OverflowError:
        modified = None
    context = {"uri": Path(path).as_uri(), "size": file.size, "modified": modified}
    return {**context, "path": path} if _is_text(path) else {**context}


def _key(file: Found) -> str:
    """Return what tells this version from all others: text, whatever bytes the name has."""
    name = os.fsencode(file.name)
    text = quote(name)
    if len(text) > LONGEST:
        text = f"sha256:{hashlib.sha256(name).hexdigest()}"
    return f"{text} {file.modified_ns} {file.size}"
