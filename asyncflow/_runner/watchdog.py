"""Names the line that blocks the home loop, from a thread of its own while it still does.

It must never wait for the loop, nor cost what it watches: it looks a few times in a tenth of a
second at where the loop is, and only if that is not at rest it asks the loop to say when it has
come to it. The place is looked up where no answer comes.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from asyncflow._runner.meter import Meter

logger = logging.getLogger(__name__)

WATCHDOG: Final = timedelta(milliseconds=100)

QUIET: Final = 10.0
"""Seconds in which the same place is not named again."""

SHORTEST: Final = 0.01
"""Seconds between two looks, at least."""

PING: Final = 1.0
"""Seconds between two pings of a loop that is at rest, which show how late it is."""

STOOD_STILL: Final = 0.05
"""Of the time that a look came late, the part that a process works at least, unless it stands."""

PLACES: Final = 100
"""Places that are remembered, so that they are not named again too soon."""

PATIENCE: Final = 1.0
"""Seconds to wait for the thread's end; only a log handler could hold it up."""

PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"
STANDARD: Final = f"{Path(os.__file__).resolve().parent}{os.sep}"
INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
ASYNCIO: Final = asyncio.Handle._run.__code__  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: SLF001
"""What calls callbacks in asyncio's own loops; others have no frame for it."""

UNKNOWN: Final = "a call that let no other thread run"


@dataclass(slots=True)
class _Block:
    """One that goes on: since when, where, and whether its beginning was logged."""

    since: float
    place: str
    told: bool


