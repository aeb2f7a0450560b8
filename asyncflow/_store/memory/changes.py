"""What each change of `Store.change` does to the dicts; nothing here raises."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final, assert_never

from asyncflow._model.record import RuleRecord
from asyncflow._store.batch import Duty, DutyKind
from asyncflow._store.change import (
    AddRule,
    AddTriggers,
    Change,
    DeleteWorkflow,
    DropRule,
    DropSchedule,
    PutSchedule,
    SetEnabled,
    SetRulePaused,
    SetTriggerEnabled,
)
from asyncflow._store.for_rules import NOBODY
from asyncflow._store.memory import awaited_writes, schedule_writes, trigger_writes
from asyncflow._store.memory.tables import Execution, Tables

SHOWN: Final = 10


def change(tables: Tables, change: Change) -> tuple[str, ...]:
    """Make a change; return what stands in its way."""
    match change:
        case DeleteWorkflow():
            return _delete_workflow(tables, (change.namespace, change.workflow))
        case PutSchedule():
            return schedule_writes.put(tables, change)
        case SetEnabled():
            workflow = (change.namespace, change.workflow)
            (tables.disabled.discard if change.enabled else tables.disabled.add)(workflow)
        case AddRule() | SetRulePaused() | DropRule():
            _change_rule(tables, change)
        case AddTriggers():
            trigger_writes.add(tables, change.triggers)
        case SetTriggerEnabled():
            trigger_writes.set_enabled(tables, change)
        case DropSchedule():
            schedule_writes.drop(tables, (change.namespace, change.schedule))
        case _:
            assert_never(change)
    return ()


def _change_rule(tables: Tables, change: AddRule | SetRulePaused | DropRule) -> None:
    key = (change.namespace, change.workflow, change.name)
    match change:
        case AddRule():
            tables.rules.setdefault(key, RuleRecord(*key, paused=False))
        case SetRulePaused():
            if key in tables.rules:
                tables.rules[key] = RuleRecord(*key, paused=change.paused)
        case DropRule():
            tables.rules.pop(key, None)


def _delete_workflow(tables: Tables, workflow: tuple[str, str]) -> tuple[str, ...]:
    own = {
        id_: execution
        for id_, execution in tables.executions.items()
        if (execution.new.namespace, execution.new.workflow) == workflow
    }
    unfinished = (each.new.name for each in own.values() if not each.head.status.final)
    names = tuple(islice(unfinished, SHOWN))
    if names:
        return names
    trigger_writes.forget(tables, workflow)
    schedule_writes.forget(tables, workflow)
    forget(tables, own)
    for cell in [cell for cell in tables.cells if cell[:2] == workflow]:
        del tables.cells[cell]
    for rule in [rule for rule in tables.rules if rule[:2] == workflow]:
        del tables.rules[rule]
    duty = Duty(DutyKind.RULES, *workflow)
    if duty in tables.duties:
        # What somebody has stays: it knows that it has it, and nobody else may come to it.
        holder, _ = tables.duties.pop(duty)
        if holder != NOBODY:
            tables.duties[duty] = (holder, frozenset())
    tables.causes = {cause for cause in tables.causes if cause[:2] != workflow}
    tables.once = {once for once in tables.once if once[:2] != workflow}
    tables.disabled.discard(workflow)
    return ()


def forget(tables: Tables, own: Mapping[int, Execution]) -> None:
    """Forget executions that have ended, by their ids, with all that is theirs."""
    for id_, execution in own.items():
        awaited_writes.forget(tables, execution)
        del tables.executions[id_]
        del tables.names[execution.new.name]
        if execution.cause is not None:
            new = execution.new
            tables.causes.discard((new.namespace, new.workflow, execution.cause))
    _delete_events(tables, own.keys())
    started = frozenset(execution.new.name for execution in own.values())
    for firings in tables.firings.values():
        firings[:] = [line for line in firings if line.execution not in started]
    for ticks in tables.ticks.values():
        ticks[:] = [line for line in ticks if line.execution not in started]


def _delete_events(tables: Tables, executions: Collection[int]) -> None:
    gone = {offset for offset, event in tables.events.items() if event.execution in executions}
    for offset in gone:
        del tables.events[offset]
    for id_, (item, _) in list(tables.inbox.items()):
        event = item.letter.event
        if item.letter.execution in executions or (event is not None and event.offset in gone):
            del tables.inbox[id_]
