"""A coroutine that was begun by hand, so that one that waits for nothing costs nothing more.

It is not a task: whoever began it must await it in the same task, at once.
"""

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
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
        yielded, coroutine = self._first, self._coroutine
        run: Callable[..., object] = _call if self._context is None else self._context.run
        try:
            while True:
                try:
                    sent: object = yield yielded
                except GeneratorExit:
                    run(coroutine.close)
                    raise
                except BaseException as error:  # a cancellation: the coroutine's own to handle
                    yielded = run(coroutine.throw, error)
                else:
                    yielded = run(coroutine.send, sent)
        except StopIteration as answer:
            return answer.value


def _call(function: Callable[..., object], *args: object) -> object:
    return function(*args)
