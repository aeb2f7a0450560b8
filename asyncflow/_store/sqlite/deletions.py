"""What is deleted with an execution: the same, whether its workflow is deleted or it is old."""

from typing import Final

_OWN: Final = ("task_execution", "context", "cell", "fact", "task_log", "awaited_event")


def with_executions(chosen: str) -> tuple[str, ...]:
    """Return the statements that delete executions and all that is theirs, in order.

    Args:
        chosen: a SELECT of the ids of executions.
    """
    return (*_parts(chosen), f"DELETE FROM execution WHERE id IN ({chosen})")


def _parts(chosen: str) -> tuple[str, ...]:
    # In an order in which nothing is looked for that is gone already.
    events = f'SELECT "offset" FROM event WHERE execution IN ({chosen})'
    return (
        f"DELETE FROM inbox WHERE execution IN ({chosen})",
        f"DELETE FROM inbox WHERE event_offset IN ({events})",
        f"DELETE FROM event WHERE execution IN ({chosen})",
        *(f"DELETE FROM {table} WHERE execution IN ({chosen})" for table in _OWN),
        *(f"DELETE FROM {table} WHERE execution IN ({chosen})" for table in ("tick", "firing")),
    )
