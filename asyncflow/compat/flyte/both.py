"""Both forms of a call, for what Flyte calls with and without ``.aio``. It knows no call itself."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Both(Generic[P, R_co]):
    """``f(...)`` blocks, ``await f.aio(...)`` awaits."""

    def __init__(
        self, blocking: Callable[P, R_co], awaiting: Callable[P, Coroutine[Any, Any, R_co]]
    ) -> None:
        self._blocking = blocking
        self._awaiting = awaiting
        self.__doc__ = awaiting.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Block until it is done."""
        return self._blocking(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Await it in any event loop."""
        return await self._awaiting(*args, **kwargs)


class Either(Both[P, Any]):
    """The same; in a coroutine also ``await f(...)``, as Flyte's documents write it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401  a value, or what gives it
        """Block until it is done; on a thread that runs an event loop, return what to await."""
        if in_loop():
            return self.aio(*args, **kwargs)
        return self._blocking(*args, **kwargs)


def in_loop() -> bool:
    """Say whether this thread runs an event loop, which must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def in_thread(function: Callable[[], T]) -> T:
    """Return what a function returns that blocks: called in a thread with this one's context."""
    loop, context = asyncio.get_running_loop(), copy_context()
    done: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  it returned

    def work() -> None:
        value = error = None
        try:
            value = context.run(function)
        except BaseException as failure:  # user code: raised where it is awaited
            error = failure
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, value, error)

    threading.Thread(target=work, name="asyncflow.compat.flyte", daemon=True).start()
    return await done
