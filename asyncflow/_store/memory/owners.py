"""Who owns executions, letters and duties, and who is registered. Only `check_fence` raises."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest

from asyncflow._store.batch import (
    LAST_FACTS,
    Batch,
    Claimed,
    Dead,
    Duty,
    DutyKind,
    Fence,
    InboxItem,
    RunnerRow,
)
from asyncflow._store.for_rules import (
    NOBODY,
    OnDuty,
    told_to_rules,
    writer_of,
)
from asyncflow._store.heirs import Gains, Names, Unheard, names, share
from asyncflow._store.memory.tables import Execution, Tables
from asyncflow._store.reach import Expected
from asyncflow._store.refusal import fenced


def register(tables: Tables, runner: RunnerRow) -> Fence:
    """Add a runner; letters that wait for the first are its own once it claims, with duties."""
    row = replace(runner, epoch=next(tables.epochs))
    tables.runners.pop(runner.id, None)
    tables.runners[runner.id] = row
    tables.beats[row.epoch] = row.beat
    return Fence(row.id, row.epoch)


def release(tables: Tables, fence: Fence) -> None:
    """Remove a runner, unless it was replaced."""
    if _holds(tables, fence):
        for id_ in tables.owned.get(fence.runner, ()):
            execution = tables.executions[id_]
            if execution.head.parked_reason is None:
                execution.head = replace(execution.head, recoveries=0)
        _remove(tables, fence.runner)


def claim(
    tables: Tables,
    fence: Fence,
    dead: Sequence[Dead],
    workflows: Sequence[tuple[str, str]] | None,
    limit: int,
    *,
    wanted: Mapping[Duty, frozenset[str]] | None,
) -> Claimed:
    """Remove the dead, then own what nobody does."""
    for each in dead:
        if _is_dead(tables, each):
            _remove(tables, each.runner)
    _give_up(tables, fence.runner, wanted)
    before = _rules_of_nobody(tables)
    ids = _first(tables, None if workflows is None else frozenset(workflows), limit)
    for id_ in ids:
        own(tables, tables.executions[id_], fence.runner)
    held = _take(tables, fence.runner, wanted or {})
    _inherit(tables, fence.runner, _gains(tables, ids, before & held))
    return Claimed(tuple(ids), held)


def renew(tables: Tables, fence: Fence) -> None:
    """Count a beat. Only the runner's own thread counts those of its epoch, which are kept."""
    tables.beats[fence.epoch] += 1


def check_claim(tables: Tables, fence: Fence, dead: Sequence[Dead]) -> None:
    """Raise `FencedError` unless the fence holds, and will when the dead are removed."""
    check_fence(tables, fence)
    if any(each.runner == fence.runner and _is_dead(tables, each) for each in dead):
        raise fenced(fence)


def check_fence(tables: Tables, fence: Fence | None) -> None:
    """Raise `FencedError` unless the runner's row has this epoch; None always holds."""
    if fence is not None and not _holds(tables, fence):
        raise fenced(fence)


def own(tables: Tables, execution: Execution, owner: str | None) -> None:
    """Put it among what the runner has to do; a finished one is nobody's and among nothing."""
    tables.owned.setdefault(execution.owner, set()).discard(execution.id)
    final = execution.head.status.final
    execution.owner = None if final else owner
    if not final:
        tables.owned.setdefault(owner, set()).add(execution.id)


def on_duty(tables: Tables, batch: Batch) -> OnDuty:
    """Return who is to judge the events of a batch by rules."""
    expected = {(event.namespace, event.key) for event in told_to_rules(batch)}
    judges: dict[Expected, dict[str, frozenset[str]]] = {}
    if expected:
        for duty, (runner, keys) in tables.duties.items():
            if duty.kind is DutyKind.RULES:
                for each in expected.intersection((duty.namespace, key) for key in keys):
                    of = judges.setdefault(each, {})
                    of[runner] = of.get(runner, frozenset()) | {duty.name}
    return OnDuty(writer_of(batch), judges)


def of_nobody(tables: Tables) -> Names:
    """Return what is expected by rules that nobody judges just now."""
    return _names(tables, _rules_of_nobody(tables))


