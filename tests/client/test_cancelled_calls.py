"""Every public call is cancelled at each of its awaits: nothing of it is left, and the next works.

On SQLite, too: tests/crash/test_cancelled_calls.py.
"""

from itertools import count

import pytest

from tests.client.cut import CASES, is_cut


@pytest.mark.parametrize("late", [False, True], ids=["at once", "when it is answered"])
@pytest.mark.parametrize("name", CASES)
async def test_a_call_that_is_cancelled_at_any_await_leaves_nothing(name: str, late: bool) -> None:
    for number in count(1):
        try:
            if not await is_cut(CASES[name], ":memory:", number, late=late):
                break
        except BaseException as error:
            error.add_note(f"cancelled at suspension {number}")
            raise
