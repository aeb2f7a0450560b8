"""What is changed of triggers and of their histories; nothing here raises."""

from collections.abc import Iterable
from dataclasses import replace

from asyncflow._model.record import FiringRecord, TriggerRecord
from asyncflow._store.batch import CursorWrite, FailedPoll, Firing
from asyncflow._store.change import SetTriggerEnabled
from asyncflow._store.codec import utf8
from asyncflow._store.memory.tables import Named, Tables


def add(tables: Tables, triggers: Iterable[TriggerRecord]) -> None:
    """Keep triggers, or what is new of them."""
    for trigger in triggers:
        key = (trigger.namespace, trigger.name)
        found = tables.triggers.get(key)
        if found is None:
            tables.triggers[key] = replace(trigger, id=next(tables.trigger_ids))
        elif _declaration(found) != _declaration(trigger):
            tables.triggers[key] = replace(
                found,
                workflow=trigger.workflow,
                poll_interval=trigger.poll_interval,
                allow_concurrent=trigger.allow_concurrent,
                updated=trigger.updated,
            )


def set_enabled(tables: Tables, change: SetTriggerEnabled) -> None:
    """Let a trigger poll, or not."""
    key = (change.namespace, change.trigger)
    found = tables.triggers.get(key)
    if found is not None and found.enabled != change.enabled:
        tables.triggers[key] = replace(found, enabled=change.enabled, updated=change.at)


def write_cursor(tables: Tables, write: CursorWrite) -> None:
    """Keep a cursor, unless the trigger's workflow is disabled, or it does not fit."""
    key = (write.namespace, write.trigger)
    found = tables.triggers.get(key)
    disabled = (write.namespace, write.workflow) in tables.disabled
    if found is not None and not disabled and fits(tables, write):
        tables.triggers[key] = replace(found, cursor=write.cursor)


def fits(tables: Tables, write: CursorWrite) -> bool:
    """Say whether the stored cursor is the one that is to be replaced."""
    found = tables.triggers.get((write.namespace, write.trigger))
    return (None if found is None else found.cursor) == write.instead_of


def note_firing(tables: Tables, firing: Firing, execution: str) -> None:
    """Keep what a poll started."""
    line = FiringRecord(
        id=next(tables.firing_ids),
        namespace=firing.namespace,
        trigger=firing.trigger,
        started=firing.started,
        ended=None,
        context_hash=firing.context_hash,
        key=firing.key,
        execution=execution,
        error=None,
    )
    _note(tables, line)


def note_failure(tables: Tables, poll: FailedPoll) -> None:
    """Keep why a poll failed."""
    line = FiringRecord(
        id=next(tables.firing_ids),
        namespace=poll.namespace,
        trigger=poll.trigger,
        started=poll.started,
        ended=poll.ended,
        context_hash=None,
        key=None,
        execution=None,
        error=utf8(poll.error),
    )
    _note(tables, line)


def forget(tables: Tables, workflow: Named) -> None:
    """Forget what the triggers of a workflow did, and where they are."""
    for key, trigger in tables.triggers.items():
        if (trigger.namespace, trigger.workflow) == workflow:
            tables.triggers[key] = replace(trigger, cursor=None)
            tables.firings.pop(key, None)


def _note(tables: Tables, line: FiringRecord) -> None:
    tables.firings.setdefault((line.namespace, line.trigger), []).append(line)


def _declaration(trigger: TriggerRecord) -> tuple[object, ...]:
    return (trigger.workflow, trigger.poll_interval, trigger.allow_concurrent)
