"""Plans of workflows, each compiled once. A workflow declared anew is another workflow."""

from weakref import WeakKeyDictionary

from asyncflow._core.plan import Plan
from asyncflow._model.workflow import Workflow


class Plans:
    """The plans that a client has needed so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._plans: WeakKeyDictionary[Workflow, Plan] = WeakKeyDictionary()

    def of(self, workflow: Workflow) -> Plan:
        """Return the plan of a workflow."""
        plan = self._plans.get(workflow)
        if plan is None:
            plan = self._plans[workflow] = Plan.of(workflow)
        return plan
