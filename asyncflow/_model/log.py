"""A line of a task's log, as users read it. It says what was logged, and never how to show it."""

from dataclasses import dataclass
from datetime import datetime

from asyncflow._model.record import LogRecord


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record that a task logged, or one line that its child process wrote.

    Attributes:
        at: by the runner's clock, aware, UTC.
        level: the number of the `logging` module, as in ``logging.INFO``.
        text: the message, an exception's traceback below it; at most 16 KiB of UTF-8.
        try_number: the attempt that logged it.
    """

    at: datetime
    level: int
    text: str
    try_number: int

    @classmethod
    def of(cls, record: LogRecord) -> "LogLine":
        """Return what the record says."""
        return cls(record.at, record.level, record.text, record.try_number)
