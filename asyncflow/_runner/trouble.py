"""A store that takes no transactions: said once, however long it lasts, and once when it is over.

It never waits and tries nothing again: whoever has it does.
"""

import logging
from datetime import timedelta
from typing import Final

from asyncflow.errors import StoreError

logger = logging.getLogger(__name__)

PAUSES: Final = (timedelta(milliseconds=50), timedelta(seconds=5))
"""After a transaction that failed: the first, doubled each time up to the second."""


class Trouble:
    """Why the last transactions failed, and how long to wait before the next.

    Attributes:
        reason: why the last one failed; "" if it did not.
    """

    __slots__ = ("_pause", "reason")

    def __init__(self) -> None:
        """Begin without trouble."""
        self.reason = ""
        self._pause = PAUSES[0]

    def begin(self, error: StoreError, waiting: int) -> None:
        """Say why so many facts wait, unless that is known."""
        before, self.reason = self.reason, str(error) or repr(error)
        if self.reason != before:
            logger.error("a transaction failed, %d facts wait: %s", waiting, self.reason)

    def next_pause(self) -> timedelta:
        """Return how long to wait before the next try; after that, longer."""
        pause, self._pause = self._pause, min(self._pause * 2, PAUSES[1])
        return pause

    def end(self) -> None:
        """Say that it is over."""
        self.reason, self._pause = "", PAUSES[0]
        logger.info("the store takes transactions again")
