"""Which lines dropped ticks get in the history of their schedule, the same in every store."""

from datetime import datetime

from asyncflow._store.batch import DroppedTicks

Line = tuple[datetime, datetime | None]
"""When it was due; of a run of ticks when its first was, and its last."""


def lines(dropped: DroppedTicks, answered: datetime) -> tuple[Line, ...]:
    """Return those of the ticks that are due after ``answered``, in order, each after the other."""
    found: list[Line] = []
    if dropped.earlier is not None:
        first, last = dropped.earlier
        if last > answered:
            # Of a run that is answered in part, the last tick is the only one that is known.
            found.append((first if first > answered else last, last))
            answered = last
    for at in dropped.ticks:
        if at > answered:
            found.append((at, None))
            answered = at
    return tuple(found)
