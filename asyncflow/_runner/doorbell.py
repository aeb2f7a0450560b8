"""The doorbell: a socket at which a runner hears that something was put before it.

What comes is a hint and says nothing: whoever hears it looks into the store. It must never be
needed, since a datagram may be lost, and nobody may be there to send one.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

logger = logging.getLogger(__name__)

HERE_ONLY = "127.0.0.1"


class Doorbell(asyncio.DatagramProtocol):
    """Rings that come while nobody waits are one. Everything is called on the home loop."""

    def __init__(self) -> None:
        """Be heard by those who have no socket to ring at, until it is opened."""
        self.address: str | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self._rung = asyncio.Event()

    @property
    def rung(self) -> bool:
        """Whether there was a ring that nobody has heard."""
        return self._rung.is_set()

    def ring(self) -> None:
        """Wake whoever waits, or will wait."""
        self._rung.set()

    async def wait(self) -> None:
        """Return once it has rung since the last time."""
        await self._rung.wait()
        self._rung.clear()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Ring, whoever it was."""
        self.ring()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the socket is closed."""
        if not self.closed.done():
            self.closed.set_result(None)


@asynccontextmanager
async def open_doorbell(*, shared: bool) -> AsyncGenerator[Doorbell]:
    """Open a doorbell; if nobody else writes the store, without a socket."""
    bell = Doorbell()
    transport = await _listen(bell) if shared else None
    try:
        yield bell
    finally:
        if transport is not None:
            transport.close()
            await bell.closed


async def _listen(bell: Doorbell) -> asyncio.DatagramTransport | None:
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: bell, local_addr=(HERE_ONLY, 0))
    except OSError as error:
        logger.warning("nobody can wake this runner, it only looks now and then: %s", error)
        return None
    host, port = transport.get_extra_info("sockname")
    bell.address = f"{host}:{port}"
    return transport
