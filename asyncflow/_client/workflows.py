"""A client's calls about workflows, and which workflow a caller means."""

from asyncflow._client.base import ClientBase
from asyncflow._model.naming import storable_name
from asyncflow._model.workflow import Workflow
from asyncflow.errors import DefinitionError, UsageError


class WorkflowCalls(ClientBase):
    """Asks about workflows."""

    # --- inside ---

    def _wanted(self, workflow: str | Workflow, namespace: str | None) -> Workflow:
        if isinstance(workflow, Workflow):
            _check_start(workflow, namespace)
            return workflow
        if not isinstance(workflow, str):  # pyright: ignore[reportUnnecessaryIsInstance]  users without a type checker
            text = f"what is started is a Workflow or the name of one, not {workflow!r}"
            raise TypeError(text)
        place = "default" if namespace is None else storable_name(namespace, "a namespace")
        return self._registry.workflow(workflow, place)


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
