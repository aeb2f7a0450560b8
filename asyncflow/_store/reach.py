"""For whom a letter to a namespace is: its body says so. It never says who finds it."""

import json
from dataclasses import dataclass
from typing import Any

Expected = tuple[str, str]
"""A namespace and the key of an event."""


@dataclass(frozen=True, slots=True)
class Reach:
    """For whom in its namespace a letter is.

    Attributes:
        until: the greatest id of an execution that hears it; None: all. Who was started later
            than the letter was written is not to hear it.
        rules: workflows whose rules hear it; None: all.
    """

    until: int | None = None
    rules: frozenset[str] | None = None

    def body(self) -> str:
        """Return the body of a letter with this reach."""
        there: dict[str, Any] = {}
        if self.until is not None:
            there["until"] = self.until
        if self.rules is not None:
            there["rules"] = sorted(self.rules)
        return json.dumps(there)


def reach_of(body: str) -> Reach:
    """Return for whom the letter with this body is."""
    there = json.loads(body)
    rules = there.get("rules")
    return Reach(there.get("until"), None if rules is None else frozenset(rules))
