"""The triggers of a runner: loaded from its registry, each with a poller, all in rounds.

It loads, closes and asks the store who is enabled; what a poll does is in `poller`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from itertools import islice
from typing import Any, Final

from asyncflow._model.record import TriggerRecord
from asyncflow._model.trigger import AnyTrigger
from asyncflow._runner.poller import Poller, Polling
from asyncflow._runner.rounds import Rounds
from asyncflow._store.batch import Duty, DutyKind
from asyncflow._store.change import AddTriggers
from asyncflow._store.queries import DisabledTriggers, Runners, Triggers
from asyncflow.errors import StoreError, WorkflowNotFoundError

logger = logging.getLogger(__name__)

Place = tuple[str, str]
"""Namespace and name of a trigger."""

SHOWN: Final = 10


def _duty(place: Place) -> Duty:
    return Duty(DutyKind.TRIGGER, *place)


LOOKS: Final = "a trigger that was declared meanwhile is loaded at the next look: %s"


class Pollers:
    """Polls every trigger that is declared in a registry. Everything is called on the home loop."""

    def __init__(
        self, shared: Polling, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        """Begin with none; poll in what ``spawn`` starts; ``ask`` must be set before the first."""
        self.ask: Callable[[], Awaitable[None]]  # for the duties that it wants
        self._shared = shared
        self._spawn = spawn
        self._rounds = Rounds(spawn, shared.clock)
        self._pollers: dict[Place, Poller] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._loading = asyncio.Lock()
        self._disabled: frozenset[Place] = frozenset()
        self._closed = False
        self._changed = False

    async def open(self) -> None:
        """Load what is declared now.

        Raises:
            WorkflowNotFoundError: a trigger starts a workflow that is not declared.
        """
        for trigger in self._shared.registry.triggers():
            if self._workflow_of(trigger) is None:
                self._raise_unknown(trigger)
        await self._load()

    async def refresh(self) -> None:
        """Do as the store says: poll the enabled ones. Load what was declared meanwhile."""
        if self._changed:
            await self._load()
        if self._pollers:
            disabled = await self._shared.store.read(DisabledTriggers())
            changed = disabled ^ self._disabled
            self._disabled = disabled
            for place in changed & self._pollers.keys():
                self._pollers[place].enable(place not in disabled)

    async def come_on_duty(self, duties: frozenset[Duty]) -> None:
        """Poll these triggers from now on, each from its cursor as it is stored."""
        gained = [
            place
            for place, poller in self._pollers.items()
            if not poller.on_duty and _duty(place) in duties
        ]
        if gained:
            # Who leaves hands over before its last poll has ended, and writes cursors until its
            # row is gone: first this is asked, then the cursors.
            rows = await self._shared.store.read(Runners())
            in_doubt = any(each.id != self._shared.fence.runner for each in rows)
            stored = await self._shared.store.read(Triggers())
            cursors = {(each.namespace, each.name): each.cursor for each in stored}
            for place in gained:
                poller = self._pollers[place]  # it may have been declared anew meanwhile
                if not poller.on_duty:
                    poller.come_on_duty(cursors.get(place), in_doubt=in_doubt)

    def forget_cursors(self) -> None:
        """Read every cursor anew: a workflow was deleted, and its triggers' cursors with it."""
        for poller in self._pollers.values():
            poller.forget_cursor()

    @property
    def polling(self) -> str:
        """The names of some triggers that are being polled, for messages."""
        names = (repr(name) for (_, name), each in self._pollers.items() if each.polling)
        return ", ".join(islice(names, SHOWN))

    def last_poll(self, place: Place) -> datetime | None:
        """Return when a trigger was polled last, None if it was not."""
        poller = self._pollers.get(place)
        return None if poller is None else poller.last_poll

    async def settled(self) -> None:
        """Return when no poll begins before time moves on."""
        await self._rounds.settled()

    def close(self) -> None:
        """Begin no poll any more; those that are under way may go on."""
        self._closed = True
        self._rounds.close()
        for poller in self._pollers.values():
            poller.close()

    async def drained(self) -> None:
        """Return when nothing is polled any more."""
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    def drop(self) -> None:
        """Cancel the polls that are still under way."""
        for task in self._tasks():
            task.cancel()

    def _tasks(self) -> set[asyncio.Task[None]]:
        tasks = {each.task for each in self._pollers.values()} | {self._rounds.task}
        return {task for task in tasks | self._leaving if task is not None and not task.done()}

    def declared(self) -> None:
        """Load what may have been declared just now."""
        if not (self._closed or self._changed):
            self._changed = True
            task = self._spawn(self._load_declared())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _load_declared(self) -> None:
        try:
            await self._load()
            await self.ask()
        except StoreError as error:
            logger.warning(LOOKS, error)

    async def _load(self) -> None:
        """Poll what is declared and not polled yet, and what was declared anew."""
        async with self._loading:
            self._changed = False
            new = [trigger for trigger in self._shared.registry.triggers() if self._is_new(trigger)]
            if not new or self._closed:
                return
            try:
                change = AddTriggers(tuple(map(self._record, new)))
                await self._shared.store.change(change, self._shared.fence)
                stored = await self._shared.store.read(Triggers())
            except StoreError:
                self._changed = True
                raise
            records = {(each.namespace, each.name): each for each in stored}
            for trigger in new:
                self._start(trigger, records[trigger.namespace, trigger.name])

    def _is_new(self, trigger: AnyTrigger) -> bool:
        poller = self._pollers.get((trigger.namespace, trigger.name))
        if poller is not None and poller.trigger is trigger:
            return False
        if self._workflow_of(trigger) is None:
            text = "%s is not polled: its workflow %r is not declared in namespace %r"
            logger.error(text, trigger.label, trigger.workflow, trigger.namespace)
            return False
        return True

    def _start(self, trigger: AnyTrigger, record: TriggerRecord) -> None:
        if self._closed:
            return
        place = (trigger.namespace, trigger.name)
        old = self._pollers.pop(place, None)
        after = None if old is None else self._leave(old)
        poller = Poller(self._shared, trigger, record.cursor, self._rounds, enabled=record.enabled)
        self._pollers[place] = poller
        self._shared.duties.want(_duty(place))
        poller.on_duty = self._shared.duties.has(_duty(place))
        known = self._disabled - {place}
        self._disabled = known if record.enabled else known | {place}
        if old is not None:
            poller.forget_cursor()
        poller.start(random.random(), after)

    def _leave(self, old: Poller) -> asyncio.Task[None] | None:
        """Begin no poll of an older one any more; return the one that is under way, if one is."""
        old.close()
        if old.task is not None:
            self._leaving.add(old.task)
            old.task.add_done_callback(self._leaving.discard)
        return old.task

    def _record(self, trigger: AnyTrigger) -> TriggerRecord:
        now = self._shared.clock.now()
        return TriggerRecord(
            namespace=trigger.namespace,
            name=trigger.name,
            workflow=trigger.workflow,
            poll_interval=trigger.poll_interval,
            allow_concurrent=trigger.allow_concurrent,
            created=now,
            updated=now,
        )

    def _workflow_of(self, trigger: AnyTrigger) -> object:
        return self._shared.registry.find(trigger.workflow, trigger.namespace)

    def _raise_unknown(self, trigger: AnyTrigger) -> None:
        workflows = self._shared.registry.workflows()
        known = (each.name for each in workflows if each.namespace == trigger.namespace)
        place = f"{trigger.label}, declared at {trigger.place.line}"
        raise WorkflowNotFoundError(trigger.workflow, trigger.namespace, tuple(known), place)
