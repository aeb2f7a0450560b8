"""Events that came by letter: told again, they change nothing."""

from asyncflow._core.decide import decide
from asyncflow._core.execution import NOTHING
from asyncflow._core.facts import EventSent
from asyncflow._core.plan import Plan
from asyncflow._model.status import TaskAction, TaskStatus
from tests.core.play import Play
from tests.core.samples import Nothing, declared


def hearing() -> Play:
    with declared() as workflow:
        Nothing("works")
        Nothing("hears").action_on_event_received(TaskAction.RESTART, "go")
    return Play.begun(Plan.of(workflow))


def test_a_letter_that_is_told_again_changes_nothing() -> None:
    play = hearing()
    for offset in (3, 5):
        play.tell(EventSent(play.at, "go", offset=offset))

    for offset in (5, 3, 1):
        again = EventSent(play.at, "go", cells={"sum": "1"}, offset=offset)
        assert decide(play.plan, play.state, again) == NOTHING
    assert play.state.head.heard == 5


def test_what_was_heard_outlives_the_owner() -> None:
    play = hearing()
    play.tell(EventSent(play.at, "go", offset=3))
    play = play.taken_over()

    assert decide(play.plan, play.state, EventSent(play.at, "go", offset=3)) == NOTHING


def test_an_event_that_is_no_letter_is_new_each_time() -> None:
    play = hearing()
    play.tell(EventSent(play.at, "go", offset=3))
    play.end("hears", TaskStatus.STOPPED)

    assert decide(play.plan, play.state, EventSent(play.at, "go")).tasks
