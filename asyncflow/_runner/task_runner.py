"""The life of operators: started, stopped, watched, and their ends told as facts. No policy.

An end that is not told was not recorded, and the next owner of the execution starts the task
again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from contextvars import Context as Variables
from contextvars import copy_context
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any, Final, Protocol

from asyncflow._clock import Clock, Deadline
from asyncflow._core.commands import StartTask, StopTask
from asyncflow._core.facts import TaskEnded
from asyncflow._core.state import Outcome
from asyncflow._failpoint import hit
from asyncflow._home import GATE
from asyncflow._model.operator import Operator
from asyncflow._model.port import CURRENT_TASK, Port, StopSign, TaskScope, check_current_task
from asyncflow._model.status import TaskStatus
from asyncflow._model.value import SizeLimits
from asyncflow._operators.hooks import call
from asyncflow._operators.process import CLOCK
from asyncflow._operators.threads import DEADLINE, SLOTS, Slots
from asyncflow._runner.attempt import Attempt
from asyncflow._runner.callbacks import allows_retry, call_back
from asyncflow._runner.cells import TaskCells
from asyncflow._runner.driver import Driver
from asyncflow._runner.live import LiveExecution, Told
from asyncflow._runner.metrics import with_metrics
from asyncflow._runner.views import task_context
from asyncflow.errors import StoreError, TaskStopped

logger = logging.getLogger(__name__)

SHOWN: Final = 10

STOP_GRACE: Final = timedelta(seconds=10)
"""How long a thread that was told to stop may take, before it is left to itself."""


class Spawn(Protocol):
    """Starts a coroutine as a task, in a context of its own or in a copy of the caller's."""

    def __call__(
        self, coroutine: Coroutine[Any, Any, None], context: Variables | None = None
    ) -> asyncio.Task[None]: ...


