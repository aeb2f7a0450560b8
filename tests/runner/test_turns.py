"""Others have their turn in time, whatever users' code in between takes."""

from asyncflow import VirtualClock
from asyncflow._runner.turns import AT_ONCE, SOME, Turns


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
