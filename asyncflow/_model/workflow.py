"""Workflows, declared in a ``with`` block: tasks and rules under one name. Nothing runs here.

When the block ends well, the workflow is checked, closed, and put where a `Registry` finds it.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Protocol, Self

from asyncflow._model.check import check_tasks, listed
from asyncflow._model.condition import Condition
from asyncflow._model.naming import check_spelling, checked_name
from asyncflow._model.operator import OPEN_WORKFLOW, Operator, OperatorT
from asyncflow._model.status import TaskAction, TaskStatus
from asyncflow.errors import DefinitionError, DuplicateTaskError


class RedeclaredWarning(UserWarning):
    """Two modules declare a workflow, or a trigger, of one name; the later replaces the earlier."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's code something was declared."""

    module: str
    line: str

    @classmethod
    def here(cls) -> "Place":
        """Return the line that called into asyncflow."""
        frame = inspect.currentframe()
        while frame is not None and _module(frame).startswith("asyncflow."):
            frame = frame.f_back
        if frame is None:
            return cls("", "an unknown place")
        return cls(_module(frame), f"{frame.f_code.co_filename}:{frame.f_lineno}")


class Workflow:
    """Tasks and rules under a name. Declare them in its ``with`` block; then it is registered.

    An exception in the block passes through unchanged, and nothing is registered.

    Args:
        name: unique in the namespace; declared again, it replaces the workflow for new executions.
        namespace: where its name is looked up and its events are heard.
        finish_when_idle: whether an execution ends although tasks that an event could start have
            not run.
        config: what else was given, kept in `config`.

    Attributes:
        tasks: its operators by name, in order of declaration.
        description: for people.
        tags: for people.
        place: where it was made.
        declared: whether its block has ended well; only then can it be started.

    Raises:
        DefinitionError: a name is no non-empty string; or when the block ends: it has no task, an
            unknown dependency, or tasks that only each other could start.
    """

    def __init__(
        self,
        name: str,
        namespace: str = "default",
        *,
        finish_when_idle: bool = False,
        **config: object,
    ) -> None:
        self._name = checked_name(name, "the name of a workflow")
        self._namespace = checked_name(namespace, f"the namespace of workflow {name!r}")
        if not isinstance(finish_when_idle, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"workflow {name!r}: finish_when_idle is True or False, not {finish_when_idle!r}"
            raise DefinitionError(text)
        check_spelling(config, ("namespace", "finish_when_idle"), f"workflow {name!r}")
        self.finish_when_idle = finish_when_idle
        self.config = config
        self.tasks: dict[str, Operator] = {}
        self.description = ""
        self.tags: dict[str, str] = {}
        self.place = Place.here()
        self.declared = False
        self._ended = False

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r} in namespace {self.namespace!r}>"

    def __enter__(self) -> Self:
        WorkflowContextManager.push_context_managed_workflow(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        WorkflowContextManager.pop_context_managed_workflow()
        self._ended = True
        if kind is None:
            check_tasks(self.name, self.tasks)
            self.declared = True
            current_declarations().register(self)

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def namespace(self) -> str:
        """Where its name is looked up."""
        return self._namespace

    @property
    def declared_as(self) -> str:
        """Its module: the same one may declare it anew, as in a notebook."""
        return self.place.module

    def add(self, operator: Operator) -> None:
        """Take a task in; operators do it themselves.

        Raises:
            DuplicateTaskError: there is a task of that name.
            DefinitionError: the block has ended.
        """
        self.check_open(f"task {operator.name!r}")
        if operator.name in self.tasks:
            raise DuplicateTaskError(operator.name, self.name)
        self.tasks[operator.name] = operator

    def check_open(self, what: str) -> None:
        """Refuse ``what`` if the block has ended: executions may run by what was in it."""
        if self._ended:
            text = (
                f"{what} comes too late: the block of workflow {self.name!r} has ended, and it "
                "belongs inside"
            )
            raise DefinitionError(text)

    def action_on_condition(self, task_name: str, action: TaskAction, condition: Condition) -> None:
        """Act on a task when the condition is met; see `Operator.action_on_condition`."""
        self._task(task_name).action_on_condition(action, condition)

    def action_on_event_received(self, task_name: str, event_key: str, action: TaskAction) -> None:
        """Act on a task when an event is received; see `Operator.action_on_event_received`."""
        self._task(task_name).action_on_event_received(action, event_key)

    def action_on_task_status(
        self,
        task_name: str,
        action: TaskAction,
        upstream_task_status_dict: Mapping[OperatorT, TaskStatus],
    ) -> None:
        """Act on a task when others have statuses; see `Operator.action_on_task_status`."""
        self._task(task_name).action_on_task_status(action, upstream_task_status_dict)

    def _task(self, name: str) -> Operator:
        if name not in self.tasks:
            text = (
                f"workflow {self.name!r} has no task {name!r} yet: declare it before its rules; "
                f"so far there are: {listed(self.tasks)}"
            )
            raise DefinitionError(text)
        return self.tasks[name]


class WorkflowContextManager:
    """Keeps the workflow whose block is open: a context variable, so that threads do not mix."""

    @classmethod
    def push_context_managed_workflow(cls, workflow: Workflow) -> None:
        """Make a workflow the one that new tasks belong to.

        Raises:
            DefinitionError: another one's block is open, or its own has ended.
        """
        current = OPEN_WORKFLOW.get()
        if current is not None:
            text = (
                f"workflow {workflow.name!r} is declared inside workflow {current.name!r}: "
                "blocks do not nest, end the first one before"
            )
            raise DefinitionError(text)
        workflow.check_open("a second block")
        OPEN_WORKFLOW.set(workflow)

    @classmethod
    def pop_context_managed_workflow(cls) -> Workflow | None:
        """Close the open block, and return whose it was."""
        current = cls.get_current_workflow()
        OPEN_WORKFLOW.set(None)
        return current

    @classmethod
    def get_current_workflow(cls) -> Workflow | None:
        """Return the workflow whose block is open, None outside."""
        current = OPEN_WORKFLOW.get()
        return current if isinstance(current, Workflow) else None


class WorkflowBuilder:
    """Declares a workflow step by step, after the documents of Cloacina.

    In ``with WorkflowBuilder("x") as builder:`` new tasks belong to the workflow, which is checked
    and registered when the block ends.

    Args:
        name: of the workflow.
        namespace: of the workflow.
    """

    def __init__(self, name: str, namespace: str = "default") -> None:
        self._workflow = Workflow(name, namespace)

    def __enter__(self) -> Self:
        self._workflow.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workflow.__exit__(kind, error, trace)

    def description(self, text: str) -> "WorkflowBuilder":
        """Say for people what the workflow is for."""
        self._workflow.description = text
        return self

    def tag(self, key: str, value: str) -> "WorkflowBuilder":
        """Add a tag, or replace it."""
        self._workflow.tags[key] = value
        return self

    def build(self) -> Workflow:
        """Return the workflow, once its block has ended.

        Raises:
            DefinitionError: there was no block, it is still open, or it failed.
        """
        if not self._workflow.declared:
            text = (
                f"workflow {self._workflow.name!r} is not declared: make its tasks inside "
                "`with WorkflowBuilder(...) as builder:` and call build() after the block"
            )
            raise DefinitionError(text)
        return self._workflow


class DeclaredTrigger(Protocol):
    """What is kept here of a trigger, which knows of workflows."""

    @property
    def name(self) -> str:
        """Unique in its namespace."""
        ...

    @property
    def namespace(self) -> str:
        """Where its name is looked up."""
        ...

    @property
    def place(self) -> Place:
        """Where it was declared."""
        ...

    @property
    def declared_as(self) -> str:
        """What two declarations of the same have in common."""
        ...


class Declarations:
    """Workflows and triggers by namespace and name; a `Registry` looks them up."""

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], Workflow] = {}
        self.triggers_by_name: dict[tuple[str, str], DeclaredTrigger] = {}
        self.watchers: list[Callable[[], None]] = []

    def register(self, workflow: Workflow) -> None:
        """Put a workflow under its name; it replaces an older one.

        Raises:
            DefinitionError: its block has not ended well.

        Warns:
            RedeclaredWarning: the older one was declared in another module.
        """
        if not workflow.declared:
            text = (
                f"workflow {workflow.name!r} is not declared: its `with` block has not ended well"
            )
            raise DefinitionError(text)
        key = (workflow.namespace, workflow.name)
        _warn_of_another("workflow", self.by_name.get(key), workflow)
        self.by_name[key] = workflow
        self._tell()

    def register_trigger(self, trigger: DeclaredTrigger) -> None:
        """Put a trigger under its name; it replaces an older one.

        Warns:
            RedeclaredWarning: the older one is of another module, function or workflow.
        """
        key = (trigger.namespace, trigger.name)
        _warn_of_another("trigger", self.triggers_by_name.get(key), trigger)
        self.triggers_by_name[key] = trigger
        self._tell()

    def _tell(self) -> None:
        for watcher in tuple(self.watchers):
            watcher()


def _warn_of_another(
    kind: str, old: Workflow | DeclaredTrigger | None, new: Workflow | DeclaredTrigger
) -> None:
    if old is not None and old.declared_as != new.declared_as:
        text = (
            f"{kind} {new.name!r} in namespace {new.namespace!r} is declared at "
            f"{old.place.line}, and again at {new.place.line}, which replaces it: "
            "give one of them another name"
        )
        warnings.warn(text, RedeclaredWarning, stacklevel=4)


PROCESS_DECLARATIONS: Final = Declarations()
"""Where workflows go by default."""

DECLARATIONS: Final[ContextVar[tuple[Declarations, ...]]] = ContextVar(
    "asyncflow_declarations", default=(PROCESS_DECLARATIONS,)
)
"""Where workflows go, the innermost last."""


def current_declarations() -> Declarations:
    """Return where a workflow goes whose block ends now."""
    return DECLARATIONS.get()[-1]


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
