"""The client: opens a store and asks it, in both forms. It works on nothing itself.

Its calls are in one module for each noun; here they come together.
"""

from typing import Self

from asyncflow._client.schedules import ScheduleCalls
from asyncflow._client.triggers import TriggerCalls
from asyncflow._client.wait_for import WaitCalls
from asyncflow._model.port import current_port
from asyncflow.errors import UsageError


class Client(TriggerCalls, ScheduleCalls, WaitCalls):
    """Asks a store: starts workflows, sends events, stops, waits and looks up.

    Open it with ``async with`` in a loop and with ``with`` elsewhere; used plainly it opens itself
    at its first blocking call, and `shutdown` closes it.

    Args:
        url: ``"sqlite:///relative.db"``, ``"sqlite:////absolute.db"``, a path, or ``":memory:"``.
        registry: where workflows are looked up by name; None: the one that is current now.
        clock: tells the time; a virtual one in tests.
        limits: sizes of values, in bytes of JSON, that are warned of and refused.
    """

    @classmethod
    def current(cls) -> Self:
        """Return the client that runs this task, or outside of tasks the only one that is open.

        Raises:
            UsageError: none or several are open, or the one that is found is no such client.
            TaskStopped: in a task that was told to stop.
        """
        call = f"{cls.__name__}.current()"
        found = current_port(call)
        if not isinstance(found, cls):
            text = f"{call} finds {found.label}: open a {cls.__name__} instead of it"
            raise UsageError(text)
        return found
