"""Others have their turn in time, whatever users' code in between takes."""

from asyncflow import Registry, Runner, VirtualClock, Workflow, task
from asyncflow._core.facts import TaskStarted
from asyncflow._runner.driver import MOST_AT_ONCE
from asyncflow._runner.live import Told
from asyncflow._runner.turns import AT_ONCE, SOME, Turns
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

    def monotonic(self) -> float:
        self._seconds += AT_ONCE / (MOST_AT_ONCE / SOME) / 3
        return self._seconds


async def test_thousands_of_facts_that_change_nothing_do_not_hold_up_others() -> None:
    clock = Passing()
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

    assert len(set(late)) > 8000 / MOST_AT_ONCE / 3
