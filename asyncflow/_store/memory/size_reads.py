"""How much a store in memory keeps, counted as a file's is."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from asyncflow._model.status import WorkflowStatus
from asyncflow._store.memory.tables import Tables
from asyncflow._store.queries import Query, Sizes
from asyncflow._store.sizes import RECENT, StoreSizes


def _sizes(tables: Tables, _: Sizes) -> StoreSizes:
    unfinished = (tables.executions[id_] for owned in tables.owned.values() for id_ in owned)
    newest = islice(reversed(tables.executions.values()), RECENT)
    executions = Counter[WorkflowStatus](each.head.status for each in unfinished)
    executions.update(each.head.status for each in newest if each.head.status.final)
    return StoreSizes(
        file_bytes=0,
        wal_bytes=0,
        free_bytes=0,
        executions=dict(executions),
        events=tables.last_offset - next(iter(tables.events)) + 1 if tables.events else 0,
        letters=len(tables.inbox),
        runners=len(tables.runners),
    )


ANSWERS: Final[dict[type[Query[Any]], Callable[[Tables, Any], Any]]] = {Sizes: _sizes}
