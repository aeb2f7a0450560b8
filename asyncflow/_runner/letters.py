"""What others have put before this runner: each letter is delivered once, to the driver.

A letter stays in the store until all who hear it have answered.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from asyncflow._runner.driver import Driver
from asyncflow._runner.entries import Undeliverable
from asyncflow._runner.live import Publication, Told
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
"""Events that are delivered and not answered; others wait in the store. Wishes wait for nobody."""

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
        self._passed = 0  # up to this letter there is none but events that were left
        self._more = False  # whether that is to be looked at again
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

    def more(self) -> None:
        """Look through all that is there the next time: older letters may have come to it."""
        self._more = True

    async def read(self, missed: Missed) -> None:
        """Deliver what is there, once, but so many events only that they find room in memory.

        A letter is forgotten when it is there no more.
        """
        if self._more or len(self._there) > 2 * MOST:
            self._more, self._passed = False, 0
        first = query = Inbox(self._fence.runner)
        there, full, early = dict[int, Publication | None](), False, False
        while page := await self._store.read(query):
            full = full or self._is_full(page)
            items = tuple(item for item in page if not (full and self._is_left(item)))
            if items and await missed(items):
                query, there, full = first, {}, False
                continue
            there |= (delivered := await self._deliver_all(items, full=full))
            early = early or len(delivered) < len(items)
            query = replace(query, after=page[-1].id)
            if full and query.after < self._passed:
                there |= {each: it for each, it in self._there.items() if each > query.after}
                query = replace(query, after=self._passed)
        self._there = there
        self._passed = query.after if full and not early else 0

    def _is_full(self, page: tuple[InboxItem, ...]) -> bool:
        """Say whether events are to be left from this page on, and be told when there is room."""
        full = self._open >= MOST and any(map(self._is_event, page))
        if full and self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return full

    def _is_event(self, item: InboxItem) -> bool:
        """Say whether it is an event that was not delivered: one of which there may be too many."""
        return item.letter.event is not None and item.id not in self._there

    def _is_left(self, item: InboxItem) -> bool:
        """Leave an event where it is, and say so; who waits for a signal is told all the same.

        Later ones must not come first: an event with a lower offset would count as heard.
        """
        letter, event = item.letter, item.letter.event
        if not self._is_event(item):
            return False
        live = self._driver.lives.get(letter.execution or 0)
        if letter.kind == SIGNALLED and live is not None and event and event.offset is not None:
            self._waiters.answer(live, signalled(letter.body), answer_of(event, event.offset))
        return True

    async def _deliver_all(
        self, items: tuple[InboxItem, ...], *, full: bool
    ) -> dict[int, Publication | None]:
        """Deliver those that were not, but for those to executions that will hear them later."""
        early, there = await self._early(items), dict[int, Publication | None]()
        for item in sorted(items, key=_place):
            event = item.letter.event
            if not full and event is not None:
                self.read_until = max(self.read_until, event.offset or 0)
            if item.id in self._there:
                there[item.id] = self._there[item.id]
            elif item.letter.execution not in early:
                there[item.id] = self._there[item.id] = self._try_deliver(item)
        return there

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