class TaskRunner:
    """Runs the bodies that the dispatcher asks for. Everything is called on the home loop."""

    def __init__(
        self,
        spawn: Spawn,
        clock: Clock,
        port: Port,
        limits: SizeLimits,
        threads: int,
    ) -> None:
        """Run bodies in what ``spawn`` starts, blocking ones in at most so many threads."""
        self._spawn = spawn
        self._clock = clock
        self._port = port
        self._limits = limits
        self._slots = Slots(threads)
        self._variables = _variables(clock, self._slots)
        self._attempts: dict[tuple[int, str], Attempt] = {}
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    def start(self, driver: Driver, live: LiveExecution, command: StartTask) -> None:
        """Start a body, unless it was started already or this runner is closing."""
        if self._closed or live.workflow is None or self._has(live, command):
            return
        operator = live.workflow.tasks[command.task]
        attempt = self._attempt(driver, live, command, operator)
        self._attempts[live.id, command.task] = attempt
        attempt.body = self._spawn(self._run(driver, attempt), self._variables.copy())
        attempt.body.set_name(command.task)

    def stop(self, driver: Driver, live: LiveExecution, command: StopTask) -> None:
        """End a body: at once if it runs on the loop, within a grace if in a thread."""
        attempt = self._attempts.get((live.id, command.task))
        if attempt is None or attempt.scope.sequence_number != command.sequence_number:
            driver.put(Told(live, _never_began(command, self._clock)))
            return
        if attempt.stopping:
            return
        attempt.stopping = True
        attempt.scope.stop_sign.give()
        if not attempt.begun:
            return  # it looks when it begins; cancelled now, it would never begin, nor tell its end
        until = self._clock.monotonic() + STOP_GRACE.total_seconds()
        if type(attempt.operator).stop is not Operator.stop:
            attempt.stopper = self._spawn(self._call_stop(attempt, until))
        else:
            self._end_body(attempt, until)

    @property
    def running(self) -> int:
        """How many bodies run."""
        return len(self._attempts)

    @property
    def waiting_for_thread(self) -> int:
        """How many of them wait for a thread."""
        return self._slots.queued

    def named(self) -> str:
        """Name bodies that run, not too many, for people."""
        names = [
            f"{attempt.scope.task_name!r} of {attempt.live.name!r}"
            for attempt in islice(self._attempts.values(), SHOWN)
        ]
        more = self.running - len(names)
        return ", ".join(names) + (f" and {more} more" if more else "")

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True

    async def drained(self) -> None:
        """Return when no body runs."""
        if self._attempts:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def drop(self, *, waiting: bool = False) -> None:
        """Cancel what runs, or only what waits for events, without an end to tell."""
        for attempt in list(self._attempts.values()):
            if waiting and not attempt.scope.stop_sign.waiting:
                continue
            attempt.dropped = True
            attempt.scope.stop_sign.give()
            for each in (attempt.stopper, attempt.body):
                if each is not None:
                    each.cancel()
            if not attempt.begun:
                self._forget(attempt)

    def _has(self, live: LiveExecution, command: StartTask) -> bool:
        """Say whether an attempt was started here already."""
        running = self._attempts.get((live.id, command.task))
        if running is not None and running.live is live and running.number == _number(command):
            return True
        return live.ended is not None and live.ended.get(command.task) == _number(command)

    def _attempt(
        self, driver: Driver, live: LiveExecution, command: StartTask, operator: Operator
    ) -> Attempt:
        scope = TaskScope(
            port=self._port,
            execution=live.id,
            execution_name=live.name,
            namespace=live.plan.namespace,
            task_name=command.task,
            sequence_number=command.sequence_number,
            try_number=command.try_number,
            stop_sign=StopSign(),
        )
        cells = TaskCells(live, scope, self._clock, self._limits, driver)
        context = task_context(live, scope, cells)
        base, last, lost = live.state.context, command.last, command.lost
        return Attempt(live, operator, context, scope, last, lost, base=base)

    async def _run(self, driver: Driver, attempt: Attempt) -> None:
        """See one attempt through. It must not raise: it would end the runner.

        Between it and the user's own coroutine there are as few others as can be: that many wait.
        """
        attempt.begun = True
        CURRENT_TASK.set(attempt.scope)
        try:
            ended = await self._begin(driver, attempt)
            if ended is None:
                limit = attempt.operator.timeout
                deadline = None if limit is None else self._clock.deadline(limit)
                try:
                    work = _operate(attempt) if deadline is None else _within(deadline, attempt)
                    ended = self._succeed(attempt, await work)
                except BaseException as error:  # user code: even SystemExit ends the task alone
                    ended = self._broken_off(attempt, error, deadline)
                    if ended is None:
                        raise
                hit("task.body.after")
                if attempt.followed:
                    ended = await self._conclude(attempt, ended)
                hit("task.result.before")
        except asyncio.CancelledError as error:
            if attempt.dropped:
                raise
            ended = await self._cut_short(attempt, error)
        finally:
            self._forget(attempt)
        if not (attempt.dropped or driver.over):
            driver.riders.overtake(attempt)
            driver.put(Told(attempt.live, ended))

    async def _begin(self, driver: Driver, attempt: Attempt) -> TaskEnded | None:
        """Tell that an attempt begins; return its end if its body is not to be called."""
        if attempt.stopping:  # before it began
            return attempt.stopped(self._clock.now())
        if attempt.lost:
            ended = attempt.crashed(self._clock.now())
            _log_failure(attempt, ended)
            await call_back(self._clock, attempt, ended)
            return ended
        hit("task.start.before")
        await self._tell_start(driver, attempt)
        attempt.unmeasured = True
        return None

    async def _cut_short(self, attempt: Attempt, error: asyncio.CancelledError) -> TaskEnded:
        """Return the end of an attempt that was cancelled; its operator may still give metrics."""
        if not attempt.stopping:
            return self._fail(attempt, error)
        ended = attempt.stopped(self._clock.now())
        if attempt.body is not None:
            while attempt.body.cancelling():  # it was heard: what follows is not cancelled
                attempt.body.uncancel()
        return await self._measured(attempt, ended)

    async def _measured(self, attempt: Attempt, ended: TaskEnded) -> TaskEnded:
        if attempt.stopping and attempt.patience is not None:
            attempt.patience.cancel()  # there is no thread left to wait for
        return await with_metrics(self._clock, self._limits, attempt, ended)

    def _forget(self, attempt: Attempt) -> None:
        live, task = attempt.live, attempt.scope.task_name
        del self._attempts[live.id, task]
        live.ended = live.ended or {}
        live.ended[task] = attempt.number
        self._port.end_listeners(attempt.scope)
        if attempt.patience is not None:
            attempt.patience.cancel()
        if not self._attempts and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def _tell_start(self, driver: Driver, attempt: Attempt) -> None:
        """Tell that the body begins; wait until that is on disk if it must not begin twice."""
        live, name = attempt.live, attempt.scope.task_name
        attempt.start = self._clock.now()
        if live.plan.tasks[name].idempotent:
            if (name, TaskStatus.RUNNING) in live.plan.by_status:
                driver.put(attempt.started())
            else:
                driver.riders.add(attempt)
            return
        told = attempt.started()
        while True:
            told.done = asyncio.get_running_loop().create_future()
            driver.put(told)
            try:
                await told.done
            except StoreError:
                logger.warning("task %r of %r waits for the store", name, live.name)
            else:
                return

    async def _conclude(self, attempt: Attempt, ended: TaskEnded) -> TaskEnded:
        """Return how the body ended, its metrics asked for and its callbacks called."""
        if not attempt.dropped:
            ended = await self._measured(attempt, ended)
        if not attempt.ending:
            await call_back(self._clock, attempt, ended)
        return ended

    def _succeed(self, attempt: Attempt, value: object) -> TaskEnded:
        ended = attempt.succeeded(self._clock.now(), value, self._limits)
        if ended.outcome.status is TaskStatus.FAILED:  # what it left cannot be stored
            _log_failure(attempt, ended)
        return ended

    def _broken_off(
        self, attempt: Attempt, error: BaseException, deadline: Deadline | None
    ) -> TaskEnded | None:
        """Return how a body ended that raised, whatever it raised; None: the engine cancelled it.

        Any other cancellation is the user's own, as any other error.
        """
        if isinstance(error, asyncio.CancelledError) and attempt.ending:
            return None
        if isinstance(error, TaskStopped):
            return attempt.stopped(self._clock.now())
        if isinstance(error, TimeoutError) and deadline is not None and deadline.expired:
            return self._time_out(attempt, attempt.operator.timeout)
        return self._fail(attempt, error)

    def _fail(self, attempt: Attempt, error: BaseException) -> TaskEnded:
        again = allows_retry(attempt, error)
        ended = attempt.failed(self._clock.now(), error, retryable=again)
        _log_failure(attempt, ended)
        return ended

    def _time_out(self, attempt: Attempt, limit: timedelta | None) -> TaskEnded:
        """End an attempt whose thread, if it has one, is left to itself."""
        ended = self._fail(attempt, TimeoutError(f"the attempt took longer than {limit}"))
        attempt.scope.stop_sign.give()
        # Its callbacks are not stopped: they get a sign of their own.
        attempt.scope = replace(attempt.scope, stop_sign=StopSign())
        CURRENT_TASK.set(attempt.scope)
        return ended

    async def _call_stop(self, attempt: Attempt, until: float) -> None:
        """Let a user's operator stop its work its own way, then end its body."""
        CURRENT_TASK.set(replace(attempt.scope, stop_sign=StopSign()))  # it may log, and send
        try:
            async with self._clock.deadline(STOP_GRACE):
                await call(attempt.operator.stop, attempt.context)
        except BaseException as error:  # user code: the body is ended all the same
            if attempt.dropped and isinstance(error, asyncio.CancelledError):
                raise
            name, execution = attempt.scope.task_name, attempt.live.name
            logger.exception("stop() of task %r of %r raised", name, execution)
        self._end_body(attempt, until)

    def _end_body(self, attempt: Attempt, until: float) -> None:
        """Cancel a body; one that works in a thread may end by itself until then."""
        body = attempt.body
        if body is None or body.done() or attempt.over:
            return
        if attempt.scope.stop_sign.threads:
            attempt.patience = self._clock.call_at(until, lambda: _cancel(body))
        else:
            body.cancel()


