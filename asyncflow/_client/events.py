"""Events as they are sent: checked and made into records. Nothing is stored here."""

from datetime import datetime

from asyncflow._model.naming import event_key, storable_name
from asyncflow._model.port import TaskScope
from asyncflow._model.record import EventRecord, ExecutionRecord
from asyncflow._model.value import SizeLimits, byte_size, to_json_text
from asyncflow.errors import UsageError


class Envelopes:
    """Makes the records of events whose values keep to the limits."""

    def __init__(self, limits: SizeLimits) -> None:
        """Note the limits."""
        self._limits = limits

    def sent(
        self,
        key: str,
        value: object,
        context: object,
        *,
        at: datetime,
        sender: str | None,
        namespace: str | None,
        target: ExecutionRecord | None,
    ) -> EventRecord:
        """Return what somebody outside says, to one execution or to a namespace.

        Raises what `Client.send_event` raises.
        """
        return EventRecord(
            offset=None,
            key=event_key(key),
            value=self._text(value, "value"),
            namespace=_namespace(target, namespace),
            sender=None if sender is None else storable_name(sender, "an event's sender"),
            create_time=at,
            context=None if context is None else self._text(context, "context"),
            execution=None if target is None else target.id,
            run_name=None if target is None else target.name,
        )

    def of_task(
        self, scope: TaskScope, key: str, value: object, context: object, *, at: datetime
    ) -> EventRecord:
        """Return what a task says to its own workflow execution."""
        return EventRecord(
            offset=None,
            key=key,
            value=self._text(value, "value"),
            namespace=scope.namespace,
            sender=f"{scope.execution_name}/{scope.task_name}",
            create_time=at,
            context=None if context is None else self._text(context, "context"),
            execution=scope.execution,
            run_name=scope.execution_name,
        )

    def _text(self, value: object, what: str) -> str:
        text = to_json_text(value, what)
        self._limits.check(f"the event's {what}", byte_size(text))
        return text


def _namespace(target: ExecutionRecord | None, namespace: str | None) -> str:
    if target is None:
        return "default" if namespace is None else storable_name(namespace, "a namespace")
    if namespace is not None and namespace != target.namespace:
        text = (
            f"workflow execution {target.name!r} is in namespace {target.namespace!r}, "
            f"not in {namespace!r}: leave the namespace out"
        )
        raise UsageError(text)
    return target.namespace
