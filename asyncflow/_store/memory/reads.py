"""How each query is answered from the dicts; answers share nothing that is changed later."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeVar

from asyncflow._core.state import Outcome, TaskState
from asyncflow._model.record import EventRecord, ExecutionRecord, TaskExecutionRecord
from asyncflow._store.batch import FactRecord, InboxItem, Letter, RunnerRow, StoredExecution
from asyncflow._store.memory.tables import Execution, Tables
from asyncflow._store.queries import (
    ContextOf,
    Events,
    ExecutionByName,
    Executions,
    Facts,
    Inbox,
    Query,
    Runners,
    StoredExecutions,
    TaskExecutions,
)

T = TypeVar("T")


def answer(tables: Tables, query: Query[T]) -> T:
    """Return what the store says; the type of the query tells the type."""
    result: T = _ANSWERS[type(query)](tables, query)
    return result


def _execution_by_name(tables: Tables, query: ExecutionByName) -> ExecutionRecord | None:
    id_ = tables.names.get(query.name)
    return None if id_ is None else _record(tables.executions[id_])


def _executions(tables: Tables, query: Executions) -> tuple[ExecutionRecord, ...]:
    newest = len(tables.executions) if query.before is None else query.before - 1
    found = (tables.executions[id_] for id_ in range(min(newest, len(tables.executions)), 0, -1))
    matching = (
        _record(execution)
        for execution in found
        if query.namespace in (None, execution.new.namespace)
        and query.workflow in (None, execution.new.workflow)
        and (query.statuses is None or execution.head.status in query.statuses)
    )
    return tuple(islice(matching, query.limit))


def _task_executions(tables: Tables, query: TaskExecutions) -> tuple[TaskExecutionRecord, ...]:
    execution = tables.executions.get(query.execution)
    if execution is None:
        return ()
    return tuple(
        _task_record(execution.id, state, outcome)
        for state, outcome in execution.tasks.values()
        if state.sequence_number
    )


def _context_of(tables: Tables, query: ContextOf) -> Mapping[str, str]:
    execution = tables.executions.get(query.execution)
    return {} if execution is None else dict(execution.context)


def _events(tables: Tables, query: Events) -> tuple[EventRecord, ...]:
    count = len(tables.events)
    end = count if query.end is None else min(query.end, count)
    matching = (
        event
        for event in map(tables.events.__getitem__, range(max(query.begin, 0), end))
        if query.namespace in (None, event.namespace)
        and query.execution in (None, event.execution)
        and (query.keys is None or event.key in query.keys)
    )
    return tuple(islice(matching, query.limit))


def _inbox(tables: Tables, query: Inbox) -> tuple[InboxItem, ...]:
    matching = (
        item
        for item, runner in tables.inbox.values()
        if item.id > query.after and _is_for(tables, item.letter, runner, query.runner)
    )
    return tuple(islice(matching, query.limit))


def _is_for(tables: Tables, letter: Letter, addressee: str | None, runner: str) -> bool:
    if letter.execution is None:
        return addressee in (None, runner)
    execution = tables.executions[letter.execution]
    return execution.owner == runner or execution.head.status.final


def _runners(tables: Tables, _: Runners) -> tuple[RunnerRow, ...]:
    return tuple(tables.runners.values())


def _stored_executions(tables: Tables, query: StoredExecutions) -> tuple[StoredExecution, ...]:
    known = sorted(tables.executions.keys() & set(query.ids))
    return tuple(_stored(tables.executions[id_]) for id_ in known)


def _facts(tables: Tables, query: Facts) -> tuple[FactRecord, ...]:
    execution = tables.executions.get(query.execution)
    if execution is None:
        return ()
    first = bisect_right(execution.facts, query.after, key=lambda fact: fact.id)
    return tuple(execution.facts[first : first + query.limit])


_ANSWERS: dict[type[Query[Any]], Callable[[Tables, Any], Any]] = {
    ExecutionByName: _execution_by_name,
    Executions: _executions,
    TaskExecutions: _task_executions,
    ContextOf: _context_of,
    Events: _events,
    Inbox: _inbox,
    Runners: _runners,
    StoredExecutions: _stored_executions,
    Facts: _facts,
}


def _record(execution: Execution) -> ExecutionRecord:
    new, head = execution.new, execution.head
    return ExecutionRecord(
        id=execution.id,
        name=new.name,
        workflow=new.workflow,
        namespace=new.namespace,
        execution_type=new.execution_type,
        status=head.status,
        created=new.created,
        begin=head.begin,
        end=head.end,
        error=head.error,
        parked_reason=head.parked_reason,
        stopping=head.stopping,
        fingerprint=execution.fingerprint,
        owner=execution.owner,
    )


def _task_record(id_: int, state: TaskState, outcome: Outcome | None) -> TaskExecutionRecord:
    return TaskExecutionRecord(
        execution=id_,
        task_name=state.name,
        sequence_number=state.sequence_number,
        try_number=state.try_number,
        status=state.status,
        execution_type=state.execution_type,
        begin=state.begin,
        end=state.end,
        result=outcome.result if outcome else None,
        error=outcome.error if outcome else None,
        traceback=outcome.traceback if outcome else None,
        abandoned=outcome.abandoned if outcome else False,
    )


def _stored(execution: Execution) -> StoredExecution:
    latest = tuple(execution.tasks[key][0] for key in execution.latest.items())
    return StoredExecution(_record(execution), execution.head, latest, dict(execution.context))
