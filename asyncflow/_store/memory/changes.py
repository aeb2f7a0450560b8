"""What each change of `Store.change` does to the dicts; nothing here raises."""

from collections.abc import Collection
from itertools import islice
from typing import Final, assert_never

from asyncflow._model.record import RuleRecord
from asyncflow._store.batch import (
    AddRule,
    Change,
    DeleteWorkflow,
    DropRule,
    SetEnabled,
    SetRulePaused,
)
from asyncflow._store.memory.tables import Tables

SHOWN: Final = 10


def change(tables: Tables, change: Change) -> tuple[str, ...]:
    """Make a change; return what stands in its way."""
    workflow = (change.namespace, change.workflow)
    match change:
        case SetEnabled():
            (tables.disabled.discard if change.enabled else tables.disabled.add)(workflow)
        case DeleteWorkflow():
            return _delete_workflow(tables, workflow)
        case AddRule():
            rule = RuleRecord(*workflow, change.name, paused=False)
            tables.rules.setdefault((*workflow, change.name), rule)
        case SetRulePaused():
            key = (*workflow, change.name)
            if key in tables.rules:
                tables.rules[key] = RuleRecord(*key, paused=change.paused)
        case DropRule():
            tables.rules.pop((*workflow, change.name), None)
        case _:
            assert_never(change)
    return ()


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
    for id_, execution in own.items():
        del tables.executions[id_]
        del tables.names[execution.new.name]
    _delete_events(tables, own.keys())
    for cell in [cell for cell in tables.cells if cell[:2] == workflow]:
        del tables.cells[cell]
    for rule in [rule for rule in tables.rules if rule[:2] == workflow]:
        del tables.rules[rule]
    tables.causes = {cause for cause in tables.causes if cause[:2] != workflow}
    tables.disabled.discard(workflow)
    return ()


def _delete_events(tables: Tables, executions: Collection[int]) -> None:
    gone = {offset for offset, event in tables.events.items() if event.execution in executions}
    for offset in gone:
        del tables.events[offset]
    for id_, (item, _) in list(tables.inbox.items()):
        event = item.letter.event
        if item.letter.execution in executions or (event is not None and event.offset in gone):
            del tables.inbox[id_]
