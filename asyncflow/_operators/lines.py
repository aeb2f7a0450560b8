"""What a task's process prints, as lines of the log ``asyncflow.task``. It keeps few."""

import logging
from collections import deque
from typing import Final

task_log: Final = logging.getLogger("asyncflow.task")
"""What tasks say: the output of their processes, line by line."""

LONGEST: Final = 16 * 1024
"""Bytes of a line; a longer one is cut into pieces."""

_CONTINUES: Final = 0x80, 0xC0
"""A byte of UTF-8 that continues a character: its value under its mask."""


class Lines:
    """Makes lines of pieces of output, logs each at INFO as it is whole, and keeps the last."""

    def __init__(self, keep: int) -> None:
        """Keep so many lines in ``tail``."""
        self.tail: deque[str] = deque(maxlen=keep)
        self._rest = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take a piece of output in."""
        *whole, rest = piece.split(b"\n")
        for line in whole:
            self._rest += line
            self._cut()
            self._log(self._rest.removesuffix(b"\r"))
            self._rest.clear()
        self._rest += rest
        self._cut()

    def close(self) -> None:
        """Log what came after the last line's end."""
        if self._rest:
            self._log(self._rest)
            self._rest.clear()

    def _cut(self) -> None:
        while len(self._rest) > LONGEST:
            at = _boundary(self._rest)
            self._log(self._rest[:at])
            del self._rest[:at]

    def _log(self, line: bytes | bytearray) -> None:
        text = line.decode("utf-8", "replace")
        self.tail.append(text)
        task_log.info("%s", text)


def _boundary(line: bytearray) -> int:
    """Return where to cut so that no character is cut."""
    value, mask = _CONTINUES
    for at in range(LONGEST, LONGEST - 4, -1):
        if line[at] & mask != value:
            return at
    return LONGEST
