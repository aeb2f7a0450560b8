"""Rings at other runners once something was put before them, so that they look at once.

A ring is a hint: it must never raise, nor block, nor keep its caller for long.
"""

import socket
import time
from contextlib import suppress
from typing import Final

from asyncflow._store.protocol import Store
from asyncflow._store.queries import Runners
from asyncflow.errors import StoreError

KEPT: Final = 1.0
"""Seconds that addresses are kept: who registers meanwhile looks by itself."""


class Bell:
    """Sends an empty datagram to the doorbell of each runner, for one client."""

    def __init__(self, store: Store) -> None:
        """Ring at those whom this store knows."""
        self.own: str | None = None
        self._store = store
        self._socket: socket.socket | None = None
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._until = float("-inf")

    async def ring(self) -> None:
        """Wake everybody who may have to read what was just stored."""
        if not self._store.shared:
            return
        if time.monotonic() >= self._until:
            with suppress(StoreError):
                await self._look_up()
        if self._addresses and self._socket is None:
            with suppress(OSError):
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
        if self._socket is not None:
            for address in self._addresses:
                with suppress(OSError):  # nobody is there any more, or the buffer is full
                    self._socket.sendto(b"", address)

    def close(self) -> None:
        """Let go of the socket; idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._until = float("-inf")

    async def _look_up(self) -> None:
        here = socket.gethostname()
        rows = await self._store.read(Runners())
        # Behind the host is where its process is: it may share the network all the same.
        texts = (row.address for row in rows if row.host.partition("/")[0] == here)
        found = (_address(text) for text in texts if text is not None and text != self.own)
        self._addresses = tuple(each for each in found if each is not None)
        self._until = time.monotonic() + KEPT


def _address(text: str) -> tuple[str, int] | None:
    """Return what a socket takes, None if it is nothing that may be rung at."""
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        return None
    return host, int(port)
