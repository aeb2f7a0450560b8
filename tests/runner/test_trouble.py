"""A store that takes no transactions: what is said of it, and how long is waited."""

import logging
from datetime import timedelta
from itertools import pairwise

import pytest

from asyncflow._runner.trouble import PAUSES, Trouble
from asyncflow.errors import StoreError


def test_pauses_grow_twofold_up_to_the_longest() -> None:
    trouble = Trouble()

    pauses = [trouble.next_pause() for _ in range(10)]

    first, longest = PAUSES
    assert pauses[0] == first
    assert all(after == min(2 * before, longest) for before, after in pairwise(pauses))
    assert pauses[-1] == longest


def test_pauses_begin_anew_once_it_is_over() -> None:
    trouble = Trouble()
    for _ in range(3):
        trouble.begin(StoreError("full"), 1)
        trouble.next_pause()

    trouble.end()

    assert trouble.reason == ""
    assert trouble.next_pause() == timedelta(milliseconds=50)


def test_each_reason_is_said_once_also_one_without_a_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trouble = Trouble()

    with caplog.at_level(logging.INFO):
        for error in (StoreError("full"), StoreError("full"), StoreError()):
            trouble.begin(error, 2)
        trouble.end()

    assert [record.getMessage() for record in caplog.records] == [
        "a transaction failed, 2 facts wait: full",
        "a transaction failed, 2 facts wait: StoreError()",
        "the store takes transactions again",
    ]
