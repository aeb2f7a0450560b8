"""What a task says and hears, under AIFlow's name."""

from asyncflow import Event, ListenerProcessor, NotificationClient

__all__ = ["AIFlowNotificationClient", "Event", "ListenerProcessor"]


class AIFlowNotificationClient(NotificationClient):
    """A `NotificationClient`; the address that it is given is ignored."""

    def close(self) -> None:
        """Do nothing: there is no connection, and listeners end with their task."""
