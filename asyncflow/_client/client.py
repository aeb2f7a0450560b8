"""The client: opens a store and asks it, in both forms. It works on nothing itself.

Its calls are in one module for each noun; here they come together.
"""

from asyncflow._client.event_calls import EventCalls
from asyncflow._client.executions import ExecutionCalls


class Client(ExecutionCalls, EventCalls):
    """Asks a store: starts workflows, sends events, stops, waits and looks up.

    Open it with ``async with`` in a loop and with ``with`` elsewhere; used plainly it opens itself
    at its first blocking call, and `shutdown` closes it.

    Args:
        url: ``"sqlite:///relative.db"``, ``"sqlite:////absolute.db"``, a path, or ``":memory:"``.
        registry: where workflows are looked up by name; None: the one that is current now.
        clock: tells the time; a virtual one in tests.
        limits: sizes of values, in bytes of JSON, that are warned of and refused.
    """
