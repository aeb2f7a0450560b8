"""What follows from a transaction that is on disk: commands carried out, and callers told.

It decides nothing and stores nothing. The driver calls it once what a transaction answers is on
disk, or there was nothing to store, never before.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Final, Protocol

from asyncflow._client.listeners import Sent
from asyncflow._core.commands import Command
from asyncflow._failpoint import hit
from asyncflow._runner.live import LiveExecution
from asyncflow._runner.roster import Roster
from asyncflow._runner.telling import acknowledge, confirm
from asyncflow._runner.turns import Turns
from asyncflow._runner.waiters import Waiters
from asyncflow._runner.work import Work
from asyncflow._store.batch import Receipt, Refused

NONE_REFUSED: Final[Mapping[LiveExecution, Refused]] = {}


class Dispatch(Protocol):
    """Carries commands out, once they are on disk."""

    def __call__(self, live: LiveExecution, command: Command) -> None:
        """Carry out one command."""
        ...


class Consequences:
    """Acts on one transaction after the other, and lets others have their turns meanwhile."""

    def __init__(
        self,
        roster: Roster,
        dispatch: Dispatch,
        waiters: Waiters,
        listeners: Callable[[Iterable[Sent]], None],
        *,
        turns: Turns,
        inbox: Sized,
    ) -> None:
        """Begin with nothing to act on; ``inbox`` is what still waits to be answered."""
        self._roster = roster
        self._dispatch = dispatch
        self._waiters = waiters
        self._tell_listeners = listeners
        self._turns = turns
        self._inbox = inbox

    async def follow(self, work: Work, receipt: Receipt) -> None:
        """Act on what was stored, and tell those who wait for that.

        Who is told may go on before the others are.
        """
        if work.storing:
            for publication, offset in zip(work.storing, receipt.offsets, strict=True):
                publication.offset = offset
            self._tell_listeners(work.sent())
        refused = self._number(work, receipt) if work.begun else NONE_REFUSED
        hit("driver.dispatch.before")
        for _ in self._act(work, refused):
            if self._turns.over:
                await self._turns.give()
        for impulse in work.impulses:
            impulse.tell(refused)
        if work.of_events:
            await self._settle(work, receipt)
        if work.publications or work.heard:
            await self._confirm(work)
        hit("driver.dispatch.after")

    def _number(self, work: Work, receipt: Receipt) -> dict[LiveExecution, Refused]:
        """Give new executions the ids of their rows; return those that got none, and why."""
        refused: dict[LiveExecution, Refused] = {}
        for (live, answer), row in zip(work.answers.items(), receipt.ids, strict=True):
            if answer.new is None:
                continue
            if isinstance(row, Refused):
                refused[live] = row
            else:
                live.id = row
                self._roster.add(live)
        return refused

    def _act(self, work: Work, refused: Mapping[LiveExecution, Refused]) -> Iterator[None]:
        """Carry out commands, then tell those who wait; others may have a turn at each step."""
        for live, command in work.commands:
            if live not in refused:
                self._dispatch(live, command)
                yield
        for live in work.answers:
            if live not in refused:
                self._roster.look_at(live)
                yield
        for entry in work.entries:
            acknowledge(entry, refused)
            yield

    async def _settle(self, work: Work, receipt: Receipt) -> None:
        self._waiters.settle(work, receipt)
        if not self._inbox:  # only listeners wait for what is left to do here; who was told does
            await self._turns.give()
        if work.signals:
            self._tell_listeners(work.signalled(receipt))

    async def _confirm(self, work: Work) -> None:
        for publication in (*work.publications, *(each.publication for each in work.heard)):
            confirm(publication)
            if self._turns.over:
                await self._turns.give()
