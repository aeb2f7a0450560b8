"""A coroutine that was begun by hand, so that one that waits for nothing costs nothing more.

It is not a task: whoever began it must await it in the same task, at once.
"""

from collections.abc import Coroutine, Generator
from typing import Any


class Begun:
    """A coroutine that was begun, and waits: awaited by the task that began it, it goes on."""

    __slots__ = ("_coroutine", "_first")

    def __init__(self, coroutine: Coroutine[Any, Any, object], first: object) -> None:
        """Take what it yielded first, for the task."""
        self._coroutine = coroutine
        self._first = first

    def __await__(self) -> Generator[Any, Any, object]:
        yielded = self._first
        try:
            while True:
                try:
                    sent: object = yield yielded
                except GeneratorExit:
                    self._coroutine.close()
                    raise
                except BaseException as error:  # a cancellation: the coroutine's own to handle
                    yielded = self._coroutine.throw(error)
                else:
                    yielded = self._coroutine.send(sent)
        except StopIteration as answer:
            return answer.value
