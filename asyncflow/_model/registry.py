"""Where workflows and triggers are found by name. It knows what was declared; it runs nothing."""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self, cast

from asyncflow._model.trigger import AnyTrigger
from asyncflow._model.workflow import (
    DECLARATIONS,
    PROCESS_DECLARATIONS,
    Declarations,
    Workflow,
    current_declarations,
)
from asyncflow.errors import WorkflowNotFoundError


class Registry(Declarations):
    """Workflows and triggers by namespace and name.

    A workflow registers itself when its block ends, a trigger when it is made: in the registry
    whose own ``with`` block is open, else in the default one. It is read live: what is declared
    later is found, too.
    """

    def __repr__(self) -> str:
        return f"<Registry of {len(self.by_name)} workflows>"

    def __enter__(self) -> Self:
        DECLARATIONS.set((*DECLARATIONS.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        DECLARATIONS.set(DECLARATIONS.get()[:-1])

    def find(self, name: str, namespace: str = "default") -> Workflow | None:
        """Return the workflow of that name, None if there is none."""
        return self.by_name.get((namespace, name))

    def workflow(self, name: str, namespace: str = "default") -> Workflow:
        """Return the workflow of that name.

        Raises:
            WorkflowNotFoundError: there is none; says which there are.
        """
        found = self.find(name, namespace)
        if found is None:
            # A copy: another thread may declare one meanwhile.
            places = tuple(self.by_name)
            known = tuple(sorted(each for place, each in places if place == namespace))
            raise WorkflowNotFoundError(name, namespace, known)
        return found

    def workflows(self) -> tuple[Workflow, ...]:
        """Return all workflows, in the order in which their names were first declared."""
        return tuple(self.by_name.values())

    def triggers(self) -> tuple[AnyTrigger, ...]:
        """Return all triggers, in the order in which their names were first declared."""
        # A copy: another thread may declare one meanwhile.
        return tuple(cast("AnyTrigger", each) for each in tuple(self.triggers_by_name.values()))

    def find_trigger(self, name: str, namespace: str = "default") -> AnyTrigger | None:
        """Return the trigger of that name, None if there is none."""
        return cast("AnyTrigger | None", self.triggers_by_name.get((namespace, name)))

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call ``watcher`` after each declaration, in its thread; return what ends that, once."""
        self.watchers.append(watcher)
        return partial(self.watchers.remove, watcher)


def current_registry() -> Registry:
    """Return the registry whose block is open, else the default one."""
    current = current_declarations()
    return current if isinstance(current, Registry) else _DEFAULT


_DEFAULT: Final = Registry()
_DEFAULT.by_name = PROCESS_DECLARATIONS.by_name
_DEFAULT.triggers_by_name = PROCESS_DECLARATIONS.triggers_by_name
_DEFAULT.watchers = PROCESS_DECLARATIONS.watchers
