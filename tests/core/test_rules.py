"""Which rules fire, and which of several."""

import pytest

from asyncflow._core.commands import StartTask
from asyncflow._core.plan import Plan
from asyncflow._model.status import ExecutionType, TaskAction, TaskStatus
from tests.core.play import Play
from tests.core.samples import Asked, Nothing, declared

INIT, QUEUED, RUNNING, SUCCESS, FAILED, STOPPING, STOPPED, RETRYING = TaskStatus
START, STOP, RESTART = TaskAction


def started(task: str, number: int = 1) -> StartTask:
    return StartTask(task, number, 1, last=True)


def test_a_task_that_no_rule_starts_starts_with_the_workflow() -> None:
    with declared() as workflow:
        a, b, c = Nothing("a"), Nothing("b"), Nothing("c")
        b.start_after(a)
        c.action_on_task_status(STOP, {a: FAILED})

    assert Play.of(Plan.of(workflow)).begin() == (started("a"), started("c"))


def test_a_task_starts_after_its_upstream() -> None:
    with declared() as workflow:
        a, b = Nothing("a"), Nothing("b")
        b.start_after(a)
    play = Play.begun(Plan.of(workflow))

    play.run("a")
    assert play.status("b") is INIT

    assert play.end("a") == (started("b"),)
    assert play.task("b").execution_type is ExecutionType.EVENT


def join() -> Play:
    """Task c starts after a and b."""
    with declared() as workflow:
        a, b, c = Nothing("a"), Nothing("b"), Nothing("c")
        c.start_after([a, b])
        keeper = Nothing("keeper")
        keeper.action_on_event_received(action=START, event_key="never")
    return Play.begun(Plan.of(workflow))


def test_several_upstreams_are_and() -> None:
    play = join()

    assert play.end("b") == ()
    assert play.end("a") == (started("c"),)


def test_a_join_looks_at_latest_statuses_at_each_change_of_one() -> None:
    play = join()
    play.end("a")
    play.end("b")
    play.end("c")

    play.act("a", START)

    assert play.end("a") == (started("c", 2),)  # b is SUCCESS still


def test_a_join_has_no_memory_of_earlier_statuses() -> None:
    play = join()
    play.end("a")
    play.act("a", START)  # a is not SUCCESS any more

    assert play.end("b") == ()
    assert play.end("a") == (started("c"),)


def test_a_join_does_not_fire_on_a_task_that_it_does_not_look_at() -> None:
    play = join()
    play.end("a")
    play.end("b")
    play.end("c")

    play.act("keeper", START)

    assert play.end("keeper")[:-1] == ()
    assert play.task("c").sequence_number == 1


@pytest.mark.parametrize("status", [QUEUED, RUNNING, FAILED, STOPPING, STOPPED, RETRYING])
def test_any_status_can_be_awaited(status: TaskStatus) -> None:
    with declared() as workflow:
        a, b = Nothing("a", retries=1), Nothing("b")
        b.action_on_task_status(START, {a: status})
        Nothing("keeper").action_on_event_received(action=START, event_key="never")
    play = Play.begun(Plan.of(workflow))
    assert (play.status("b") is QUEUED) == (status is QUEUED)

    play.run("a")
    if status in {FAILED, RETRYING}:
        play.fail("a", retryable=status is RETRYING)
    elif status in {STOPPING, STOPPED}:
        play.act("a", STOP)
        assert (play.status("b") is QUEUED) == (status is STOPPING)
        play.end("a")

    assert play.status("b") is QUEUED


def test_init_can_be_awaited_beside_another() -> None:
    with declared() as workflow:
        a, b, c = Nothing("a"), Nothing("b"), Nothing("c")
        b.action_on_event_received(action=START, event_key="go")
        c.action_on_task_status(START, {a: SUCCESS, b: INIT})
    first, second = Play.begun(Plan.of(workflow)), Play.begun(Plan.of(workflow))
    second.send("go")

    assert first.end("a") == (started("c"),)
    assert second.end("a") == ()


def test_the_first_rule_in_order_of_declaration_decides_on_an_event() -> None:
    with declared() as workflow:
        a, b = Nothing("a"), Nothing("b")
        a.action_on_event_received(action=STOP, event_key="go")
        a.action_on_event_received(action=RESTART, event_key="go")
        b.action_on_event_received(action=RESTART, event_key="go")
        b.action_on_event_received(action=STOP, event_key="go")
        b.action_on_event_received(action=START, event_key="never")
    play = Play.begun(Plan.of(workflow))
    play.run("a")

    play.send("go")

    assert (play.status("a"), play.status("b")) == (STOPPING, QUEUED)


def test_the_first_rule_in_order_of_declaration_decides_on_a_status() -> None:
    with declared() as workflow:
        a, b = Nothing("a"), Nothing("b")
        b.action_on_task_status(STOP, {a: SUCCESS})
        b.action_on_task_status(RESTART, {a: SUCCESS})
    play = Play.begun(Plan.of(workflow))
    play.run("b")

    play.end("a")

    assert play.task("b").again is None


def test_a_rule_whose_condition_is_not_met_gives_way_to_the_next() -> None:
    with declared() as workflow:
        a = Nothing("a")
        a.action_on_condition(STOP, Asked("go"))
        a.action_on_condition(START, Asked("go"))
    plan = Plan.of(workflow)
    stop, start = (rule.index for rule in plan.by_key["go"])
    none, second, both = Play.begun(plan), Play.begun(plan), Play.begun(plan)

    assert none.send("go") == ()
    assert second.send("go", start) == (started("a"),)
    assert both.send("go", stop, start) == ()


def test_keys_match_exactly() -> None:
    with declared() as workflow:
        Nothing("a").action_on_event_received(action=START, event_key="go")
    play = Play.begun(Plan.of(workflow))

    assert play.send("go ") == play.send("g") == play.send("GO") == play.send("") == ()
    assert play.send("go") == (started("a"),)


def test_rules_follow_from_rules_in_one_decision() -> None:
    with declared() as workflow:
        a, b, c = Nothing("a"), Nothing("b"), Nothing("c")
        b.start_after(a)
        c.action_on_task_status(START, {b: QUEUED})
    play = Play.begun(Plan.of(workflow))

    assert play.end("a") == (started("b"), started("c"))


def test_an_action_on_an_unknown_task_does_nothing() -> None:
    play = join()

    for action in TaskAction:
        assert play.act("nobody", action) == ()

    assert "nobody" not in play.state.tasks
