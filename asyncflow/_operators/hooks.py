"""How the hooks that users override are called: ``async def`` on the loop, ``def`` in a thread."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from types import CodeType, CoroutineType, FunctionType
from typing import Final, ParamSpec, Protocol, TypeVar, cast

from asyncflow._operators.threads import in_thread


class Coded(Protocol):
    """A function that was written in Python."""

    __code__: CodeType


P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Coded)

_ONLY_AWAITS: Final[set[CodeType]] = set()


def call(hook: Callable[P, T | Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Return what gives what a hook returns, whichever way it was written; await it at once.

    An ``async def`` is awaited by the caller itself: many may wait, and each coroutine in between
    is memory.
    """
    if not is_async(hook):
        return _called_in_thread(partial(hook, *args, **kwargs))
    found = hook(*args, **kwargs)
    if type(found) is CoroutineType or inspect.isawaitable(found):  # `inspect` takes longer
        return cast("Awaitable[T]", found)
    return _given(found)


async def _called_in_thread(hook: Callable[[], T | Awaitable[T]]) -> T:
    found = await in_thread(hook)
    return cast("T", await found) if inspect.isawaitable(found) else found


async def _given(found: T | Awaitable[T]) -> T:
    return cast("T", found)


def only_awaits(hook: C) -> C:
    """Mark a plain hook that does no more than make what is awaited: it needs no thread.

    So there is no coroutine of its own between its caller and the user's.
    """
    # No attribute of it: `functools.wraps` copies these, and a mock has all.
    _ONLY_AWAITS.add(hook.__code__)
    return hook


def is_async(hook: Callable[..., object]) -> bool:
    """Say whether calling it only makes a coroutine: then it needs no thread."""
    function: object = getattr(hook, "__func__", hook)
    if type(function) is FunctionType:  # and not `isinstance`: a mock may say that it is one
        code = function.__code__
        if code.co_flags & inspect.CO_COROUTINE or code in _ONLY_AWAITS:
            return True  # nearly all of them, and `inspect` takes ten times as long
    while isinstance(hook, partial):
        hook = cast("partial[object]", hook).func
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)
