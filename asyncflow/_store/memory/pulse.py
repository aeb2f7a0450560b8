"""What renews leases in the dicts, from whichever thread."""

from collections.abc import Callable

from asyncflow._store.batch import Fence
from asyncflow._store.memory import owners
from asyncflow._store.memory.tables import Tables
from asyncflow._store.memory.transaction import transaction


class MemoryPulse:
    """A `Pulse` for the runners of one store, as long as that is open."""

    def __init__(self, opened: Callable[[], Tables]) -> None:
        """Ask ``opened`` for the dicts at each beat; it raises if there are none."""
        self._opened = opened

    def renew(self, fence: Fence) -> None:
        """Count a beat."""
        tables = self._opened()
        owners.check_fence(tables, fence)
        with transaction("store.renew"):
            owners.renew(tables, fence)

    def close(self) -> None:
        """Do nothing: it holds nothing."""
