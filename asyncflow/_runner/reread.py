"""States read again after a transaction of which it is not known whether it reached the disk."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from asyncflow._core.execution import ExecutionState
from asyncflow._runner.entries import Entry
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._runner.work import Answer
from asyncflow._store.protocol import Store
from asyncflow._store.queries import ExecutionByName, Inbox, StoredExecutions


async def reread(
    store: Store, runner: str, answers: Mapping[LiveExecution, Answer], known: Container[int]
) -> list[LiveExecution]:
    """Return the executions that the transaction was about, as the store has them.

    One that it should have made is among them only if it is there: then its caller was told of an
    error, and it goes on all the same.

    Args:
        store: says what is true.
        runner: who owns them.
        answers: what the transaction should have changed.
        known: ids of the executions that the runner works on already.

    Raises:
        StoreError: it cannot be read now.
    """
    lives: dict[int, LiveExecution] = {}
    for live, answer in answers.items():
        if answer.new is not None:
            record = await store.read(ExecutionByName(live.name))
            if record is None or record.owner != runner or record.id in known:
                continue
            live.id = record.id
        lives[live.id] = live
    for stored in await store.read(StoredExecutions(tuple(lives))):
        live = lives[stored.record.id]
        live.state = ExecutionState.restore(
            live.plan, stored.head, stored.tasks, stored.context, stored.cells
        )
    return list(lives.values())


async def untaken(store: Store, runner: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries without the wishes whose letters that transaction took after all.

    An event that is told again is known by its offset; a wish to act on a task is not.

    Raises:
        StoreError: it cannot be read now.
    """
    letters = {entry.letter for entry in entries if isinstance(entry, Told)} - {None}
    if not letters:
        return list(entries)
    query, there = Inbox(runner), set[int]()
    while items := await store.read(query):
        there.update(item.id for item in items)
        query = replace(query, after=items[-1].id)
    return [
        entry
        for entry in entries
        if not isinstance(entry, Told) or entry.letter is None or entry.letter in there
    ]
