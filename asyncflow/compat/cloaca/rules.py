"""Cloacina's trigger rules: plain dicts, as its functions make them, and what they say. Pure.

They are read once, where a task is declared; `gates` asks them when it is to run.
"""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, get_args

from asyncflow import DefinitionError, Operator
from asyncflow.compat.cloaca.context import Context

RuleDict: TypeAlias = dict[str, Any]
"""A rule as users write it: ``{"type": "TaskSuccess", "task_name": "fetch"}``."""

Combination: TypeAlias = Literal["All", "Any", "None"]

End: TypeAlias = Literal["TaskSuccess", "TaskFailed", "TaskSkipped"]
"""How a task has ended; one that was skipped did not run."""

_COMBINATIONS: Final[Mapping[str, Combination]] = {each: each for each in get_args(Combination)}
_ENDS: Final[Mapping[str, End]] = {each: each for each in get_args(End)}
_FUNCTIONS: Final = (
    "always(), all_of(), any_of(), none_of(), task_success(), task_failed(), task_skipped() or "
    "context_value()"
)


def always() -> RuleDict:
    """Run, however the dependencies have ended."""
    return {"type": "Always"}


def all_of(*conditions: RuleDict) -> RuleDict:
    """Run if all of these say so; none at all do."""
    return {"type": "All", "conditions": list(conditions)}


def any_of(*conditions: RuleDict) -> RuleDict:
    """Run if one of these says so; none at all do not."""
    return {"type": "Any", "conditions": list(conditions)}


def none_of(*conditions: RuleDict) -> RuleDict:
    """Run if none of these says so."""
    return {"type": "None", "conditions": list(conditions)}


def task_success(task: str | Operator) -> RuleDict:
    """Run if a task has succeeded; the name is its id, or the task itself."""
    return _about("TaskSuccess", task)


def task_failed(task: str | Operator) -> RuleDict:
    """Run if a task has failed."""
    return _about("TaskFailed", task)


def task_skipped(task: str | Operator) -> RuleDict:
    """Run if a task did not run: its rules said no, or a task that it depends on had failed."""
    return _about("TaskSkipped", task)


def context_value(key: str, op: str, value: object = None) -> RuleDict:
    """Run if a value of the context is so.

    Args:
        key: of the context.
        op: ``"Equals"`` (``==``), ``"NotEquals"`` (``!=``), ``"GreaterThan"`` (``>``),
            ``"LessThan"`` (``<``), for numbers, ``"Contains"``, ``"NotContains"``, for texts and
            lists, ``"Exists"``, ``"NotExists"``; in capitals or not.
        value: what it is compared to; a JSON value.
    """
    return {"type": "ContextValue", "key": key, "operator": op, "value": value}


class Facts(Protocol):
    """What rules are asked about: the tasks of an execution, and its context."""

    @property
    def context(self) -> Mapping[str, Any]:
        """The values of the execution."""
        ...

    def end_of(self, task: str) -> End | None:
        """Return how a task has ended, None if it has not."""
        ...


class Rule(ABC):
    """Says whether a task is to run."""

    @abstractmethod
    def holds(self, facts: Facts) -> bool:
        """Say it."""

    def names(self) -> tuple[str, ...]:
        """Return the tasks that it asks about."""
        return ()


@dataclass(frozen=True, slots=True)
class CombinedRule(Rule):
    """What other rules amount to."""

    kind: Combination
    rules: tuple[Rule, ...] = ()

    def holds(self, facts: Facts) -> bool:
        """Ask them in order, as long as it matters."""
        said = (each.holds(facts) for each in self.rules)
        match self.kind:
            case "All":
                return all(said)
            case "Any":
                return any(said)
            case "None":
                return not any(said)

    def names(self) -> tuple[str, ...]:
        """Return those of all of them."""
        return tuple(name for each in self.rules for name in each.names())


@dataclass(frozen=True, slots=True)
class EndRule(Rule):
    """A task has ended so."""

    kind: End
    task: str

    def holds(self, facts: Facts) -> bool:
        """Look at the task."""
        return facts.end_of(self.task) == self.kind

    def names(self) -> tuple[str, ...]:
        """Return the task."""
        return (self.task,)


