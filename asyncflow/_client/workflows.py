"""A client's calls about workflows, and which workflow a caller means."""

from asyncflow._client.base import ClientBase
from asyncflow._dual import dual_method
from asyncflow._model.naming import storable_name
from asyncflow._model.record import RuleRecord
from asyncflow._model.workflow import Workflow
from asyncflow._store.change import DeleteWorkflow, DropRule, SetEnabled, SetRulePaused
from asyncflow._store.queries import DisabledWorkflows, Executions, WorkflowRules
from asyncflow.errors import (
    DefinitionError,
    RuleNotFoundError,
    UsageError,
    WorkflowInUseError,
    WorkflowNotFoundError,
)


class WorkflowCalls(ClientBase):
    """Disables, enables and deletes workflows, and pauses their rules."""

    @dual_method
    async def disable_workflow(self, name: str, namespace: str = "default") -> None:
        """Refuse new executions of a workflow, from calls and from rules; those that run go on.

        On return it is on disk, and holds for all processes.

        Raises:
            WorkflowNotFoundError: it is not declared here, and no execution of it is stored.
            TypeError, ValueError: a name is none.
        """
        await self._store.change(
            SetEnabled(*await self._known(name, namespace), enabled=False), self._fence
        )

    @dual_method
    async def enable_workflow(self, name: str, namespace: str = "default") -> None:
        """Let a workflow be started again; no effect on one that was not disabled.

        Raises:
            WorkflowNotFoundError: it is not declared here, and no execution of it is stored.
            TypeError, ValueError: a name is none.
        """
        await self._store.change(
            SetEnabled(*await self._known(name, namespace), enabled=True), self._fence
        )

    @dual_method
    async def delete_workflow(self, name: str, namespace: str = "default") -> None:
        """Delete all that is stored of a workflow: executions, their events, states and logs.

        Its definition stays: it can be started again.

        Raises:
            WorkflowInUseError: executions of it have not ended; nothing was deleted.
            WorkflowNotFoundError: it is not declared here, and no execution of it is stored.
            TypeError, ValueError: a name is none.
        """
        place = await self._known(name, namespace)
        unfinished = await self._store.change(DeleteWorkflow(*place), self._fence)
        if unfinished:
            raise WorkflowInUseError(name, namespace, unfinished)
        await self._workflow_deleted()

    @dual_method
    async def list_workflow_rules(
        self, workflow: str | None = None, namespace: str | None = None
    ) -> list[RuleRecord]:
        """Return the workflow rules that were added and not deleted, in any process.

        Args:
            workflow: those of this one only.
            namespace: None is any.
        """
        return list(await self._store.read(WorkflowRules(namespace, workflow)))

    @dual_method
    async def pause_workflow_rule(
        self, workflow: str, name: str, namespace: str = "default"
    ) -> None:
        """Let a rule do nothing, until it is resumed: in this process at once, in others soon.

        Raises:
            RuleNotFoundError: the workflow has no rule of that name.
        """
        await self._set_paused(workflow, name, namespace, paused=True)

    @dual_method
    async def resume_workflow_rule(
        self, workflow: str, name: str, namespace: str = "default"
    ) -> None:
        """Let a rule act again; raises as `pause_workflow_rule`."""
        await self._set_paused(workflow, name, namespace, paused=False)

    @dual_method
    async def delete_workflow_rule(
        self, workflow: str, name: str, namespace: str = "default"
    ) -> None:
        """Forget a rule; raises as `pause_workflow_rule`."""
        await self._check_rule(workflow, name, namespace)
        await self._store.change(DropRule(namespace, workflow, name), self._fence)
        await self._rules_changed()

    # --- inside ---

    async def _known(self, name: str, namespace: str) -> tuple[str, str]:
        """Return a namespace and a name, if there is anything of such a workflow."""
        place = _named(name, namespace)
        if self._registry.find(name, namespace) is None:
            found = await self._store.read(Executions(namespace, name, limit=1))
            disabled = await self._store.read(DisabledWorkflows())
            if not found and place not in disabled:
                declared = (each.name for each in self._registry.workflows())
                raise WorkflowNotFoundError(name, namespace, tuple(declared))
        return place

    async def _set_paused(self, workflow: str, name: str, namespace: str, *, paused: bool) -> None:
        await self._check_rule(workflow, name, namespace)
        await self._store.change(SetRulePaused(namespace, workflow, name, paused), self._fence)
        await self._rules_changed()

    async def _check_rule(self, workflow: str, name: str, namespace: str) -> None:
        rules = await self._store.read(WorkflowRules(*_named(workflow, namespace)))
        known = tuple(rule.name for rule in rules)
        if name not in known:
            raise RuleNotFoundError(name, workflow, known)

    async def _workflow_deleted(self) -> None:
        """Do what follows from a workflow whose rows are gone; a bare client keeps nothing."""

    async def _rules_changed(self) -> None:
        """Do what follows from changed rules; a bare client has none."""

    def _wanted(self, workflow: str | Workflow, namespace: str | None) -> Workflow:
        if isinstance(workflow, Workflow):
            _check_start(workflow, namespace)
            return workflow
        if not isinstance(workflow, str):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"what is started is a Workflow or the name of one, not {workflow!r}"
            raise TypeError(text)
        place = "default" if namespace is None else storable_name(namespace, "a namespace")
        return self._registry.workflow(workflow, place)


def _named(workflow: str, namespace: str) -> tuple[str, str]:
    """Return a namespace and a name, if they are names."""
    place = storable_name(namespace, "a namespace")
    return place, storable_name(workflow, "the name of a workflow")


def _check_start(workflow: Workflow, namespace: str | None) -> None:
    if not workflow.declared:
        text = (
            f"workflow {workflow.name!r} cannot be started: its `with` block is still "
            "open or has failed, and must end well before"
        )
        raise DefinitionError(text)
    if namespace is not None and namespace != workflow.namespace:
        text = (
            f"workflow {workflow.name!r} is in namespace {workflow.namespace!r}, not in "
            f"{namespace!r}: leave the namespace out, or give the workflow's name"
        )
        raise UsageError(text)
