"""Which `Client` or `Runner` Flyte's calls ask: the one that is open, else one of this module's."""

import threading
from os import PathLike, fspath
from typing import Final

from asyncflow import Client, Runner, SyncInLoopError, UsageError
from asyncflow.compat.flyte.both import Both, in_loop, in_thread

STORE: Final = "sqlite:///asyncflow.db"


class Session:
    """The runner that `init` opens, where the program has opened none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runner: Runner | None = None
        self._store = STORE

    def configure(self, store: str | PathLike[str] | None) -> None:
        """Note which store is meant; a runner on another one is closed."""
        wanted = STORE if store is None else fspath(store)
        if wanted != self._store:
            self.close()
            self._store = wanted

    def close(self) -> None:
        """Close the runner that was opened here, if one was."""
        with self._lock:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.shutdown()

    def client(self) -> Client:
        """Return whom to ask; blocks where it has to be opened.

        Raises:
            UsageError: several are open; what asyncflow raises if the store cannot be opened.
        SyncInLoopError: none is open, and this thread runs an event loop.
        """
        try:
            return Client.current()
        except UsageError:  # none is open, or several
            if in_loop():
                raise SyncInLoopError(
                    "init", "await init.aio() first, and .aio of each call"
                ) from None
            with self._lock:
                if self._runner is None:
                    self._runner = self._opened()
                return self._runner

    def _opened(self) -> Runner:
        runner = Runner(self._store)
        runner.__enter__()
        try:
            Client.current()
        except UsageError:  # several others are open, and which is meant is not ours to guess
            runner.shutdown()
            raise
        return runner

    async def aclient(self) -> Client:
        """Return whom to ask, from a coroutine."""
        try:
            return Client.current()
        except UsageError:
            return await in_thread(self.client)


SESSION: Final = Session()


def _init(*_: object, store: str | PathLike[str] | None = None, **__: object) -> None:
    if not in_loop():  # there the first call opens it, which can be awaited
        SESSION.configure(store)
        SESSION.client()
        return
    if store is not None:
        SESSION.configure(store)


async def _ainit(*_: object, store: str | PathLike[str] | None = None, **__: object) -> None:
    """Open a `Runner`, unless the program has opened one: it goes on with what was left.

    Args:
        store: where; None: ``asyncflow.db`` in the working directory.

    Whatever else Flyte's takes (an endpoint, a project, a configuration) has no effect.
    """
    await in_thread(lambda: SESSION.configure(store))
    await SESSION.aclient()


init = Both(_init, _ainit)
init_from_config = init
init_from_api_key = init
init_in_cluster = init
