"""`new_event`: how a task asks somebody outside for something, and waits for the answer."""

from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, TypeAlias, overload

from asyncflow._model.awaited import PROMPT, EventWish
from asyncflow._model.event import Event
from asyncflow._model.payload import PayloadT
from asyncflow._model.port import CURRENT_TASK, TaskScope
from asyncflow._model.webhook import Webhook
from asyncflow.errors import UsageError

PromptType: TypeAlias = Literal["text", "markdown"]


class NewEvent:
    """Make an event in a task, for somebody outside to signal: a person, or a system.

    ``await new_event.aio("approve", prompt="Ship it?")`` in a task of ``async def``,
    ``new_event(...)`` in one of ``def``. On return the event is on disk, and everybody with the
    same database finds it: `Event.get`, `Client.waiting_events`. `Event.wait` waits for it, and
    returns what it was signalled with, of the type ``data_type``.

    Its identity is the run of the task, its name, and which event of that name it is in this
    attempt. So a task that begins anew, after a crash or for a retry, makes the same calls and
    finds its event as it was: signalled meanwhile, it is waited for no more. A RESTART of the task
    makes a new one, and so does a retry if the first one timed out.

    Args:
        name: what `Event.get` finds it by, and the key under which rules see the signal.
        prompt: what people are asked.
        prompt_type: how the prompt is written: ``"text"`` or ``"markdown"``.
        data_type: of the payload: ``bool``, ``int``, ``float``, ``str`` or a pydantic model.
        description: more to read for people.
        timeout: a duration or seconds, counted from when the event was first made, also while no
            runner is up; after it the event cannot be signalled any more, and `Event.wait` raises
            `EventTimedOutError`. None waits for ever.
        webhook: an HTTP address that is told of it once it waits.

    Raises:
        UsageError: outside a task.
        EventAlreadyExistsError: this task waits for an event of that name already; it may make
            the next one of the name once that was signalled.
        TypeError, ValueError: an argument is not of its kind; a timeout of zero.
        TaskStopped: in a thread, the task was told to stop.
    """

    @overload
    def __call__(
        self,
        name: str,
        /,
        prompt: str = PROMPT,
        prompt_type: PromptType = "text",
        *,
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[bool]: ...
    @overload
    def __call__(
        self,
        name: str,
        /,
        prompt: str = PROMPT,
        prompt_type: PromptType = "text",
        *,
        data_type: type[PayloadT],
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[PayloadT]: ...
    @overload
    def __call__(
        self,
        name: str,
        /,
        prompt: str,
        prompt_type: PromptType,
        data_type: type[PayloadT],
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[PayloadT]: ...
    def __call__(  # noqa: PLR0917  as Flyte's
        self,
        name: str,
        /,
        prompt: str = PROMPT,
        prompt_type: PromptType = "text",
        data_type: type[Any] = bool,
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[Any]:
        """Block until it is on disk; for tasks of ``def``."""
        scope, wish = _asked(
            name,
            prompt=prompt,
            prompt_type=prompt_type,
            data_type=data_type,
            description=description,
            timeout=timeout,
            webhook=webhook,
        )
        return scope.port.__home__().run(partial(_open, scope, wish, data_type), "new_event")

    @overload
    async def aio(
        self,
        name: str,
        /,
        prompt: str = PROMPT,
        prompt_type: PromptType = "text",
        *,
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[bool]: ...
    @overload
    async def aio(
        self,
        name: str,
        /,
        prompt: str = PROMPT,
        prompt_type: PromptType = "text",
        *,
        data_type: type[PayloadT],
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[PayloadT]: ...
    @overload
    async def aio(
        self,
        name: str,
        /,
        prompt: str,
        prompt_type: PromptType,
        data_type: type[PayloadT],
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[PayloadT]: ...
    async def aio(  # noqa: PLR0917  as Flyte's
        self,
        name: str,
        /,
        prompt: str = PROMPT,
        prompt_type: PromptType = "text",
        data_type: type[Any] = bool,
        description: str = "",
        timeout: str | float | timedelta | None = None,
        webhook: Webhook | None = None,
    ) -> Event[Any]:
        """Await it in any event loop; for tasks of ``async def``."""
        scope, wish = _asked(
            name,
            prompt=prompt,
            prompt_type=prompt_type,
            data_type=data_type,
            description=description,
            timeout=timeout,
            webhook=webhook,
        )
        return await scope.port.__home__().arun(partial(_open, scope, wish, data_type), "new_event")


def _asked(name: str, **options: Any) -> tuple[TaskScope, EventWish]:  # noqa: ANN401  checked there
    """Return the task that asks, and what it asks for, checked."""
    scope = CURRENT_TASK.get()
    if scope is None:
        text = (
            f"new_event({name!r}) works only inside a task, which waits for the event: elsewhere "
            "send_event() of a Client or Runner says something to those who listen"
        )
        raise UsageError(text)
    scope.check()
    return scope, EventWish.of(name, **options)


async def _open(scope: TaskScope, wish: EventWish, author: type) -> Event[Any]:
    record = await scope.port.open_event(scope, wish)
    return Event.born_waiting(record, scope.port, author)


new_event: Final = NewEvent()
