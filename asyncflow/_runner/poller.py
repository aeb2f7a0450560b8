"""One trigger, polled again and again, each time by a round. It decides nothing of executions.

What a poll asks for goes to the driver as one impulse; the next poll waits until that is on disk.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, cast

from asyncflow._client.plans import Plans
from asyncflow._client.triggers import firing, size_of
from asyncflow._clock import Clock
from asyncflow._core.polling import first_poll, next_poll
from asyncflow._failpoint import hit
from asyncflow._model.registry import Registry
from asyncflow._model.trigger import AnyTrigger, Fire, Kept, TriggerResult
from asyncflow._model.value import SizeLimits, byte_size, from_json_text
from asyncflow._operators.hooks import is_async
from asyncflow._runner.attempt import describe
from asyncflow._runner.begun import Begun
from asyncflow._runner.driver import Driver
from asyncflow._runner.duties import Duties
from asyncflow._runner.entries import Impulse, Wanted
from asyncflow._runner.meter import Meters
from asyncflow._runner.poll_thread import PollThread
from asyncflow._runner.rounds import Rounds
from asyncflow._runner.turns import Turns
from asyncflow._store.batch import CursorWrite, FailedPoll, Fence, Refused
from asyncflow._store.protocol import Store
from asyncflow._store.queries import Triggers
from asyncflow.errors import StoreError, UsageError, WorkflowDisabledError

logger = logging.getLogger(__name__)

POLLING: Final[ContextVar[tuple[Driver, str] | None]] = ContextVar("asyncflow_poll", default=None)
"""Whose poll this is: the driver of its runner, and the trigger as errors call it."""

LOGGED: Final = 10
"""Of failures in a row the first is logged, and then every tenth."""


@dataclass(frozen=True, slots=True)
class Polling:
    """What all pollers of a runner share."""

    store: Store
    clock: Clock
    driver: Driver
    registry: Registry
    plans: Plans
    limits: SizeLimits
    duties: Duties
    fence: Fence
    meters: Meters


class Poller:
    """Polls one trigger. Everything is called on the home loop."""

    __slots__ = (
        "_awaitable",
        "_context",
        "_cursor",
        "_dormant",
        "_failures",
        "_in_doubt",
        "_interval",
        "_rounds",
        "_shared",
        "_thread",
        "closing",
        "enabled",
        "last_poll",
        "on_duty",
        "polling",
        "task",
        "trigger",
    )

    def __init__(
        self,
        shared: Polling,
        trigger: AnyTrigger,
        cursor: str | None,
        rounds: Rounds,
        *,
        enabled: bool,
    ) -> None:
        """Begin with the stored cursor, as JSON text; all polls are made in a copy of this context.

        ``start`` must be called.
        """
        self.trigger = trigger
        self.enabled = enabled
        self.on_duty = False
        self.closing = False
        self.polling = False
        self.last_poll: datetime | None = None
        self.task: asyncio.Task[None] | None = None  # that of a poll that waits
        self._shared = shared
        self._rounds = rounds
        self._cursor = cursor
        self._in_doubt = False
        self._failures = 0
        self._interval = trigger.poll_interval.total_seconds()
        self._dormant = False  # a time came, and it was not to poll
        self._awaitable = is_async(trigger.__wrapped__)
        self._thread = PollThread()
        self._context = copy_context()
        self._context.run(POLLING.set, (shared.driver, trigger.label))

    def start(self, dice: float, after: asyncio.Task[None] | None) -> None:
        """Poll until `close`.

        Args:
            dice: a number in [0, 1) that spreads first polls.
            after: a poll that an older trigger of the name has under way; it ends first.
        """
        if after is None:
            self._begin_to_wait(dice)
        else:
            after.add_done_callback(lambda _: self._begin_after_another(dice))

    def _begin_after_another(self, dice: float) -> None:
        self.forget_cursor()  # it may have been given another one meanwhile
        self._begin_to_wait(dice)

    def _begin_to_wait(self, dice: float) -> None:
        self._wait(first_poll(self._shared.clock.monotonic(), self._interval, dice))

    def _wait(self, due: float) -> None:
        if not self.closing:
            self._rounds.call_on(self, due)

    def begin(self, due: float, now: float) -> Coroutine[Any, Any, None] | None:
        """Poll, in the running task; return the rest of it if it has to wait for something.

        It may be stepped here because one that waits goes on in the task in which it began.
        """
        self._dormant = self.closing or not self._works
        if self._dormant:
            return None
        self._shared.meters.polls.add(now, now - due)
        poll = self._poll()
        self.polling = True
        try:
            first = self._context.run(poll.send, None)
        except StopIteration:
            self.polling = False
            return None
        except BaseException:  # passed on: it is the engine's
            self.polling = False
            raise
        return self._go_on(Begun(poll, first, self._context), due, now)

    async def _go_on(self, begun: Begun, due: float, started: float) -> None:
        self.task = asyncio.current_task()
        try:
            await begun
        finally:
            self.polling = False
            self.task = None
        self.ended(due, started, self._shared.clock.monotonic())

    def ended(self, due: float, started: float, now: float) -> None:
        """Wait for the next poll, or until it may poll."""
        if not self._dormant:
            self._wait(next_poll(due, started, now, self._interval, self._failures))

    def close(self) -> None:
        """Begin no poll any more; one that is under way may go on, until its task is cancelled."""
        self.closing = True
        if not self.polling and self.task is not None:
            self.task.cancel()

    def enable(self, enabled: bool) -> None:
        """Let it poll, or not."""
        self.enabled = enabled
        self._wake()

    def come_on_duty(self, cursor: str | None, *, in_doubt: bool) -> None:
        """Poll from now on, from where whoever polled it before has left it.

        Args:
            cursor: as it is stored.
            in_doubt: whether somebody may write another one yet.
        """
        self.on_duty, self._cursor, self._in_doubt = True, cursor, in_doubt
        self._wake()

    @property
    def _works(self) -> bool:
        return self.enabled and self.on_duty

    def _wake(self) -> None:
        if self._works and self._dormant:
            self._dormant = False
            self._wait(first_poll(self._shared.clock.monotonic(), self._interval, 0))

    def forget_cursor(self) -> None:
        """Read the cursor from the store before the next poll."""
        self._in_doubt = True

    async def _poll(self) -> None:
        """Poll once, and store what that asks for."""
        self.last_poll = started = self._shared.clock.now()
        asked = False
        try:
            if self._in_doubt and self.trigger.takes_cursor:
                await self._read_cursor()
            asked = True
            asking = self._asking()
            try:
                begun = Begun(asking, asking.send(None))
            except StopIteration as answer:  # it waits for nothing, as most do
                found: object = answer.value
            else:
                found = await self._in_time(begun)
            result = _checked(self.trigger, found)
            asked = False
            hit("trigger.poll.after")
            if self._says_something(result):
                await self._store_result(result, started)
        except BaseException as error:  # user code: it says no more than that this poll failed
            if self._is_ours(error):
                raise
            # What the store said to the engine cannot be stored either.
            await self._fail(started, error, stored=asked or not isinstance(error, StoreError))
        else:
            self._succeed()

    def _succeed(self) -> None:
        if self._failures:
            logger.info("%s works again after %d failures", self.trigger.label, self._failures)
        self._failures = 0

    def _is_ours(self, error: BaseException) -> bool:
        """Say whether the engine has ended the poll; any other cancellation is the user's own."""
        if isinstance(error, GeneratorExit) and not _on_a_loop():  # nobody will go on with it
            return True
        over = self._shared.driver.over
        over = over and isinstance(error, UsageError | asyncio.CancelledError)
        return over or (isinstance(error, asyncio.CancelledError) and self._was_dropped)

    @property
    def _was_dropped(self) -> bool:
        """Whether its runner closes, and has cancelled the task in which it polls."""
        task = asyncio.current_task()
        return self.closing and task is not None and task.cancelling() > 0

    def _asking(self) -> Coroutine[Any, Any, object]:
        function: Callable[..., Any] = self.trigger.__wrapped__
        if self.trigger.takes_cursor:
            cursor = None if self._cursor is None else from_json_text(self._cursor)
            function = partial(function, cursor=cursor)
        asking: Coroutine[Any, Any, object]
        asking = function() if self._awaitable else self._thread.ask(function)
        return asking

    async def _in_time(self, begun: Begun) -> object:
        """Go on with a function that waits: it needs a deadline, which costs more than a poll."""
        deadline = self._shared.clock.deadline(self.trigger.poll_timeout)
        try:
            async with deadline:
                return await begun
        except TimeoutError as error:
            if not deadline.expired:
                raise
            text = f"{self.trigger.label} took longer than its poll_timeout"
            raise TimeoutError(f"{text}, {self.trigger.poll_timeout}") from error

    def _says_something(self, result: TriggerResult) -> bool:
        cursor = result.cursor_text
        if result.fires:
            return True
        return not isinstance(cursor, Kept) and (self._in_doubt or cursor != self._cursor)

    async def _store_result(self, result: TriggerResult, started: datetime) -> None:
        """Start what a poll wants started, and keep its cursor, in one transaction."""
        write = None
        if not isinstance(result.cursor_text, Kept):
            write = await self._cursor_write(result.cursor_text)
            if write is None and not result.fires:
                return
        wanted = await self._wanted(result.fires, started, write)
        if write is not None:
            hit("trigger.cursor.before")
        refused = await self._put(wanted, write)
        if Refused.DISABLED in refused:
            raise WorkflowDisabledError(self.trigger.workflow, self.trigger.namespace)
        if write is not None:
            self._cursor = write.cursor
            # Another runner may have been faster; a cursor alone does not tell whether it was kept.
            alone = self._shared.store.shared and not wanted
            self._in_doubt = alone or Refused.OUTDATED in refused

    async def _cursor_write(self, cursor: str | None) -> CursorWrite | None:
        if self._in_doubt:  # the function was not asked from there, what it writes is behind it
            await self._read_cursor()
        if cursor == self._cursor:
            return None
        self._shared.limits.check(f"the cursor of {self.trigger.label}", byte_size(cursor or ""))
        place = (self.trigger.namespace, self.trigger.name, self.trigger.workflow)
        return CursorWrite(*place, cursor, instead_of=self._cursor)

    async def _wanted(
        self, fires: Sequence[Fire], started: datetime, cursor: CursorWrite | None
    ) -> tuple[Wanted, ...]:
        """Return the executions that it asks for, all of them within their limits."""
        shared, trigger = self._shared, self.trigger
        turns = Turns(shared.clock)  # a backlog may be long
        for fire in fires:
            shared.limits.check(f"the context of {trigger.label}", size_of(fire))
            if turns.past:
                await turns.give()
        workflow = shared.registry.workflow(trigger.workflow, trigger.namespace)
        plan, now = shared.plans.of(workflow), shared.clock.now()
        wanted: list[Wanted] = []
        for fire in fires:
            row = firing(plan, trigger, fire, started, created=now, cursor=cursor)
            wanted.append(Wanted.of(plan, workflow, row, fire.texts))
            if turns.past:
                await turns.give()
        return tuple(wanted)

    async def _put(
        self, wanted: tuple[Wanted, ...], cursor: CursorWrite | None
    ) -> Sequence[Refused | None]:
        done = asyncio.get_running_loop().create_future()
        self._shared.driver.put(Impulse(done, wanted, cursor))
        try:
            return cast("tuple[Refused | None, ...]", await done)
        except BaseException:  # passed on: it may be on disk all the same
            self._in_doubt = True
            raise

    async def _read_cursor(self) -> None:
        query = Triggers(self.trigger.namespace, self.trigger.name)
        found = await self._shared.store.read(query)
        self._cursor = found[0].cursor if found else None
        self._in_doubt = False

    async def _fail(self, started: datetime, error: BaseException, *, stored: bool) -> None:
        """Log and record a failed poll, and wait for a thread that is still at it."""
        trigger, clock = self.trigger, self._shared.clock
        self._failures += 1
        if self._failures % LOGGED == 1:
            expected = isinstance(error, WorkflowDisabledError | StoreError | TimeoutError)
            text = "a poll of %s failed, %d in a row: %s"
            info = None if expected else error
            logger.error(text, trigger.label, self._failures, describe(error), exc_info=info)
        if stored:
            place = (trigger.namespace, trigger.name)
            failed = FailedPoll(*place, started, clock.now(), describe(error))
            await self._record(failed)
        if self._thread.busy:
            self.polling = False  # whoever closes does not wait for it
            if not self.closing:
                await self._thread.until_free()  # a trigger never overlaps itself
            self._thread.forget()

    async def _record(self, failed: FailedPoll) -> None:
        done: asyncio.Future[tuple[Refused | None, ...]]
        done = asyncio.get_running_loop().create_future()
        self._shared.driver.put(Impulse(done, failed=failed))
        try:
            await done
        except StoreError as error:
            text = "a failed poll of %s is not in its history: %s"
            logger.error(text, self.trigger.label, error)  # noqa: TRY400  the traceback would say nothing more


def _checked(trigger: AnyTrigger, answer: object) -> TriggerResult:
    """Return what a poll answered, if it is an answer."""
    if isinstance(answer, TriggerResult):
        return answer
    if isinstance(answer, bool):
        return TriggerResult.fire() if answer else TriggerResult.skip()
    text = f"{trigger.label} returns a TriggerResult, True or False, not {answer!r}"
    raise TypeError(text)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
