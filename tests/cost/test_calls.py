"""How many Python functions of ours a task calls: a count that stands for processor time.

A generator or coroutine that goes on is one more call. From 3.12 on comprehensions are none.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType

import pytest

import asyncflow
from asyncflow import Registry, Workflow, task
from tests.cost.scene import (
    LENGTH,
    MANY,
    SEVERAL,
    Work,
    chain,
    declared,
    nothing,
    one,
    opened,
    several,
    short_chain,
    wide,
)
from tests.cost.tally import counting_calls

pytestmark = pytest.mark.timeout(60)  # a count is the same on a busy machine

Record = Callable[[str, object], None]

PACKAGE = str(Path(asyncflow.__file__).parent)

# (on the loop, on other threads), for each task or execution. Each is what it is now on 3.11, and a
# few more; what makes the engine cheaper lowers it.
CALLS: Mapping[Work, tuple[int, int]] = {
    one: (272, 90),
    chain: (149, 34),
    wide: (92, 8),
    several: (185, 36),
}
DECLARED = 55  # everybody's, also the standard library's; to read a signature takes 34 more
SHARES: Mapping[Work, int] = {one: 1, chain: LENGTH, wide: MANY, several: SEVERAL}


def of_ours(calls: Mapping[CodeType, int]) -> Iterator[int]:
    """Yield how often each function of the package was called."""
    for code, number in calls.items():
        if code.co_filename.startswith(PACKAGE):
            yield number


def calls_of(work: Work, after: Work, database: Path) -> tuple[int, int]:
    """Return how many functions of ours some work calls: on the loop, and on other threads."""

    async def main() -> tuple[int, int]:
        with counting_calls() as calls:
            async with opened(database, declared()) as runner:
                await after(runner)
                calls.clear()
                await work(runner)
                counted = dict(calls)
                calls.clear()  # closing counts elsewhere
        found = {thread: sum(of_ours(each)) for thread, each in counted.items()}
        return found.pop(threading.get_ident()), sum(found.values())

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("work", "after"), [(one, one), (chain, short_chain), (wide, short_chain), (several, one)]
)
def test_a_task_calls_no_more_functions_of_ours_than_it_did(
    work: Work, after: Work, tmp_path: Path, record_property: Record
) -> None:
    share, (most_here, most_elsewhere) = SHARES[work], CALLS[work]

    here, elsewhere = (each / share for each in calls_of(work, after, tmp_path / "flows.db"))

    text = f"{here:.0f} calls on the loop, {elsewhere:.0f} on other threads"
    record_property("figure", f"{work.__name__}: for each task {text}")
    assert here <= most_here
    assert elsewhere <= most_elsewhere


def test_to_declare_a_task_without_parameters_reads_no_signature(record_property: Record) -> None:
    with counting_calls() as calls, Registry(), Workflow("shape"):
        task(id="first")(nothing)
        calls.clear()
        for number in range(SEVERAL):
            task(id=f"t{number}")(nothing)
        counted = calls[threading.get_ident()].total() / SEVERAL

    record_property("figure", f"declared: for each task {counted:.0f} calls")
    assert counted <= DECLARED
