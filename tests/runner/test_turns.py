"""Others have their turn in time, whatever users' code in between takes."""

import pytest

from asyncflow import Context, Registry, Runner, VirtualClock, Workflow, new_event, task
from asyncflow._core.facts import TaskStarted
from asyncflow._failpoint import armed
from asyncflow._runner.driver import MOST_AT_ONCE
from asyncflow._runner.live import Told
from asyncflow._runner.turns import AT_ONCE, SOME, Turns
from tests.runner.asking import asked, asks
from tests.runner.scene import forever, turns, until


class Slow(VirtualClock):
    """Moves on at each step of somebody's work."""

    def __init__(self) -> None:
        super().__init__()
        self.at, self.looks = 0.0, 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.at


def test_after_a_step_that_may_be_long_each_question_is_a_look() -> None:
    clock = Slow()
    turns = Turns(clock)

    clock.at += AT_ONCE * 0.9
    assert not turns.past
    clock.at += AT_ONCE * 0.9
    assert turns.past


def test_quick_steps_cost_few_looks() -> None:
    clock = Slow()
    turns = Turns(clock)

    assert not any(turns.over for _ in range(80))
    assert clock.looks <= 2 + 80 / SOME


class Passing(VirtualClock):
    """Moves on with each look: for as many facts as one batch takes, not as long as a turn is."""

    def __init__(self, batches: float) -> None:
        super().__init__()
        self._step = AT_ONCE / (MOST_AT_ONCE / SOME) / batches

    def monotonic(self) -> float:
        self._seconds += self._step
        return self._seconds


@pytest.mark.parametrize("batches", [2.1, 2.5, 2.9, 3, 3.3, 3.7, 4.1, 4.5, 5])
async def test_thousands_of_facts_that_change_nothing_do_not_hold_up_others(batches: float) -> None:
    clock = Passing(batches)
    late, others = list[int](), list[int]()
    with Registry() as registry, Workflow("w"):

        @task()
        async def stays() -> None:
            await forever()

    async with Runner(":memory:", registry=registry, clock=clock, grace=0) as runner:
        await runner.start.aio("w")
        driver = runner._working_engine.driver
        (live,) = driver.lives.values()
        await until(lambda: "stays" in live.state.tasks)
        for number in range(8000):
            told = Told(live, TaskStarted(clock.now(), "stays", 1, 0))
            told.answered = lambda number=number: late.append(len(others))
            driver.put(told)
        while len(late) < 8000:
            others.append(1)
            await turns(1)

    assert len(set(late)) > 8000 / MOST_AT_ONCE / batches


async def test_who_waits_for_a_signal_goes_on_before_the_driver_has_done_all_else() -> None:
    finished: list[int] = []

    async def body(_: Context) -> None:
        event = await new_event.aio("go")
        await event.wait.aio()
        finished.append(passes["driver.dispatch.after"])

    with armed() as passes:
        async with Runner(":memory:", registry=asks(body)) as runner:
            run = await runner.start.aio("w")
            waiting = await asked("go", run.name)
            await turns()
            before = passes["driver.dispatch.after"]
            await waiting.signal.aio(True)
            await run.wait.aio()

    assert finished == [before]
