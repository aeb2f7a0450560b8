"""Tells webhooks of events that have begun to wait: after they are on disk, at least once.

It holds nothing up and never fails anything. What came of it is noted, and a failure logged.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, Protocol

from asyncflow._clock import Clock
from asyncflow._model.awaited import action_of
from asyncflow._model.event import Event
from asyncflow._model.record import AwaitedRecord
from asyncflow._model.value import to_json_text
from asyncflow._model.webhook import Webhook, callback_of
from asyncflow._operators.workers import work_in_thread
from asyncflow._runner.attempt import describe
from asyncflow._store.batch import Notified

logger = logging.getLogger("asyncflow.webhooks")

PATIENCE: Final = timedelta(seconds=10)
"""How long one attempt may take."""

PAUSES: Final = (timedelta(seconds=1), timedelta(seconds=5))
"""Between attempts: so there are three."""

AT_ONCE: Final = 50
"""Webhooks that are told at the same time; the others wait for their turn."""

NO_HTTPX: Final = "webhooks need httpx: pip install httpx"


class PostError(Exception):
    """A server has not taken what was sent, or could not be asked.

    Attributes:
        fleeting: whether it may take it the next time.
    """

    def __init__(self, text: str, *, fleeting: bool) -> None:
        """Say what was wrong."""
        super().__init__(text)
        self.fleeting = fleeting


class Posting(Protocol):
    """What `posting.Poster` does."""

    async def post(self, url: str, body: bytes) -> None:
        """Return once a server has taken it."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Webhooks:
    """Tells the webhooks of one runner. Everything is called on the home loop."""

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        clock: Clock,
        callback_base: str,
        note: Callable[[Notified], None],
    ) -> None:
        """Post in what ``spawn`` starts, and hand what came of it to ``note``."""
        self._spawn = spawn
        self._clock = clock
        self._base = callback_base
        self._note = note
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._opening = asyncio.Lock()
        self._poster: Posting | None = None
        self._closed = False

    def send(self, record: AwaitedRecord, webhook: Webhook) -> None:
        """Begin to tell of an event that is on disk, unless that is under way."""
        if self._closed or record.id in self._sending:
            return
        task = self._sending[record.id] = self._spawn(self._tell(record, webhook))
        task.add_done_callback(lambda _: self._sending.pop(record.id, None))

    async def close(self) -> None:
        """Tell nobody any more: what is under way is broken off, and not noted."""
        self._closed = True
        sending = list(self._sending.values())
        for each in sending:
            each.cancel()
        if sending:
            await asyncio.wait(sending)
        poster, self._poster = self._poster, None
        if poster is not None:
            await poster.close()

    async def _tell(self, record: AwaitedRecord, webhook: Webhook) -> None:
        error = None
        try:
            async with self._turns:
                await self._post(record, webhook)
        except Exception as failure:  # of the user's URL, its server, httpx: it fails nothing
            error = str(failure) if isinstance(failure, PostError) else describe(failure)
            text = "the webhook of event %r of task %r of %r failed: %s"
            logger.warning(text, record.name, record.task_name, record.run_name, error)
        self._note(Notified(record.id, self._clock.now(), error))

    async def _post(self, record: AwaitedRecord, webhook: Webhook) -> None:
        uri = callback_of(self._base, record.run_name, action_of(record))
        shown = Event.born_waiting(record).to_dict()
        body = to_json_text(webhook.body(uri, shown), "payload").encode()
        poster = await self._opened()
        for pause in PAUSES:
            try:
                await self._attempt(poster, webhook.url, body)
            except PostError as error:
                if not error.fleeting:
                    raise
                await self._clock.pause(pause)
            else:
                return
        await self._attempt(poster, webhook.url, body)

    async def _attempt(self, poster: Posting, url: str, body: bytes) -> None:
        try:
            async with self._clock.deadline(PATIENCE):
                await poster.post(url, body)
        except TimeoutError as error:
            text = f"no answer within {PATIENCE.seconds} s"
            raise PostError(text, fleeting=True) from error

    async def _opened(self) -> Posting:
        async with self._opening:
            if self._poster is None:
                self._poster = await work_in_thread(_open)
        return self._poster


def _open() -> Posting:
    try:
        posting = importlib.import_module("asyncflow._runner.posting")
    except ModuleNotFoundError as error:
        raise PostError(NO_HTTPX, fleeting=False) from error
    poster: Posting = posting.Poster()
    return poster
