"""Named points at which a test lets the process die, fail or be cancelled; free when off.

The variable ASYNCFLOW_FAILPOINT, read when this module is imported, says what happens where:
``name:n:action``, several with commas between. The action is taken at the n-th pass of the point
in this process, and at no other. A point must never do anything that is not asked for there.

- kill: SIGKILL to the whole process, as a crash or `kill -9` would end it.
- raise: a `FailpointError`; at the points of a store it is a `StoreError` too.
- cancel: an `asyncio.CancelledError` right there, also on a thread or outside of any task;
  no task is told to cancel, so `Task.cancelling()` stays what it was.
"""

import os
import signal
import threading
from asyncio import CancelledError
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from asyncflow.errors import AsyncflowError, StoreError, UsageError

VARIABLE: Final = "ASYNCFLOW_FAILPOINT"
POINTS: Final = frozenset(
    {
        "driver.decide.after",
        "driver.dispatch.after",
        "driver.dispatch.before",
        "event.open.before",
        "event.wait.before",
        "migration.after",
        "migration.before",
        "store.append.after",
        "store.append.before",
        "store.change.after",
        "store.change.before",
        "store.checkpoint.after",
        "store.checkpoint.before",
        "store.claim.after",
        "store.claim.before",
        "store.commit.after",
        "store.commit.before",
        "store.register.after",
        "store.register.before",
        "store.release.after",
        "store.release.before",
        "store.sweep.after",
        "store.sweep.before",
        "task.body.after",
        "task.result.before",
        "task.start.before",
        "timer.fire.before",
        "trigger.poll.after",
    }
)


class FailpointError(AsyncflowError):
    """A failpoint was told to raise here."""


class StoreFailpointError(FailpointError, StoreError):
    """A failpoint of a store was told to raise here."""


class Action(StrEnum):
    """What happens at a point."""

    KILL = "kill"
    RAISE = "raise"
    CANCEL = "cancel"


def hit(name: str) -> None:
    """Pass the point of that name, one of `POINTS`; returns, unless an action is due."""
    armed_now = _switch.armed
    if armed_now is not None:
        armed_now.hit(name)


@contextmanager
def armed(spec: str = "") -> Generator[Mapping[str, int], None, None]:
    """Arm points of this process, and no others, for tests; give what was passed, how often.

    Args:
        spec: as in the variable; an empty one only counts.
    """
    before, _switch.armed = _switch.armed, _Armed(parse(spec))
    passes = _switch.armed.passes
    try:
        yield passes
    finally:
        _switch.armed = before


def parse(spec: str) -> Mapping[tuple[str, int], Action]:
    """Return the action of each point and pass that ``spec`` names.

    Raises:
        UsageError: it is not written as described above, or names no point.
    """
    actions: dict[tuple[str, int], Action] = {}
    for entry in filter(None, map(str.strip, spec.split(","))):
        name, _, rest = entry.partition(":")
        number, _, action = rest.partition(":")
        if name not in POINTS:
            raise _refused(entry, "no such point", "the points are " + ", ".join(sorted(POINTS)))
        if not (number.isdecimal() and int(number)):
            raise _refused(entry, f"{number!r} is no pass", "write 1 for the first, and so on")
        if action not in set(Action):
            raise _refused(entry, f"no action {action!r}", "the actions are " + ", ".join(Action))
        if (name, int(number)) in actions:
            raise _refused(entry, "that pass has an action already", "leave out one of the two")
        actions[name, int(number)] = Action(action)
    return actions


class _Armed:
    """Counts passes, on whichever threads they are, and acts at those that were asked for."""

    def __init__(self, actions: Mapping[tuple[str, int], Action]) -> None:
        self.passes = Counter[str]()
        self._actions = actions
        self._lock = threading.Lock()

    def hit(self, name: str) -> None:
        with self._lock:
            self.passes[name] += 1
            number = self.passes[name]
        match self._actions.get((name, number)):
            case Action.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Action.RAISE:
                kind = StoreFailpointError if name.startswith("store.") else FailpointError
                text = f"the failpoint {name} was told to raise at pass {number}"
                raise kind(text)
            case Action.CANCEL:
                raise CancelledError(name)
            case None:
                pass


class _Switch:
    """Holds what is armed, where both `hit` and `armed` see it."""

    def __init__(self, spec: str) -> None:
        actions = parse(spec)
        self.armed: _Armed | None = _Armed(actions) if actions else None


def _refused(entry: str, reason: str, way_out: str) -> UsageError:
    return UsageError(f"failpoint {entry!r}: {reason}; {way_out} (see {VARIABLE})")


_switch: Final = _Switch(os.environ.get(VARIABLE, ""))
