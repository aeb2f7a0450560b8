"""Who hears of an event of a namespace: a table by keys, kept as executions come and go.

It tells nobody anything.
"""

from asyncflow._core.plan import Plan
from asyncflow._runner.live import LiveExecution


class Receivers:
    """Who hears of a broadcast event: found by its key, never by a scan of what is running."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._plans: dict[tuple[str, str], dict[Plan, None]] = {}
        self._lives: dict[Plan, dict[LiveExecution, None]] = {}

    def add(self, live: LiveExecution) -> None:
        """Let an execution hear the keys of its plan."""
        if not live.plan.by_key:
            return
        lives = self._lives.setdefault(live.plan, {})
        if not lives:
            for key in live.plan.by_key:
                self._plans.setdefault((live.plan.namespace, key), {})[live.plan] = None
        lives[live] = None

    def remove(self, live: LiveExecution) -> None:
        """Let it hear nothing more."""
        lives = self._lives.get(live.plan, {})
        lives.pop(live, None)
        if lives:
            return
        self._lives.pop(live.plan, None)
        for key in live.plan.by_key:
            plans = self._plans.get((live.plan.namespace, key), {})
            plans.pop(live.plan, None)
            if not plans:
                self._plans.pop((live.plan.namespace, key), None)

    def of(self, namespace: str, key: str) -> tuple[LiveExecution, ...]:
        """Return the executions of a namespace with a rule for this key."""
        plans = self._plans.get((namespace, key), {})
        return tuple(live for plan in plans for live in self._lives.get(plan, {}))
