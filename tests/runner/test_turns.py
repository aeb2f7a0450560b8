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


def test_slow_steps_are_looked_at_one_by_one() -> None:
    clock = Slow()
    turns, steps = Turns(clock), list[int]()
    for _ in range(3):
        turns.begin()
        steps.append(0)
        while True:
            steps[-1] += 1
            clock.at += AT_ONCE * 0.9
            if turns.over:
                break

    assert steps[0] <= SOME
    assert steps[1:] == [2, 2]


def test_quick_steps_cost_few_looks() -> None:
    clock = Slow()
    turns = Turns(clock)

    assert not any(turns.over for _ in range(80))
    assert clock.looks <= 2 + 80 / SOME
