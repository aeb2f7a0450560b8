"""Cloacina's `WorkflowBuilder` and `Workflow`: a workflow of asyncflow, and questions about it."""

import hashlib
import json
from collections.abc import Callable
from graphlib import TopologicalSorter
from types import TracebackType
from typing import Self

from asyncflow import DefinitionError, Operator
from asyncflow import Workflow as _Workflow
from asyncflow.compat.cloaca.gates import GatedWorkflow


class Workflow:
    """What a `WorkflowBuilder` has built. Tasks are named by their ids, without a namespace."""

    __slots__ = ("workflow",)

    def __init__(self, workflow: _Workflow) -> None:
        self.workflow = workflow

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r}: {len(self.workflow.tasks)} tasks>"

    @property
    def name(self) -> str:
        """Its name."""
        return self.workflow.name

    @property
    def description(self) -> str:
        """What it is for."""
        return self.workflow.description

    @property
    def version(self) -> str:
        """16 hexadecimal digits, which change with the tasks and their dependencies."""
        text = json.dumps({name: sorted(found) for name, found in self._upstreams().items()})
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def get_execution_levels(self) -> list[list[str]]:
        """Return the tasks by level: those of one level depend on earlier ones only."""
        sorter = TopologicalSorter(self._upstreams())
        sorter.prepare()
        levels: list[list[str]] = []
        while sorter.is_active():
            ready = set(sorter.get_ready())
            levels.append([name for name in self.workflow.tasks if name in ready])
            sorter.done(*ready)
        return levels

    def topological_sort(self) -> list[str]:
        """Return the tasks, each after those that it depends on."""
        return [name for level in self.get_execution_levels() for name in level]

    def get_roots(self) -> list[str]:
        """Return the tasks that depend on none."""
        return [name for name, found in self._upstreams().items() if not found]

    def get_leaves(self) -> list[str]:
        """Return the tasks that none depends on."""
        needed = set[str]().union(*self._upstreams().values())
        return [name for name in self.workflow.tasks if name not in needed]

    def validate(self) -> None:
        """Do nothing: the block of the workflow has checked it when it ended."""

    def _upstreams(self) -> dict[str, set[str]]:
        return {
            name: {_name(each) for each in operator.dependencies}
            for name, operator in self.workflow.tasks.items()
        }


class WorkflowBuilder:
    """Declares a workflow: in its ``with`` block, `task` makes tasks of it.

    It is checked and registered when the block ends; an exception in the block passes through, and
    nothing is registered.

    Args:
        name: of the workflow.
        tenant: not in asyncflow.
        package: not in asyncflow.
        workflow: its name, if that is another one.

    Raises:
        DefinitionError: a tenant or a package is given; or when the block ends: there is no task,
            an unknown dependency, or a cycle.
    """

    def __init__(
        self,
        name: str,
        *,
        tenant: str | None = None,
        package: str | None = None,
        workflow: str | None = None,
    ) -> None:
        if tenant is not None or package is not None:
            text = (
                f"workflow {name!r}: asyncflow has no tenants and no packages: give each tenant a "
                "DefaultRunner with a file of its own"
            )
            raise DefinitionError(text)
        self._workflow = GatedWorkflow(name if workflow is None else workflow)
        self._named: list[str] = []

    def __enter__(self) -> Self:
        self._workflow.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        missing = self._missing() if kind is None else None
        if missing is None:
            self._workflow.__exit__(kind, error, trace)
        else:
            self._workflow.__exit__(type(missing), missing, None)
            raise missing

    def description(self, description: str) -> "WorkflowBuilder":
        """Say for people what the workflow is for."""
        self._workflow.description = description
        return self

    def tag(self, key: str, value: str) -> "WorkflowBuilder":
        """Add a tag, or replace it."""
        self._workflow.tags[key] = value
        return self

    def add_task(self, task: str | Operator) -> "WorkflowBuilder":
        """Name a task that the block makes: it is in the workflow without this call, too.

        Raises:
            DefinitionError: when the block ends: it has made no such task.
        """
        self._named.append(_name(task))
        return self

    def build(self) -> Workflow:
        """Return the workflow, once its block has ended.

        Raises:
            DefinitionError: there was no block, it is still open, or it failed; or `add_task` has
                named a task that is not in it.
        """
        if not self._workflow.declared:
            text = (
                f"workflow {self._workflow.name!r} is not declared: make its tasks inside "
                "`with WorkflowBuilder(...) as builder:` and call build() after the block"
            )
            raise DefinitionError(text)
        missing = self._missing()
        if missing is not None:
            raise missing
        return Workflow(self._workflow)

    def _missing(self) -> DefinitionError | None:
        for name in self._named:
            if name not in self._workflow.tasks:
                text = (
                    f"add_task({name!r}): workflow {self._workflow.name!r} has no such task: "
                    "make it inside the `with WorkflowBuilder(...)` block"
                )
                return DefinitionError(text)
        return None


def register_workflow_constructor(name: str, constructor: Callable[[], Workflow]) -> None:
    """Call what builds a workflow; its block has registered it.

    Raises:
        DefinitionError: it returns something else, or a workflow of another name.
    """
    built = constructor()
    if not isinstance(built, Workflow) or built.name != name:  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
        text = f"the constructor of workflow {name!r} returns what its builder built, not {built!r}"
        raise DefinitionError(text)


def _name(task: str | Operator) -> str:
    return task if isinstance(task, str) else task.name
