"""A process of a task: in a session of its own, heard while it works, and ended without a rest.

It uses no child watcher of the loop: those of asyncio and uvloop differ, and some work on the main
thread only. It must never leave anything of a process behind, whatever cancels it.
"""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Final

from asyncflow._clock import Clock, SystemClock

CLOCK: Final[ContextVar[Clock | None]] = ContextVar("asyncflow_clock", default=None)
"""The runner's clock; None is the machine's."""

GRACE: Final = timedelta(seconds=10)
"""How long a process that was asked to end may take, before it is killed."""

PIECE: Final = 1024
"""Bytes that are read at once: a loop should not be kept by the lines in them."""

REST: Final = 64 * 1024
"""Bytes of a pipe that a process which has ended can have left in it."""

Feed = Callable[[bytes], None]


class Child:
    """A process at work. Everything is called on the loop that started it.

    Whoever starts one calls `finish`, however the work ends.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: Feed,
        *,
        environment: Mapping[str, str],
        folder: str | None = None,
        sources: Mapping[int, Feed] | None = None,
        passed: Sequence[int] = (),
    ) -> None:
        """Start it. Nothing is awaited, so that nobody can be cancelled half-way.

        A thread would not spare the loop anything: starting a process holds the interpreter's lock.

        Args:
            arguments: the program, and what it is given.
            output: takes in what it writes to stdout and stderr.
            environment: all of its environment.
            folder: where it works; None: where this process does.
            sources: further pipes and what takes them in; they are closed here from now on.
            passed: descriptors that it gets; they are closed here once it has them.
        """
        self._sources = dict(sources or {})
        self._loop = asyncio.get_running_loop()
        self._wake: asyncio.Future[None] | None = None
        self._ended = self._loop.create_future()
        given = list(passed)
        try:
            reading, writing = os.pipe()
            self._sources[reading] = output
            given.append(writing)
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                pass_fds=passed,
                start_new_session=True,
            )
        except BaseException:  # not user code: whatever it is, the pipes are closed
            self._close()
            raise
        finally:
            for descriptor in given:
                os.close(descriptor)
        self._left = REST * len(self._sources)
        for source in self._sources:
            os.set_blocking(source, False)
        self._watch()

    async def listen(self, *, patient: bool = False) -> bool:
        """Take in a piece of what it says, and return whether more may come.

        No more comes from a process that has ended and left its pipes empty, though others may
        hold them; unless ``patient``.
        """
        if not self._sources:
            return False
        over = self._ended.done() and not patient
        await self._news(turn=over)
        heard = sum(map(self._take, tuple(self._sources)))
        if not over:
            return True
        self._left -= heard
        return heard > 0 and self._left > 0

    async def ended(self) -> None:
        """Return when it has ended."""
        await asyncio.wait({self._ended})

    async def finish(self, clock: Clock) -> int:
        """End it and all of its session, and return its return code.

        One that has not ended gets SIGTERM, and after 10 s, or if the caller is cancelled
        meanwhile, SIGKILL. What it started and left gets SIGKILL.
        """
        try:
            if not self._ended.done():
                self._signal(signal.SIGTERM)
                async with clock.deadline(GRACE):
                    while await self.listen(patient=True):
                        pass
                    await self.ended()
        except (TimeoutError, asyncio.CancelledError):
            pass  # it was asked long enough, or the engine is in a hurry
        finally:
            self._signal(signal.SIGKILL)
            while not self._ended.done():
                with suppress(asyncio.CancelledError):  # nothing may make it a zombie
                    await self.ended()
            self._close()
        return self._process.wait()  # it has ended: this asks how

    async def send(self, sink: int, message: bytes) -> None:
        """Write all of a message to a pipe that it reads, unless it ends first."""
        rest = memoryview(message)
        while rest and not self._ended.done():
            try:
                rest = rest[os.write(sink, rest) :]
            except BlockingIOError:
                await self._writable(sink)
            except BrokenPipeError:
                return

    # --- inside ---

    def _watch(self) -> None:
        """Have `_ended` set once it has ended, but not yet reaped: until then its id is its own."""
        try:
            descriptor = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):  # this system has none
            threading.Thread(target=self._wait, name="asyncflow process", daemon=True).start()
        else:
            self._loop.add_reader(descriptor, self._on_end, descriptor)

    def _wait(self) -> None:
        """Wait for it in a thread; where that can be, without reaping it."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody waits in it
            self._loop.call_soon_threadsafe(self._on_end)

    def _on_end(self, descriptor: int | None = None) -> None:
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._ended.set_result(None)
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _news(self, *, turn: bool) -> None:
        """Return when it says something or ends; or, if only a ``turn``, when others had theirs."""
        self._wake = self._loop.create_future()
        if turn:
            self._loop.call_soon(self._wake_up)
        watched = () if turn else tuple(self._sources)
        for source in watched:
            self._loop.add_reader(source, self._wake_up)
        try:
            await self._wake
        finally:
            for source in watched:
                self._loop.remove_reader(source)

    async def _writable(self, sink: int) -> None:
        self._wake = self._loop.create_future()
        self._loop.add_writer(sink, self._wake_up)
        try:
            await self._wake
        finally:
            self._loop.remove_writer(sink)

    def _take(self, source: int) -> int:
        """Take in a piece from a source, if there is one, and return its size."""
        try:
            piece = os.read(source, PIECE)
        except BlockingIOError:
            return 0
        if piece:
            self._sources[source](piece)
        else:
            del self._sources[source]
            os.close(source)
        return len(piece)

    def _signal(self, number: int) -> None:
        """Signal its whole session: groups that were made in it, as timeout(1) does, too."""
        leader = self._process.pid
        # macOS refuses it where only those are left that have ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)
        for other in _others_in(leader):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(other, number)

    def _close(self) -> None:
        for source in self._sources:
            os.close(source)
        self._sources = {}


def _others_in(session: int) -> Iterator[int]:
    """Yield the processes of a session that are not in its first group; see proc_pid_stat(5)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            # The name of the program, in brackets, may itself hold brackets and spaces.
            fields = path.read_bytes().rpartition(b")")[2].split()
            group, its_session = int(fields[2]), int(fields[3])
            if its_session == session and group != session:
                yield int(path.parent.name)


def running_clock() -> Clock:
    """Return the clock of the runner whose task runs here."""
    return CLOCK.get() or SystemClock()
