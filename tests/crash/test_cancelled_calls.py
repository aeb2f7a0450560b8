"""Every public call is cancelled at each of its awaits, on SQLite: no transaction is left open."""

from itertools import count
from pathlib import Path

import pytest

from tests.client.cut import CASES, held, is_cut, is_free


@pytest.mark.parametrize("late", [False, True], ids=["at once", "when it is answered"])
@pytest.mark.parametrize("name", CASES)
async def test_a_call_that_is_cancelled_at_any_await_leaves_no_transaction_and_no_thread(
    name: str, late: bool, tmp_path: Path
) -> None:
    for number in count(1):
        path, before = tmp_path / f"{number}.db", held()
        try:
            cut = await is_cut(CASES[name], path, number, late=late)
            assert is_free(path)
            assert held() == before
        except BaseException as error:
            error.add_note(f"cancelled at suspension {number}")
            raise
        if not cut:
            break
