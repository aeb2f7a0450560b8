"""How each query is answered from the dicts; answers share nothing that is changed later."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from asyncflow._core.state import Outcome, TaskState
from asyncflow._model.record import (
    EventRecord,
    ExecutionRecord,
    LogRecord,
    RuleRecord,
    TaskExecutionRecord,
)
from asyncflow._store.batch import (
    Duty,
    FactRecord,
    InboxItem,
    Letter,
    RunnerRow,
    StoredExecution,
)
from asyncflow._store.memory import awaited_reads, schedule_reads, size_reads, trigger_reads
from asyncflow._store.memory.tables import Execution, Tables, TaskKey
from asyncflow._store.queries import (
    ContextOf,
    DisabledWorkflows,
    Duties,
    Events,
    ExecutionByName,
    Executions,
    Facts,
    Inbox,
    LastOffset,
    LettersWait,
    OwnedExecutions,
    Query,
    Runners,
    StoredExecutions,
    TaskExecutions,
    TaskLogs,
    UnownedWorkflows,
    WorkflowCells,
    WorkflowRules,
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
    before = tables.last_execution + 1 if query.before is None else query.before
    found = (each for id_, each in reversed(tables.executions.items()) if id_ < before)
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
        _task_record(execution, key, state, outcome)
        for key, (state, outcome) in execution.tasks.items()
        if state.sequence_number
    )


def _context_of(tables: Tables, query: ContextOf) -> Mapping[str, str]:
    execution = tables.executions.get(query.execution)
    return {} if execution is None else dict(execution.context)


def _events(tables: Tables, query: Events) -> tuple[EventRecord, ...]:
    end = tables.last_offset if query.end is None else min(query.end, tables.last_offset)
    offsets = range(max(query.begin, 0) + 1, end + 1)
    ordered = reversed(offsets) if query.newest_first else offsets
    events = (tables.events[offset] for offset in ordered if offset in tables.events)
    matching = (_named(tables, event) for event in events if _matches(event, query))
    return tuple(islice(matching, query.limit))


def _named(tables: Tables, event: EventRecord) -> EventRecord:
    if event.execution is None:
        return event
    return replace(event, run_name=tables.executions[event.execution].new.name)


def _matches(event: EventRecord, query: Events) -> bool:
    return (
        query.namespace in (None, event.namespace)
        and query.execution in (None, event.execution)
        and query.sender in (None, event.sender)
        and (query.answers or event.awaited is None)
        and (query.keys is None or event.key in query.keys)
        and (query.since is None or event.create_time > query.since)
        and (query.until is None or event.create_time <= query.until)
    )


def _last_offset(tables: Tables, query: LastOffset) -> int:
    until = query.until
    found = (
        offset
        for offset, event in reversed(tables.events.items())
        if until is None or event.create_time <= until
    )
    return next(found, 0)


def _workflow_cells(tables: Tables, query: WorkflowCells) -> Mapping[str, str]:
    wanted = (query.namespace, query.workflow)
    return {cell[2]: text for cell, text in tables.cells.items() if cell[:2] == wanted}


def _disabled_workflows(tables: Tables, _: DisabledWorkflows) -> frozenset[tuple[str, str]]:
    return frozenset(tables.disabled)


def _workflow_rules(tables: Tables, query: WorkflowRules) -> tuple[RuleRecord, ...]:
    found = [
        rule
        for rule in tables.rules.values()
        if query.namespace in (None, rule.namespace) and query.workflow in (None, rule.workflow)
    ]
    return tuple(sorted(found, key=lambda rule: (rule.namespace, rule.workflow)))


def _task_logs(tables: Tables, query: TaskLogs) -> tuple[LogRecord, ...]:
    execution = tables.executions.get(query.execution)
    run = (query.task_name, query.sequence_number)
    lines = (
        line
        for line in (execution.logs if execution is not None else ())
        if (line.task_name, line.sequence_number) == run and (line.id or 0) > query.after
    )
    return tuple(islice(lines, query.limit))


def _inbox(tables: Tables, query: Inbox) -> tuple[InboxItem, ...]:
    matching = (
        _item(tables, item)
        for item, runner in tables.inbox.values()
        if item.id > query.after and _is_for(tables, item.letter, runner, query.runner)
    )
    return tuple(islice(matching, query.limit))


def _letters_wait(tables: Tables, query: LettersWait) -> bool:
    return any(item.letter.execution == query.execution for item, _ in tables.inbox.values())


def _item(tables: Tables, item: InboxItem) -> InboxItem:
    event = item.letter.event
    if event is None or event.execution is None:
        return item
    return replace(item, letter=replace(item.letter, event=_named(tables, event)))


def _is_for(tables: Tables, letter: Letter, addressee: str | None, runner: str) -> bool:
    if letter.execution is None:
        return addressee == runner
    execution = tables.executions[letter.execution]
    return execution.owner == runner or execution.head.status.final


def _owned_executions(tables: Tables, query: OwnedExecutions) -> tuple[int, ...]:
    return tuple(sorted(tables.owned.get(query.runner, ())))


def _unowned_workflows(tables: Tables, _: UnownedWorkflows) -> frozenset[tuple[str, str]]:
    unowned = (tables.executions[id_].new for id_ in tables.owned.get(None, ()))
    return frozenset((new.namespace, new.workflow) for new in unowned)


def _runners(tables: Tables, _: Runners) -> tuple[RunnerRow, ...]:
    rows = tables.runners.values()
    return tuple(replace(row, beat=tables.beats[row.epoch]) for row in rows)


def _duties(tables: Tables, _: Duties) -> Mapping[Duty, str]:
    return {duty: runner for duty, (runner, _) in tables.duties.items() if runner}


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
    LastOffset: _last_offset,
    WorkflowCells: _workflow_cells,
    DisabledWorkflows: _disabled_workflows,
    WorkflowRules: _workflow_rules,
    TaskLogs: _task_logs,
    Inbox: _inbox,
    LettersWait: _letters_wait,
    Runners: _runners,
    Duties: _duties,
    OwnedExecutions: _owned_executions,
    UnownedWorkflows: _unowned_workflows,
    StoredExecutions: _stored_executions,
    Facts: _facts,
    **size_reads.ANSWERS,
    **awaited_reads.ANSWERS,
    **trigger_reads.ANSWERS,
    **schedule_reads.ANSWERS,
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
        heard=head.heard,
        recoveries=head.recoveries,
    )


def _task_record(
    execution: Execution, key: TaskKey, state: TaskState, outcome: Outcome | None
) -> TaskExecutionRecord:
    return TaskExecutionRecord(
        id=execution.task_ids[key],
        execution=execution.id,
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
        metrics=outcome.metrics if outcome else None,
    )


def _stored(execution: Execution) -> StoredExecution:
    latest = tuple(execution.tasks[key][0] for key in execution.latest.items())
    return StoredExecution(
        _record(execution),
        execution.head,
        latest,
        dict(execution.context),
        dict(execution.cells),
    )
