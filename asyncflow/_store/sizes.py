"""How large a store is: a value only, the same for every store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from asyncflow._model.status import WorkflowStatus


@dataclass(frozen=True, slots=True)
class StoreSizes:
    """How large a store is; found out without reading all that is in it.

    Attributes:
        file_bytes: of the file; 0 in memory.
        wal_bytes: of the file beside it, where commits go first, whatever of that counts.
        free_bytes: of the file that nothing needs; given back while old executions are forgotten.
        executions: by status; those that have ended among the newest 10,000 only.
        events: from the oldest to the newest, at most: some between may be gone.
        letters: that wait for their readers.
        runners: that are registered, the dead included.
    """

    file_bytes: int
    wal_bytes: int
    free_bytes: int
    executions: Mapping[WorkflowStatus, int]
    events: int
    letters: int
    runners: int


RECENT: Final = 10_000
"""Executions among which `StoreSizes` counts those that have ended."""
