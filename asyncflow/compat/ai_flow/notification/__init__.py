"""Names of `ai_flow.notification`."""

from asyncflow.compat.ai_flow.notification import notification_client

__all__ = ["notification_client"]
