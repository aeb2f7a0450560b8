"""Users' states in an execution: what conditions and tasks changed, kept with what they caused."""

from asyncflow._core.execution import NOTHING
from asyncflow._core.facts import CellWritten, EventSent
from asyncflow._core.plan import Plan
from asyncflow._model.status import TaskAction
from tests.core.play import Play
from tests.core.samples import Nothing, declared


def listening() -> Plan:
    with declared() as workflow:
        Nothing("works")
        Nothing("hears").action_on_event_received(TaskAction.START, "go")
    return Plan.of(workflow)


def test_what_conditions_changed_is_kept_with_the_event() -> None:
    play = Play.begun(listening())

    decision = play.tell(EventSent(play.at, "other", cells={"sum": "3", "gone": None}))

    assert decision.cells == {"sum": "3", "gone": None}
    assert play.state.cells == {"sum": "3"}


def test_the_last_writer_of_a_state_wins_and_a_cleared_one_is_gone() -> None:
    play = Play.begun(listening())

    play.tell(CellWritten(play.at, "sum", "1"))
    play.tell(CellWritten(play.at, "sum", "2"))
    last = dict(play.state.cells)
    play.tell(CellWritten(play.at, "sum", None))

    assert last == {"sum": "2"}
    assert play.state.cells == {}


def test_states_outlive_their_owner() -> None:
    play = Play.begun(listening())
    play.tell(CellWritten(play.at, "sum", "1"))

    assert play.taken_over().state.cells == {"sum": "1"}


def test_a_finished_execution_keeps_no_further_state() -> None:
    play = Play.begun(listening())
    play.stop()
    play.run("works")
    play.end("works")

    assert play.tell(CellWritten(play.at, "sum", "1")) == NOTHING
    assert play.tell(EventSent(play.at, "go", cells={"sum": "1"})) == NOTHING


def test_a_decision_that_is_dropped_changed_nothing() -> None:
    play = Play.begun(listening())
    before = play.state.copy()

    play.tell(CellWritten(play.at, "sum", "1"))

    assert before.cells == {}


def test_what_one_execution_keeps_no_other_has() -> None:
    plan = listening()
    one, other = Play.begun(plan), Play.begun(plan)

    one.tell(CellWritten(one.at, "sum", "1"))

    assert other.state.cells == Play.begun(plan).state.cells == {}
