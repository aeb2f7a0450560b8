"""What one runner of all does alone: which of these this one wants, and which it has.

It asks nobody: `Ownership` claims, in one transaction with executions and letters. What a runner
has it keeps until it does not want it any more, is released, or taken for dead.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from asyncflow._store.batch import Duty, DutyKind

NO_KEYS = frozenset[str]()


class OnDuty(Protocol):
    """Does something only while its runner has the duty."""

    async def come_on_duty(self, duties: frozenset[Duty]) -> None:
        """Begin; what somebody else may have written since is read anew."""
        ...


class Duties:
    """The duties of one runner. Everything is called on the home loop.

    Attributes:
        unasked: whether the store has not been asked for what is wanted, or still has this runner
            down for what is not.
        changes: how often what is wanted has changed.
        still: held while a transaction is made and stored, and while duties are claimed: what one
            begins to hear, and what others are told, is decided with nothing in between.
        judged: namespaces in which other runners judge events by workflow rules. It may be late.
    """

    def __init__(self) -> None:
        """Want nothing."""
        self.unasked = False
        self.changes = 0
        self.still = asyncio.Lock()
        self.judged = frozenset[str]()
        self._wanted: dict[Duty, frozenset[str]] = {}
        self._held = frozenset[Duty]()
        self._closing = False

    @property
    def wanted(self) -> Mapping[Duty, frozenset[str]]:
        """Each with the keys of the events that its rules expect."""
        return dict(self._wanted)

    @property
    def missing(self) -> bool:
        """Whether others have what this runner wants, as far as it knows."""
        return len(self._held) < len(self._wanted)  # it has nothing else

    def has(self, duty: Duty) -> bool:
        """Say whether this runner does it."""
        return duty in self._held

    def want(self, duty: Duty, keys: frozenset[str] = NO_KEYS) -> None:
        """Be able to do it; to want it again changes its keys."""
        may = duty.kind is DutyKind.RULES or not self._closing
        if may and self._wanted.get(duty) != keys:
            self._wanted[duty] = keys
            self.changes += 1
            self.unasked = True

    def unwant(self, duty: Duty) -> None:
        """Do it no more, at once; the next claim gives it back, so that another may do it."""
        if self._wanted.pop(duty, None) is not None:
            self.changes += 1  # a claim that is under way may bring it
            self.unasked |= duty in self._held
            self._held -= {duty}

    def close(self) -> bool:
        """Want only to judge by rules from now on; say whether there is something to give back."""
        self._closing = True
        for duty in [each for each in self._wanted if each.kind is not DutyKind.RULES]:
            self.unwant(duty)
        return self.unasked

    def come(self, duties: frozenset[Duty]) -> None:
        """Have these, and no others, but none that is not wanted any more."""
        self._held = duties & self._wanted.keys()

    def asked(self, changes: int) -> None:
        """The store was asked for what was wanted after so many changes."""
        self.unasked = changes != self.changes

    def see(self, holders: Mapping[Duty, str], own: str) -> None:
        """Take note of who has what; what this runner wants and nobody has it is to ask for."""
        if self.missing:
            missing = self._wanted.keys() - self._held
            self.unasked |= any(duty not in holders for duty in missing)
        self.judged = frozenset(
            duty.namespace
            for duty, holder in holders.items()
            if duty.kind is DutyKind.RULES and holder != own
        )
