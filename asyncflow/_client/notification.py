"""What a task says to its own workflow execution, under the AIFlow documents' name.

It works only inside a task, and never reaches another namespace.
"""

from asyncflow._dual import dual_method
from asyncflow._home import Home
from asyncflow._model.event import Event
from asyncflow._model.naming import event_key
from asyncflow._model.port import CURRENT_TASK
from asyncflow.errors import UsageError


class NotificationClient:
    """Sends events in the name of the task that makes it.

    An event goes to the rules of the task's own workflow execution, and to those who listen in
    its namespace.

    Args:
        server_uri: ignored; the AIFlow documents pass an address, and there is no server here.

    Raises:
        UsageError: outside a task.
    """

    def __init__(self, server_uri: str | None = None) -> None:
        """Find the task."""
        scope = CURRENT_TASK.get()
        if scope is None:
            text = (
                "NotificationClient works only inside a task, whose events it sends: "
                "elsewhere use send_event of a Client or Runner"
            )
            raise UsageError(text)
        self.server_uri = server_uri
        self._scope = scope

    def __home__(self) -> Home:
        """Return where its coroutines run."""
        return self._scope.port.__home__()

    @dual_method
    async def send_event(self, key: str, value: object = None, context: object = None) -> Event:
        """Send an event. On return it is on disk and the rules of this execution have answered.

        Args:
            key: what it is about; a non-empty string.
            value: any JSON value; None stays None.
            context: a further JSON value.

        Raises:
            TypeError, ValueError: key, value or context cannot be stored.
            TaskStopped: the task was told to stop; nothing was sent.
        """
        scope = self._scope
        scope.check()
        record = await scope.port.publish_from(scope, event_key(key), value, context)
        return Event.of(record)