class Watchdog:
    """Watches the loop that opens it.

    Attributes:
        blocked: how often the loop was blocked.
        longest: the longest of these, in seconds.
        place: where it was the last time.
        lateness: seconds from a ping to its answer.
    """

    def __init__(self, label: str, limit: timedelta) -> None:
        """Take the loop for blocked when it answers nothing for so long."""
        self.blocked = 0
        self.longest = 0.0
        self.place: str | None = None
        self.lateness = Meter()
        self._label = label
        self._limit = limit.total_seconds()
        # A block longer than the limit has begun at most one period before the look that finds it.
        self._period = max(self._limit / 3, SHORTEST)
        self._open = threading.Lock()  # a lock costs less than an event; free, it ends the thread
        self._open.acquire()
        self._over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pinged: float | None = None
        self._last = 0.0
        self._answered: float | None = None
        self._home = self._native = 0
        self._queued = 0.0  # seconds that its thread had no processor, at the last ping
        self._base: CodeType | None = None
        self._block: _Block | None = None
        self._worked = False  # whether the process was at work while no thread could look
        self._said: dict[str, tuple[float, int]] = {}
        self._thread = threading.Thread(target=self._run, name="asyncflow watchdog", daemon=True)

    @staticmethod
    def now() -> float:
        """Return the moment to ask `lateness` about."""
        return time.monotonic()

    def open(self) -> None:
        """Watch the running loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._home, self._native = threading.get_ident(), threading.get_native_id()
        self._queued = _queued(self._native)  # not what it waited for before
        self._base = _base(sys._getframe())  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  the only way; documented
        self._loop.call_soon(self._answer)
        self._thread.start()

    def close(self) -> None:
        """Watch no more, and end the thread."""
        self._over = True
        self._open.release()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        before, used = time.monotonic(), time.process_time()
        while not (self._open.acquire(timeout=self._period) or self._over):
            now, cpu = time.monotonic(), time.process_time()
            slept, worked = now - before, cpu - used
            before, used = now, cpu
            # The time in which the loop's thread could run; to ask for it costs more than a look.
            had = slept - self._waited() if slept >= self._limit else slept
            late = had >= self._limit
            self._worked = worked >= had / 2
            try:
                if late and worked < slept * STOOD_STILL:  # stopped, or suspended
                    self._begin_anew(now)
                else:
                    self._look(now, slept if late else 0.0)
            except Exception:  # user code: a handler of the log; it watches on
                continue

    def _begin_anew(self, now: float) -> None:
        """Count nothing of what was: nobody could have answered."""
        if self._pinged is not None:
            self._pinged = now

    def _look(self, now: float, missed: float) -> None:
        """Look where the loop is; no thread could run for the seconds that were missed."""
        pinged, answered = self._pinged, self._answered
        if pinged is None:
            place = self._find()
            if place is not None or now - self._last >= PING:
                self._ping(now)
            if place is not None and missed:  # a C function does not share; its caller is at it yet
                self._begin(now - missed, now, place)
            elif missed and self._worked:  # the loop has gone on already
                self.lateness.add(now, missed)
                self._passed(now, missed)
        elif answered is not None:
            self._take(now, pinged, answered, missed)
        else:
            self._wait_on(now, pinged)

    def _wait_on(self, now: float, pinged: float) -> None:
        """Look for the place of a block, unless there is another reason for the silence."""
        if self._loop is None or not self._loop.is_running():
            self._begin_anew(now)  # between two runs of it, other code has the thread
        elif self._block is not None:
            self.longest = max(self.longest, now - self._block.since)
        elif self._silent_for(now - pinged, self._limit - self._period):
            place = self._find()
            if place is not None:  # else it waits for the machine, which is busy
                self._begin(pinged, now, place)

    def _ping(self, now: float) -> None:
        self._pinged, self._answered, self._last = now, None, now
        self._queued = _queued(self._native)
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # it is closed
            self._over = True

    def _answer(self) -> None:
        """Say that the loop has come to it; called by the loop."""
        self._home, self._native = threading.get_ident(), threading.get_native_id()
        self._base = sys._getframe(1).f_code  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  the only way; documented
        self._answered = time.monotonic()

    def _take(self, now: float, pinged: float, answered: float, missed: float) -> None:
        """Take note of an answer, with which a block is over."""
        block, self._block, self._pinged = self._block, None, None
        lateness = max(answered - (pinged if block is None else block.since), 0.0)
        self.lateness.add(now, lateness)
        if block is None and missed and lateness >= self._limit:
            self._passed(now, lateness)
        elif block is None and missed:  # it had answered before
            self._look(now, missed)
        elif block is not None:
            self._end(lateness, block.place, told=block.told)

    def _passed(self, now: float, lasted: float) -> None:
        """Take note of a block that nobody could look at while it was."""
        self.blocked += 1
        self.place = UNKNOWN
        self._end(lasted, UNKNOWN, told=self._may_say(UNKNOWN, now)[0])

    def _end(self, lasted: float, place: str, *, told: bool) -> None:
        self.longest = max(self.longest, lasted)
        if told:
            text = "the event loop of %s is free again: for %.2f s it was blocked by %s"
            logger.warning(text, self._label, lasted, place)

    def _begin(self, since: float, now: float, place: str) -> None:
        told, times = self._may_say(place, now)
        self._block = _Block(since, place, told)
        self.blocked += 1
        self.longest = max(self.longest, now - since)
        self.place = place
        if told:
            again = f", {times} times more since it was named last" if times else ""
            text = "the event loop of %s is blocked, %.2f s so far, by %s%s"
            logger.warning(text, self._label, now - since, place, again)

    def _may_say(self, place: str, now: float) -> tuple[bool, int]:
        """Say whether a place may be named now, and how often it was not meanwhile."""
        last, times = self._said.get(place, (now - QUIET, 0))
        told = now - last >= QUIET
        if len(self._said) >= PLACES:
            self._said.clear()
        self._said[place] = (now, 0) if told else (last, times + 1)
        return told, times

    def _silent_for(self, passed: float, limit: float) -> bool:
        """Say whether the loop could have answered for so long; looked up only where it may be."""
        return passed >= limit and passed - self._waited() >= limit

    def _waited(self) -> float:
        """Return for how long the loop's thread had no processor since the last ping.

        Meanwhile the machine was busy, and not the loop.
        """
        return max(_queued(self._native) - self._queued, 0.0)

    def _find(self) -> str | None:
        """Return where the loop's thread is, None if the loop itself waits there."""
        frame = sys._current_frames().get(self._home)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  the only way; documented
        if frame is None or self._base is None:
            return None
        innermost, users = frame, None
        while frame is not None and frame.f_code is not self._base:
            if users is None and not _is_library(frame.f_code.co_filename):
                users = frame
            frame = frame.f_back
        if frame is None:  # nothing that the loop has called
            return None
        if innermost is frame:  # a callback without a frame, or a loop without one, which waits
            return _line(frame) if self._base is ASYNCIO else None
        if users is None or users is innermost:
            return _line(innermost)
        return f"{_line(users)}, in {_line(innermost)}"


def _base(frame: FrameType | None) -> CodeType | None:
    """Return what the loop calls callbacks in, or is run in, as far as a stack of frames tells."""
    while frame is not None:
        if frame.f_code is ASYNCIO or frame.f_code.co_filename == asyncio.runners.__file__:
            return frame.f_code
        frame = frame.f_back
    return None


def _queued(thread: int) -> float:
    """Return the seconds that a thread has waited for a processor so far; 0 where unknown.

    The second field of /proc/<pid>/schedstat, in nanoseconds (Linux, scheduler/sched-stats).
    """
    try:
        with open(f"/proc/self/task/{thread}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _is_library(file: str) -> bool:
    """Say whether a file is none of the user's."""
    if file.startswith((PACKAGE, STANDARD, "<frozen ")):
        return True
    return any(part in file for part in INSTALLED)


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} ({code.co_qualname})"
