"""The workflow rules of this process: who hears an event, and what it starts. It writes nothing.

A rule's condition is code, so that each process adds its rules anew; that a rule is paused, and the
states of its workflow, are in the store.
"""

import asyncio
import logging
from collections.abc import Iterable
from itertools import chain, count

from asyncflow._client.executions import new_execution
from asyncflow._client.plans import Plans
from asyncflow._clock import Clock
from asyncflow._model.context import Context
from asyncflow._model.record import EventRecord
from asyncflow._model.registry import Registry
from asyncflow._model.rule import WorkflowRule
from asyncflow._model.status import ExecutionType
from asyncflow._runner.cells import Overlay
from asyncflow._runner.duties import Duties
from asyncflow._runner.entries import Wanted
from asyncflow._runner.judge import Case, Judge, Pending, Question
from asyncflow._runner.live import Heard, LiveRule, RuledWorkflow, Verdicts
from asyncflow._runner.work import Work
from asyncflow._store.batch import Cause, Duty, DutyKind, Fence
from asyncflow._store.change import AddRule
from asyncflow._store.protocol import Store
from asyncflow._store.queries import WorkflowCells, WorkflowRules
from asyncflow.errors import UsageError

logger = logging.getLogger(__name__)


class Rulebook:
    """Holds workflow rules, and judges events by them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        judge: Judge,
        registry: Registry,
        plans: Plans,
        *,
        duties: Duties,
        fence: Fence,
    ) -> None:
        """Begin with no rules."""
        self._store = store
        self._clock = clock
        self._judge = judge
        self._registry = registry
        self._plans = plans
        self._duties = duties
        self._fence = fence
        self._changing = asyncio.Lock()  # a look that began before an adding knows nothing of it
        self._workflows: dict[tuple[str, str], RuledWorkflow] = {}
        self._by_key: dict[tuple[str, str], dict[RuledWorkflow, None]] = {}

    async def add(self, namespace: str, workflow: str, rule: WorkflowRule, name: str | None) -> str:
        """Add a rule; return its name. One that was paused before is paused still."""
        async with self._changing:
            return await self._add(namespace, workflow, rule, name)

    async def _add(
        self, namespace: str, workflow: str, rule: WorkflowRule, name: str | None
    ) -> str:
        key = (namespace, workflow)
        there = self._workflows.get(key)
        names = there.rules if there is not None else {}
        free = (each for each in map("rule-{}".format, count(len(names) + 1)) if each not in names)
        name = next(free) if name is None else name
        if name in names:
            text = f"workflow {workflow!r} has a workflow rule {name!r} already: give another name"
            raise UsageError(text)
        await self._store.change(AddRule(namespace, workflow, name), self._fence)
        ruled = self._workflows.setdefault(key, RuledWorkflow(key))
        ruled.rules[name] = LiveRule(name, rule)
        for event_key in rule.condition.expect_event_keys:
            self._by_key.setdefault((namespace, event_key), {})[ruled] = None
        self._want(ruled)
        await self._refresh()
        return name

    def _want(self, ruled: RuledWorkflow) -> None:
        keys = (each.rule.condition.expect_event_keys for each in ruled.rules.values())
        self._duties.want(_duty(ruled), frozenset(chain.from_iterable(keys)))

    async def come_on_duty(self, duties: frozenset[Duty]) -> None:
        """Judge events by the rules of these workflows from now on, on their states as stored."""
        for ruled in tuple(self._workflows.values()):
            if not ruled.on_duty and _duty(ruled) in duties:
                ruled.cells = dict(await self._store.read(WorkflowCells(*ruled.key)))
                ruled.on_duty = True

    async def refresh(self) -> None:
        """Do as the store says: pause, resume and forget rules."""
        if self._workflows:
            async with self._changing:
                await self._refresh()

    async def _refresh(self) -> None:
        stored = {
            (rule.namespace, rule.workflow, rule.name): rule.paused
            for rule in await self._store.read(WorkflowRules())
        }
        for key, ruled in tuple(self._workflows.items()):
            for rule in tuple(ruled.rules.values()):
                paused = stored.get((*key, rule.name))
                rule.paused = bool(paused)
                if paused is None:
                    self._forget(ruled, rule)

    def _forget(self, ruled: RuledWorkflow, rule: LiveRule) -> None:
        """Hear no more of the keys that only this rule expected."""
        del ruled.rules[rule.name]
        if ruled.rules:
            self._want(ruled)
        wanted = {
            key for each in ruled.rules.values() for key in each.rule.condition.expect_event_keys
        }
        for key in set(rule.rule.condition.expect_event_keys) - wanted:
            place = (ruled.key[0], key)
            hearers = self._by_key.get(place, {})
            hearers.pop(ruled, None)
            if not hearers:
                self._by_key.pop(place, None)
        if not ruled.rules:
            del self._workflows[ruled.key]
            self._duties.unwant(_duty(ruled))

    async def reread(self, heard: Iterable[Heard]) -> None:
        """Go on from what the store says of the states of these workflows."""
        for ruled in {each.workflow for each in heard}:
            ruled.cells = dict(await self._store.read(WorkflowCells(*ruled.key)))

    def of(self, namespace: str, key: str) -> tuple[RuledWorkflow, ...]:
        """Return the workflows that have a rule for this key, and are judged here."""
        hearers = self._by_key.get((namespace, key))
        if hearers is None:
            return ()
        return tuple(ruled for ruled in hearers if ruled.on_duty)

    def judge(self, ruled: RuledWorkflow, record: EventRecord) -> Verdicts | Pending:
        """Judge an event for the rules of a workflow."""
        questions = [
            Question(number, f"workflow rule {each.name!r}", each.rule.condition)
            for number, each in enumerate(ruled.rules.values())
            if not each.paused and record.key in each.rule.condition.expect_event_keys
        ]
        cells = Overlay(ruled.cells, self._judge.limits)
        where = f"workflow {ruled.key[1]!r}"
        case = Case(
            where, record, lambda: Context.of({}, cells=cells, frozen=True), cells, questions
        )
        return self._judge.verdicts(case)

    def wanted(self, heard: Heard, work: Work) -> Wanted | None:
        """Return the execution that an event starts, None if its workflow is not declared."""
        namespace, name = heard.workflow.key
        workflow = self._registry.find(name, namespace)
        if workflow is None:
            text = "workflow %r in namespace %r is not declared, and not started by event %r"
            logger.error(text, name, namespace, heard.publication.event.key)
            return None
        publication = heard.publication
        if publication.offset is not None:
            cause = Cause(publication.offset)
        else:
            cause = Cause(work.storing.index(publication), fresh=True)
        plan = self._plans.of(workflow)
        row = new_execution(plan, None, self._clock.now(), kind=ExecutionType.EVENT, cause=cause)
        return Wanted.of(plan, workflow, row, {})


def _duty(ruled: RuledWorkflow) -> Duty:
    return Duty(DutyKind.RULES, *ruled.key)
