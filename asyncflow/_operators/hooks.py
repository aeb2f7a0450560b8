"""How the hooks that users override are called: ``async def`` on the loop, ``def`` in a thread."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Final, ParamSpec, TypeVar, cast

from asyncflow._operators.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., object])

_ONLY_AWAITS: Final[set[CodeType]] = set()


def call(hook: Callable[P, T | Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Return what gives what a hook returns, whichever way it was written; await it at once.

    An ``async def`` is awaited by the caller itself: many may wait, and each coroutine in between
    is memory.
    """
    if not is_async(hook):
        return _called_in_thread(partial(hook, *args, **kwargs))
    found = hook(*args, **kwargs)
    return cast("Awaitable[T]", found) if inspect.isawaitable(found) else _given(found)


async def _called_in_thread(hook: Callable[[], T | Awaitable[T]]) -> T:
    found = await in_thread(hook)
    return cast("T", await found) if inspect.isawaitable(found) else found


async def _given(found: T | Awaitable[T]) -> T:
    return cast("T", found)


def only_awaits(hook: C) -> C:
    """Mark a plain hook that does no more than make what is awaited: it needs no thread.

    So there is no coroutine of its own between its caller and the user's.
    """
    assert isinstance(hook, FunctionType)
    _ONLY_AWAITS.add(hook.__code__)  # no attribute: `functools.wraps` copies these, mocks have all
    return hook


def is_async(hook: Callable[..., object]) -> bool:
    """Say whether calling it only makes a coroutine: then it needs no thread."""
    function = hook.__func__ if type(hook) is MethodType else hook
    if type(function) is FunctionType:
        code = function.__code__
        if code.co_flags & inspect.CO_COROUTINE or code in _ONLY_AWAITS:
            return True  # nearly all of them, and `inspect` takes ten times as long
    while isinstance(hook, partial):
        hook = cast("partial[object]", hook).func
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)