def unowned(tables: Tables, namespace: str) -> list[int]:
    """Return the ids of the unfinished executions of a namespace that nobody owns."""
    ids = tables.owned.get(None, ())
    return [id_ for id_ in ids if tables.executions[id_].new.namespace == namespace]


def _holds(tables: Tables, fence: Fence) -> bool:
    row = tables.runners.get(fence.runner)
    return row is not None and row.epoch == fence.epoch


def _is_dead(tables: Tables, dead: Dead) -> bool:
    row = tables.runners.get(dead.runner)
    return row is not None and tables.beats[row.epoch] == dead.beat


def _first(tables: Tables, wanted: frozenset[tuple[str, str]] | None, limit: int) -> list[int]:
    """Return the ids of those of some workflows, in the order of `Store.claim`."""
    unowned = [tables.executions[id_] for id_ in tables.owned.get(None, ())]
    matching = [x for x in unowned if wanted is None or _workflow(x) in wanted]
    told = {item.letter.execution for item, _ in tables.inbox.values()}

    def place(x: Execution) -> tuple[bool, int, int]:
        latest = x.facts[-1].id if x.facts else 0
        worked_on = latest > tables.last_fact - LAST_FACTS
        return (x.id not in told, -latest if worked_on else 0, x.id)

    return [x.id for x in nsmallest(limit, matching, key=place)]


def _workflow(execution: Execution) -> tuple[str, str]:
    return (execution.new.namespace, execution.new.workflow)


def _take(tables: Tables, runner: str, wanted: Mapping[Duty, frozenset[str]]) -> frozenset[Duty]:
    """Give a runner what it wants and nobody has; return what it has of this."""
    held: set[Duty] = set()
    for duty, keys in wanted.items():
        holder, _ = tables.duties.get(duty, (runner, keys))
        if holder in {runner, NOBODY}:
            tables.duties[duty] = (runner, keys)
            held.add(duty)
    return frozenset(held)


def _give_up(tables: Tables, runner: str, wanted: Collection[Duty] | None) -> None:
    """Let a runner have no duties but those that it wants; letters for its rules are kept."""
    for duty, (holder, keys) in tuple(tables.duties.items()):
        if holder != runner or wanted is None or duty in wanted:
            continue
        if duty.kind is DutyKind.RULES and keys:
            tables.duties[duty] = (NOBODY, keys)
        else:
            del tables.duties[duty]


def _rules_of_nobody(tables: Tables) -> frozenset[Duty]:
    return frozenset(duty for duty, (holder, _) in tables.duties.items() if holder == NOBODY)


def _names(tables: Tables, rules: Iterable[Duty]) -> Names:
    return names((duty.namespace, duty.name, tables.duties[duty][1]) for duty in rules)


def _gains(tables: Tables, ids: Iterable[int], rules: frozenset[Duty]) -> Gains:
    return Gains(
        _least(tables, ids),
        _least(tables, tables.owned.get(None, ())),
        _names(tables, rules),
        of_nobody(tables),
        tables.last_execution,
    )


def _least(tables: Tables, ids: Iterable[int]) -> dict[str, int]:
    """Return the least of these executions in each namespace."""
    return {tables.executions[id_].new.namespace: id_ for id_ in sorted(ids, reverse=True)}


def _inherit(tables: Tables, runner: str, gains: Gains) -> None:
    for id_, (item, reader) in tuple(tables.inbox.items()):
        letter, event = item.letter, item.letter.event
        if reader is not None or letter.execution is not None:
            continue
        key, confined = (event.key, event.execution is not None) if event else ("", False)
        came = share(Unheard((letter.namespace, key), letter.body, confined), gains)
        if came.left is not None:
            tables.inbox[id_] = (InboxItem(id_, replace(letter, body=came.left)), None)
        if came.own is not None:
            own = id_ if came.left is None else next(tables.letter_ids)
            tables.inbox[own] = (InboxItem(own, replace(letter, body=came.own)), runner)


def _remove(tables: Tables, runner: str) -> None:
    del tables.runners[runner]
    for id_ in tables.owned.pop(runner, set()):
        execution = tables.executions[id_]
        execution.owner = None
        tables.owned.setdefault(None, set()).add(id_)
    _give_up(tables, runner, ())
    for id_, (item, reader) in tables.inbox.items():
        if reader == runner and item.letter.execution is None:
            tables.inbox[id_] = (item, None)
