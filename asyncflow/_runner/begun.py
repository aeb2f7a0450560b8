"""A coroutine that was begun by hand, so that one that waits for nothing costs nothing more.

It is not a task: whoever began it must await it in the same task, at once.
"""

from collections.abc import Coroutine, Generator
from contextvars import Context
from functools import partial
from typing import Any


class Begun:
    """A coroutine that was begun, and waits: awaited by the task that began it, it goes on."""

    __slots__ = ("_context", "_coroutine", "_first")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, object],
        first: object,
        context: Context | None = None,
    ) -> None:
        """Take what it yielded first, for the task.

        Args:
            coroutine: what was begun.
            first: what it yielded.
            context: in which it was begun, and goes on; None: that of the task.
        """
        self._coroutine = coroutine
        self._first = first
        self._context = context

    def __await__(self) -> Generator[Any, Any, object]:
        yielded = self._first
        send, throw = self._coroutine.send, self._coroutine.throw
        if self._context is not None:
            send, throw = partial(self._context.run, send), partial(self._context.run, throw)
        try:
            while True:
                try:
                    sent: object = yield yielded
                except GeneratorExit:
                    close = self._coroutine.close
                    _ = close() if self._context is None else self._context.run(close)
                    raise
                except BaseException as error:  # a cancellation: the coroutine's own to handle
                    yielded = throw(error)
                else:
                    yielded = send(sent)
        except StopIteration as answer:
            return answer.value