@dataclass(frozen=True, slots=True)
class ValueRule(Rule):
    """A value of the context stands so to another."""

    key: str
    compare: Callable[[Any, Any], bool]
    value: object

    def holds(self, facts: Facts) -> bool:
        """Look at the context."""
        return self.compare(facts.context.get(self.key, _MISSING), self.value)


def read_rule(given: object, workflow: str) -> Rule:
    """Return the rule that a dict says.

    Args:
        given: what stands in ``trigger_rules``, or inside of it.
        workflow: where it stands; Cloacina's long names of its tasks become their ids.

    Raises:
        DefinitionError: it is none; the message says what was expected.
    """
    empty: Mapping[str, object] = {}
    rule = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else empty
    conditions, task = rule.get("conditions"), rule.get("task_name")
    key, name = rule.get("key"), rule.get("operator")
    match rule.get("type"):
        case "Always":
            return CombinedRule("All")
        case str(kind) if kind in _COMBINATIONS and isinstance(conditions, list | tuple):
            found = cast("Sequence[object]", conditions)
            return CombinedRule(
                _COMBINATIONS[kind], tuple(read_rule(each, workflow) for each in found)
            )
        case str(kind) if kind in _ENDS and isinstance(task, str):
            return EndRule(_ENDS[kind], task.removeprefix(f"public::embedded::{workflow}::"))
        case "ContextValue" if isinstance(key, str) and isinstance(name, str):
            return ValueRule(key, _comparison(name), _json(rule.get("value")))
        case _:
            pass
    text = f"trigger_rules are made by {_FUNCTIONS}, and {given!r} is none of these"
    raise DefinitionError(text)


def _about(kind: End, task: str | Operator) -> RuleDict:
    return {"type": kind, "task_name": task.name if isinstance(task, Operator) else task}


def _json(value: object) -> object:
    try:
        return Context({"value": value}).to_dict()["value"]
    except (TypeError, ValueError) as error:
        text = f"context_value() compares to a JSON value: {error}"
        raise DefinitionError(text) from error


# --- comparisons ---

_MISSING: Final = object()


def _equals(found: object, value: object) -> bool:
    """Compare as JSON does: true is no number."""
    return found == value and isinstance(found, bool) == isinstance(value, bool)


def _contains(found: object, value: object) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, list) and any(
        _equals(each, value) for each in cast("list[object]", found)
    )


def _of_numbers(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    def compared(found: object, value: object) -> bool:
        return _is_number(found) and _is_number(value) and compare(found, value)

    return compared


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _not(compare: Callable[[object, object], bool]) -> Callable[[object, object], bool]:
    return lambda found, value: not compare(found, value)


def _exists(found: object, _: object) -> bool:
    return found is not _MISSING


_OPERATORS: Final[Mapping[str, tuple[Sequence[str], Callable[[object, object], bool]]]] = {
    "Equals": (("==", "eq"), _equals),
    "NotEquals": (("!=", "ne"), _not(_equals)),
    "GreaterThan": ((">", "gt"), _of_numbers(operator.gt)),
    "LessThan": (("<", "lt"), _of_numbers(operator.lt)),
    "Contains": ((), _contains),
    "NotContains": ((), _not(_contains)),
    "Exists": ((), _exists),
    "NotExists": ((), _not(_exists)),
}
_BY_NAME: Final = {
    alias.lower(): compare
    for name, (others, compare) in _OPERATORS.items()
    for alias in (name, *others)
}


def _comparison(name: str) -> Callable[[object, object], bool]:
    if name.lower() not in _BY_NAME:
        known = ", ".join(
            f"{each!r} ({others[0]})" if others else repr(each)
            for each, (others, _) in _OPERATORS.items()
        )
        text = f"the operator of context_value() is one of {known}, not {name!r}"
        raise DefinitionError(text)
    return _BY_NAME[name.lower()]
