"""Users' states as conditions and tasks see them. Nothing here stores them; facts do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from asyncflow._clock import Clock
from asyncflow._core.facts import CellWritten
from asyncflow._model.port import TaskScope
from asyncflow._model.value import SizeLimits, byte_size
from asyncflow._runner.live import LiveExecution, Told


@dataclass(slots=True)
class Overlay:
    """What conditions see: the stored states, and what they have changed so far."""

    stored: Mapping[str, str]
    limits: SizeLimits
    changes: dict[str, str | None] = field(default_factory=dict[str, str | None])

    def get(self, name: str) -> str | None:
        """Return the text of a state."""
        return self.changes[name] if name in self.changes else self.stored.get(name)

    def put(self, name: str, text: str | None) -> None:
        """Change it, for the conditions that are asked later."""
        _check(self.limits, name, text)
        self.changes[name] = text


class Teller(Protocol):
    """Takes facts; the driver."""

    def put(self, entry: Told) -> None:
        """Take one, on the home loop."""
        ...


class TaskCells:
    """What a task sees: the states of its execution. Each change is told to the driver at once.

    A thread of the task may call it, too.
    """

    __slots__ = ("_clock", "_home", "_limits", "_live", "_scope", "_teller", "_told")

    def __init__(
        self,
        live: LiveExecution,
        scope: TaskScope,
        clock: Clock,
        limits: SizeLimits,
        teller: Teller,
    ) -> None:
        """Show the states of ``live``; made on the home loop, where ``teller`` is told."""
        self._live = live
        self._scope = scope
        self._clock = clock
        self._limits = limits
        self._teller = teller
        self._home = asyncio.get_running_loop()
        self._told: dict[str, CellWritten] = {}  # not decided on yet

    def get(self, name: str) -> str | None:
        """Return the text of a state, the task's own change of it included."""
        told = self._told.get(name)
        return told.text if told is not None else self._live.state.cells.get(name)

    def put(self, name: str, text: str | None) -> None:
        """Tell a change.

        Raises:
            TaskStopped: the task was told to stop.
            TooLargeError: the text is over the limit.
            UsageError: the runner is over.
        """
        self._scope.check()
        _check(self._limits, name, text)
        fact = self._told[name] = CellWritten(self._clock.now(), name, text)
        told = Told(self._live, fact, answered=lambda: self._forget(fact))
        if _running_loop() is self._home:
            self._teller.put(told)
        else:
            self._home.call_soon_threadsafe(self._teller.put, told)

    def _forget(self, fact: CellWritten) -> None:
        if self._told.get(fact.name) is fact:
            del self._told[fact.name]


def _check(limits: SizeLimits, name: str, text: str | None) -> None:
    if text is not None:
        limits.check(f"state {name!r}", byte_size(text))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
