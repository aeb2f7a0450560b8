"""Frozen values that cost no more to make than others.

`value` stands for ``dataclass(frozen=True, slots=True)``, and type checkers take it for that. A
frozen ``__init__`` sets each field by a call of ``object.__setattr__``: it takes five times as
long as one that assigns (8 fields: 1.8 us instead of 0.36), and some twenty such values are made
for each execution of a task. So at run time assignment is refused only where ASYNCFLOW_FROZEN is
set when this module is imported, as in the tests; everywhere else the type checkers alone refuse
it. It is for values that the engine makes by the thousand, never for what users are given.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

__all__ = ["VARIABLE", "value"]

VARIABLE: Final = "ASYNCFLOW_FROZEN"

if TYPE_CHECKING:
    from dataclasses import dataclass as value
elif os.environ.get(VARIABLE):
    value = dataclass
else:

    def value(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """Return what makes a class such a value; the arguments are there for type checkers."""
        assert frozen
        return partial(dataclass, slots=slots, unsafe_hash=True)
