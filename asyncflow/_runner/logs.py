"""What tasks log while their runner is open, gathered for the next transaction.

A handler on the root logger hears every thread of the process. So it never raises, waits or logs,
and where it is the only handler it leaves everything else of `logging` as if it were not there.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from typing import Final, Self

from asyncflow._clock import Clock
from asyncflow._model.port import CURRENT_TASK, Port, TaskScope
from asyncflow._model.record import LogRecord
from asyncflow._timer import Callback, Timer

logger = logging.getLogger(__name__)

ROOT: Final = logging.getLogger()
OUTPUT: Final = logging.getLogger("asyncflow.task")
"""Gets the output of child processes, also where the root logger hears warnings only."""

ENGINE: Final = "asyncflow._"
"""How the names of the engine's own loggers begin; what they say is not the task's."""

LONGEST_LINE: Final = 16 * 1024
"""Bytes of UTF-8 that are kept of one line: its beginning."""

MOST_LINES: Final = 10_000
"""Lines that are kept of one attempt; and of all tasks, while the store does not take them."""

AT_MOST: Final = timedelta(milliseconds=100)
"""How long a line waits for a transaction of others."""

FORMAT: Final = logging.Formatter()


class TaskLog(logging.Handler):
    """Keeps what the tasks of one runner log. All but `handle` is called on the home loop.

    Lines that could not be stored go with the next transaction. If the first did reach the disk
    they are there twice.
    """

    def __init__(self, port: Port, clock: Clock) -> None:
        """Hear nothing yet; `wake` must be set before anything is heard."""
        super().__init__()
        self.due = False
        self.wake: Callback
        self._port = port
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: deque[LogRecord] = deque()
        self._armed = False
        self._timer: Timer | None = None
        self._failing = False
        self._lost = 0

    @property
    def waiting(self) -> bool:
        """Whether there are lines to store."""
        return bool(self._lines)

    @contextmanager
    def hearing(self) -> Generator[Self]:
        """Hear what is logged; not `close`, which others call who configure logging anew."""
        self._loop = asyncio.get_running_loop()
        if OUTPUT.level == logging.NOTSET:
            OUTPUT.setLevel(logging.INFO)
        self._attach()
        try:
            yield self
        finally:
            self._loop = None
            ROOT.removeHandler(self)
            self._disarm()
            self._report()
            self.close()

    def take(self) -> tuple[LogRecord, ...]:
        """Return what was logged until now, for the transaction that is being made."""
        if self not in ROOT.handlers:
            self._attach()
        if not self._lines and not self._armed:
            return ()
        self._disarm()
        # Whoever adds a line after this sees that nothing is armed, and arms it.
        return tuple(self._lines.popleft() for _ in range(len(self._lines)))

    def put_back(self, lines: Sequence[LogRecord]) -> None:
        """Let lines that were not stored go with the next transaction."""
        if lines:
            self._failing = True
            self._lines.extendleft(reversed(lines))
            self._bound()
            self._arm()

    def stored(self) -> None:
        """Note that the store takes lines again."""
        if self._failing:
            self._failing = False
            self._report()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep a record, without the lock that handlers have: whoever formats may hold it long."""
        scope = CURRENT_TASK.get()
        if (
            scope is not None
            and scope.port is self._port
            and not str(record.name).startswith(ENGINE)
        ):
            self._keep(scope, record)
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and self._is_alone(record):
            last.handle(record)
        return True

    def _keep(self, scope: TaskScope, record: logging.LogRecord) -> None:
        made, level = scope.made, record.levelno
        if made.lines is None:  # threads that come at once may begin twice: some lines more
            made.lines = count()
        number = next(made.lines)
        if number < MOST_LINES:
            text = _text(record)
        elif number == MOST_LINES:
            level = logging.WARNING
            text = f"more than {MOST_LINES:,} lines: the others of this attempt were not kept"
        else:
            return
        line = LogRecord(
            execution=scope.execution,
            task_name=scope.task_name,
            sequence_number=scope.sequence_number,
            try_number=scope.try_number,
            at=self._clock.now(),
            level=level,
            text=text,
        )
        self._lines.append(line)
        if self._failing:
            self._bound()
        loop = self._loop
        if not self._armed and loop is not None:
            self._armed = True
            with suppress(RuntimeError):  # the loop was closed meanwhile, and the runner with it
                loop.call_soon_threadsafe(self._arm)

    def _is_alone(self, record: logging.LogRecord) -> bool:
        """Say whether Python would have printed a record, if no runner were open.

        Of several runners one says so.
        """
        if any(not isinstance(each, TaskLog) for each in ROOT.handlers):
            return False
        if next((each for each in ROOT.handlers if isinstance(each, TaskLog)), None) is not self:
            return False
        found = logging.Logger.manager.loggerDict.get(record.name)
        while isinstance(found, logging.Logger) and found is not ROOT:
            if found.handlers:
                return False
            found = found.parent
        return True

    def _attach(self) -> None:
        """Be on the root logger, also after somebody has configured logging anew."""
        ROOT.addHandler(self)  # which does nothing if it is there

    def _arm(self) -> None:
        """Let the lines go with the next transaction, or with one of their own."""
        self._armed = True
        if self._timer is None and not self.due and self._loop is not None:
            self._timer = self._clock.call_later(AT_MOST, self._set_off)

    def _set_off(self) -> None:
        self._timer = None
        self.due = True
        self.wake()

    def _disarm(self) -> None:
        self._armed = self.due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _bound(self) -> None:
        """Forget the oldest lines, if too many wait for a store that fails."""
        with suppress(IndexError):  # they were taken meanwhile
            while len(self._lines) > MOST_LINES:
                self._lines.popleft()
                self._lost += 1

    def _report(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            logger.warning("%d lines of tasks' logs were not kept: the store failed", lost)


def _text(record: logging.LogRecord) -> str:
    """Return a message with its traceback; formatted here, so that the record stays as it is."""
    try:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}\n{FORMAT.formatException(record.exc_info)}"
        elif record.exc_text:
            text = f"{text}\n{record.exc_text}"
        if record.stack_info:
            text = f"{text}\n{record.stack_info}"
    except Exception as error:  # user code: its values' __str__; a template that does not fit them
        text = f"(a message that cannot be formatted: {type(error).__name__})"
    return _cut(text)


def _cut(text: str) -> str:
    """Return what is kept of a text, as any store can hold it: no lone surrogates, no NUL."""
    if len(text) <= LONGEST_LINE and text.isascii() and "\0" not in text:
        return text
    kept = text[:LONGEST_LINE].replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    if len(text) <= LONGEST_LINE and len(kept) <= LONGEST_LINE:
        return kept.decode()
    mark = f"... ({len(text):,} characters)"
    return kept[: LONGEST_LINE - len(mark)].decode("utf-8", "ignore") + mark
