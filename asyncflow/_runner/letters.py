"""What others have put before this runner: each letter is delivered once, to the driver.

A letter stays in the store until all who hear it have answered.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from asyncflow._runner.driver import Driver
from asyncflow._runner.live import Publication, Told, Undeliverable
from asyncflow._runner.rulebook import Rulebook
from asyncflow._runner.waiters import Waiters, answer_of
from asyncflow._store.batch import Fence, InboxItem
from asyncflow._store.fact_text import SIGNALLED, request, signalled
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Inbox, StoredExecutions
from asyncflow._store.reach import reach_of
from asyncflow.errors import StoreError

logger = logging.getLogger(__name__)

MOST: Final = 5_000
"""Events that are delivered and not answered; the others wait in the store."""

Missed = Callable[[tuple[InboxItem, ...]], Awaitable[bool]]
"""Takes over who is to hear letters and is not here; says whether there was anybody."""


def _place(item: InboxItem) -> int:
    """Return the offset of its event, 0 for none: an heir's copy is younger by its id."""
    event = item.letter.event
    return 0 if event is None else event.offset or 0


class Letters:
    """Delivers letters. Everything is called on the home loop.

    Attributes:
        read_until: offset of the last event that came by letter.
    """

    def __init__(
        self,
        store: Store,
        fence: Fence,
        driver: Driver,
        rulebook: Rulebook,
        waiters: Waiters,
        *,
        look_soon: Callable[[], None],
    ) -> None:
        """Begin with none; say by ``look_soon`` that there is room for those that were left."""
        self.read_until = 0
        self._store = store
        self._fence = fence
        self._driver = driver
        self._rulebook = rulebook
        self._waiters = waiters
        self._look_soon = look_soon
        self._there: dict[int, Publication | None] = {}
        self._open = 0  # events that are delivered and not answered
        self._room: asyncio.Future[None] | None = None  # resolved once most of these are answered

    @property
    def number(self) -> int:
        """How many there were at the last look."""
        return len(self._there)

    def __bool__(self) -> bool:
        """Say whether there were any at the last look."""
        return bool(self._there)

    def undelivered(self, items: Iterable[InboxItem]) -> list[InboxItem]:
        """Return those that nobody here has heard."""
        return [item for item in items if item.id not in self._there]

    async def room(self) -> bool:
        """Say whether letters were left in the store at the last look, and wait for room if so."""
        if self._room is None:
            return False
        await asyncio.wait({self._room})
        return True

    async def answered(self, offset: int) -> None:
        """Return when this runner has answered the letters of an event."""
        for letter in tuple(self._there.values()):
            if letter is not None and letter.offset == offset and letter.done is not None:
                # Several may wait for it: who is cancelled takes it from nobody else.
                await asyncio.wait({letter.done})
                letter.done.result()

    async def read(self, missed: Missed) -> None:
        """Deliver what is there, once, but so much only that it finds room in memory.

        A letter is forgotten when it is there no more.
        """
        query, there = Inbox(self._fence.runner), dict[int, Publication | None]()
        while items := await self._store.read(query):
            if await missed(items):
                query, there = Inbox(self._fence.runner), {}
                continue
            early = await self._early(items)
            for item in sorted(items, key=_place):
                event = item.letter.event
                offset = (event.offset or 0) if event is not None else 0
                self.read_until = max(self.read_until, offset)
                if item.id in self._there:
                    there[item.id] = self._there[item.id]
                elif item.letter.execution not in early:
                    there[item.id] = self._there[item.id] = self._try_deliver(item)
            query = replace(query, after=items[-1].id)
            if self._open >= MOST:
                self._room = self._room or asyncio.get_running_loop().create_future()
                break
        self._there = there

    async def _early(self, items: tuple[InboxItem, ...]) -> frozenset[int]:
        """Return who will only later hear what is for them: begun in a commit that is in doubt."""
        targets = (item.letter.execution for item in items)
        absent = {each for each in targets if each is not None and each not in self._driver.lives}
        if not absent:
            return frozenset()
        found = await self._store.read(StoredExecutions(tuple(sorted(absent))))
        return frozenset(each.record.id for each in found if not each.record.status.final)

    def _try_deliver(self, item: InboxItem) -> Publication | None:
        try:
            return self._deliver(item)
        except StoreError as error:  # it stays there, for a runner that understands it
            logger.error("a letter is not delivered: %s", error)  # noqa: TRY400  it says it all
            return None

    def _deliver(self, item: InboxItem) -> Publication | None:
        letter, event = item.letter, item.letter.event
        live = None if letter.execution is None else self._driver.lives.get(letter.execution)
        signal = letter.kind == SIGNALLED
        if live is None and letter.execution is not None:
            self._driver.put(Undeliverable(item.id))
        elif event is not None:
            if signal and live is not None and event.offset is not None:
                # It is on disk: who waits need not wait until the rules have answered.
                self._waiters.answer(live, signalled(letter.body), answer_of(event, event.offset))
            heard = Publication(event, live, letter=item.id, offset=event.offset, ruled=())
            if letter.execution is None:  # that of an execution is never for rules
                reach = reach_of(letter.body)
                heard.until = reach.until
                # Now and not when it is opened: who comes to a duty meanwhile has another letter.
                heard.ruled = tuple(
                    ruled
                    for ruled in self._rulebook.of(event.namespace, event.key)
                    if reach.rules is None or ruled.key[1] in reach.rules
                )
            heard.done = asyncio.get_running_loop().create_future()
            heard.done.add_done_callback(self._looked_at)
            self._open += 1
            self._driver.put(heard)
            return heard
        elif live is not None:
            fact = request(letter.kind, letter.body, letter.at)
            self._driver.put(Told(live, fact, letter=item.id))
        return None

    def _looked_at(self, done: asyncio.Future[int]) -> None:
        """Take note of an error that nobody may be waiting for, and of the room."""
        if not done.cancelled():
            done.exception()
        self._open -= 1
        if self._room is not None and self._open <= MOST // 2:
            self._room.set_result(None)
            self._room = None
            self._look_soon()
