"""Which new executions get a row: what is refused, and why, by what is stored already."""

from collections.abc import Sequence

from asyncflow._store.batch import Firing, NewExecution, Refused, Tick
from asyncflow._store.memory import schedule_writes, trigger_writes
from asyncflow._store.memory.tables import Execution, Tables


def admit(
    tables: Tables, new: NewExecution, final: bool, offsets: Sequence[int]
) -> Execution | Refused:
    """Make the row of a new execution, ``final`` if it has ended already, or say why not."""
    caused = _caused(new, offsets)
    refused = _refusal(tables, new, caused)
    if refused is not None:
        return refused
    tables.last_execution += 1
    execution = Execution(tables.last_execution, new, new.fingerprint)
    tables.executions[execution.id] = execution
    tables.names[new.name] = execution.id
    if caused is not None:
        tables.causes.add(caused)
        execution.cause = caused[2]
    if new.once is not None:
        tables.once.add((new.namespace, new.workflow, new.once))
    if new.alone is not None and not final:
        tables.alone[new.namespace, new.workflow, new.alone] = execution.id
    match new.origin:
        case Firing():
            trigger_writes.note_firing(tables, new.origin, new.name)
        case Tick():
            schedule_writes.note_tick(tables, new.origin, new)
        case None:
            pass
    return execution


def yield_alone(tables: Tables, execution: Execution) -> None:
    """Let others run that must not run beside an execution, which has ended."""
    new = execution.new
    if new.alone is not None:
        key = (new.namespace, new.workflow, new.alone)
        if tables.alone.get(key) == execution.id:
            del tables.alone[key]


def _caused(new: NewExecution, offsets: Sequence[int]) -> tuple[str, str, int] | None:
    if new.cause is None:
        return None
    offset = offsets[new.cause.event] if new.cause.fresh else new.cause.event
    return (new.namespace, new.workflow, offset)


def _refusal(
    tables: Tables, new: NewExecution, caused: tuple[str, str, int] | None
) -> Refused | None:
    workflow = (new.namespace, new.workflow)
    if workflow in tables.disabled:
        return Refused.DISABLED
    if new.name in tables.names:
        return Refused.NAME_TAKEN
    if caused in tables.causes:
        return Refused.CAUSED_ALREADY
    refused = _refusal_of(tables, new.origin)
    if refused is not None:
        return refused
    if new.once is not None and (*workflow, new.once) in tables.once:
        return Refused.STARTED_ONCE
    if new.alone is not None and (*workflow, new.alone) in tables.alone:
        return Refused.RUNS_ALREADY
    return None


def _refusal_of(tables: Tables, origin: Firing | Tick | None) -> Refused | None:
    """Say why what wants an execution may start nothing."""
    if isinstance(origin, Tick):
        return schedule_writes.refusal(tables, origin)
    write = None if origin is None else origin.cursor
    return None if write is None or trigger_writes.fits(tables, write) else Refused.OUTDATED
