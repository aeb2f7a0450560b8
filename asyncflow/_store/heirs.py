"""Who inherits a letter that is addressed to nobody: the same in every store.

Its body names for whom it is, so that nobody hears it twice. It never says what follows from it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from asyncflow._frozen import value
from asyncflow._store.reach import Expected, Reach, reach_of

Names = Mapping[Expected, frozenset[str]]
"""The workflows whose rules expect an event."""

NO_NAMES: Final[Names] = MappingProxyType({})


@value(frozen=True, slots=True)
class Unheard:
    """A letter that is addressed to nobody.

    Attributes:
        expected: the namespace and the key of its event, which is empty if it has none.
        for_rules: whether its event is confined to an execution, so that only rules hear it.
    """

    expected: Expected
    body: str
    for_rules: bool


@value(frozen=True, slots=True)
class Gains:
    """What a claim gains, and what it leaves.

    Attributes:
        executions: the least id of those that it takes in each namespace.
        unowned: the least id of those that it leaves in each namespace.
        rules: of which it takes the duty, and nobody had it.
        rules_left: of which nobody has the duty afterwards.
        last: the greatest id of an execution ever.
    """

    executions: Mapping[str, int]
    unowned: Mapping[str, int]
    rules: Names
    rules_left: Names
    last: int


@value(frozen=True, slots=True)
class Share:
    """The body of what the claimer gets, and of what stays for the next; None: nothing."""

    own: str | None
    left: str | None


def share(letter: Unheard, gains: Gains) -> Share:
    """Say what becomes of a letter to nobody at a claim.

    One for which nobody else can come is the claimer's, also if nothing here may want it.
    """
    reach = reach_of(letter.body)
    until = 0 if letter.for_rules else reach.until
    namespace = letter.expected[0]
    gained = _within(gains.executions.get(namespace), until)
    left = _within(gains.unowned.get(namespace), until)
    rules = _among(gains.rules.get(letter.expected), reach.rules)
    rules_left = _among(gains.rules_left.get(letter.expected), reach.rules)
    if not left and not rules_left:
        own = rules if letter.for_rules else reach.rules and rules
        return Share(Reach(reach.until, own).body(), None)
    stays = Reach((gains.last if until is None else until) if left else 0, rules_left)
    if not gained and not rules:
        return Share(None, stays.body())
    return Share(Reach(until if gained else 0, rules).body(), stays.body())


def names(duties: Iterable[tuple[str, str, Iterable[str]]]) -> Names:
    """Return whose rules expect what, of namespaces, workflows and keys."""
    found: dict[Expected, frozenset[str]] = {}
    for namespace, workflow, keys in duties:
        for key in keys:
            found[namespace, key] = found.get((namespace, key), frozenset()) | {workflow}
    return found


def _within(first: int | None, until: int | None) -> bool:
    return first is not None and (until is None or first <= until)


def _among(found: frozenset[str] | None, rules: frozenset[str] | None) -> frozenset[str]:
    there = found or frozenset[str]()
    return there if rules is None else there & rules