def _variables(clock: Clock, slots: Slots) -> Variables:
    """Return the context that each attempt gets a copy of: what is the same for all is set once."""
    variables = copy_context()
    variables.run(SLOTS.set, slots)
    variables.run(CLOCK.set, clock)
    variables.run(DEADLINE.set, None)  # this runner's opener may have one
    variables.run(GATE.set, check_current_task)
    return variables


def _operate(attempt: Attempt) -> Awaitable[object]:
    """Return what lets an operator work, and gives its result; await it at once."""
    operator = attempt.operator
    work = call(operator.start, attempt.context)
    if type(operator).await_termination is Operator.await_termination:
        return work
    return _terminated(attempt, work)


async def _terminated(attempt: Attempt, work: Awaitable[object]) -> object:
    limit = attempt.operator.timeout
    seconds = None if limit is None else limit.total_seconds()
    value = await work
    last = await call(attempt.operator.await_termination, attempt.context, seconds)
    return last if value is None else value


async def _within(deadline: Deadline, attempt: Attempt) -> object:
    async with deadline:
        DEADLINE.set(deadline)
        return await _operate(attempt)


def _log_failure(attempt: Attempt, ended: TaskEnded) -> None:
    name, execution = attempt.scope.task_name, attempt.live.name
    again = ", it is tried again" if ended.retryable and not attempt.last else ""
    logger.warning("task %r of %r failed%s: %s", name, execution, again, ended.outcome.error)


def _number(command: StartTask) -> tuple[int, int]:
    return command.sequence_number, command.try_number


def _cancel(body: asyncio.Task[None]) -> None:
    body.cancel()


def _never_began(command: StopTask, clock: Clock) -> TaskEnded:
    return TaskEnded(
        at=clock.now(),
        task=command.task,
        sequence_number=command.sequence_number,
        try_number=command.try_number,
        outcome=Outcome(TaskStatus.STOPPED),
    )
