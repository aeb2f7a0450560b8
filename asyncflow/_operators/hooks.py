"""How the hooks that users override are called: ``async def`` on the loop, ``def`` in a thread."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar, cast

from asyncflow._operators.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")


async def call(hook: Callable[P, T | Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a hook returns, whichever way it was written."""
    found: T | Awaitable[T]
    if is_async(hook):
        found = hook(*args, **kwargs)
    else:
        found = await in_thread(partial(hook, *args, **kwargs))
    if inspect.isawaitable(found):
        return cast("T", await found)
    return found


def is_async(hook: Callable[..., object]) -> bool:
    """Say whether calling it only makes a coroutine: then it needs no thread."""
    while isinstance(hook, partial):
        hook = cast("partial[object]", hook).func
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)
