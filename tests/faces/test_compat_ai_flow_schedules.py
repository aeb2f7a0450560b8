"""AIFlow's calls on schedules of workflows, and its cron expressions, which differ in weekdays."""

from collections.abc import Generator

import pytest

from asyncflow import NotFoundError, Registry, Runner, Workflow, WorkflowNotFoundError
from asyncflow.compat.ai_flow import ops
from asyncflow.compat.ai_flow.cron import translated
from asyncflow.compat.ai_flow.operators.bash import BashOperator


@pytest.fixture
def runner() -> Generator[Runner]:
    with Registry() as registry, Runner(":memory:", registry=registry) as runner:
        yield runner


def declared_here() -> Workflow:
    with Workflow("here") as workflow:
        BashOperator(name="one", bash_command="true")
    return workflow


def test_a_schedule_is_listed_paused_resumed_and_deleted_by_its_id(
    runner: Runner,
) -> None:
    declared_here()
    hourly = ops.add_workflow_schedule("interval@0 1 0 0", "here")
    mondays = ops.add_workflow_schedule("cron@0 8 * * 0", "here", timezone="Europe/Paris")
    assert ops.add_workflow_schedule("interval@0 1 0 0", "here") == hourly
    assert {each.id for each in ops.list_workflow_schedules("here")} == {hourly.id, mondays.id}
    assert len(ops.list_workflow_schedules("here", limit=1, offset=1)) == 1
    assert ops.list_workflow_schedules("here", "team") == []

    ops.pause_workflow_schedule(hourly.id)
    paused = ops.get_workflow_schedule(hourly.id)
    ops.resume_workflow_schedule(hourly.id)
    resumed = ops.get_workflow_schedule(hourly.id)
    assert (paused, resumed) == (hourly._replace(is_paused=True), hourly)
    stored = runner.get_schedule(mondays.name)
    assert stored is not None
    assert (stored["expression"], stored["timezone"]) == ("0 8 * * mon", "Europe/Paris")

    ops.delete_workflow_schedule(hourly.id)
    assert ops.get_workflow_schedule(hourly.id) is None
    ops.delete_workflow_schedules("here")
    assert ops.list_workflow_schedules("here") == []


@pytest.mark.parametrize("verb", ["pause", "resume", "delete"])
@pytest.mark.usefixtures("runner")
def test_a_schedule_of_an_unknown_id_is_refused(verb: str) -> None:
    with pytest.raises(NotFoundError, match=r"no schedule has the id 7: list_workflow_schedules"):
        getattr(ops, f"{verb}_workflow_schedule")(7)


def test_a_schedule_of_an_unknown_workflow_is_refused(runner: Runner) -> None:
    with pytest.raises(WorkflowNotFoundError, match="no workflow 'none'"):
        ops.add_workflow_schedule("interval@0 1 0 0", "none")

    assert runner.list_schedules() == []


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("0", "mon"),
        ("6", "sun"),
        ("0-4", "mon,tue,wed,thu,fri"),
        ("mon-fri/2", "mon,wed,fri"),
        ("*/3", "mon,thu,sun"),
        ("6,0", "mon,sun"),
        ("SAT", "sat"),
        ("*", "*"),
    ],
)
def test_weekdays_count_from_monday_as_they_do_there(there: str, here: str) -> None:
    assert translated(f"cron@0 8 * * {there}") == f"cron@0 8 * * {here}"
    assert translated(f"cron@0 0 8 * * {there}") == f"cron@0 0 8 * * {here}"


@pytest.mark.parametrize("there", ["7", "5-1", "8-9", "*/0", "mond", "1-", "", "0,", "mon#1", "-1"])
def test_what_is_no_weekday_there_is_refused(there: str, runner: Runner) -> None:
    expression = f"cron@0 8 * *, {there}" if not there else f"cron@0 8 * * {there}"
    with pytest.raises(ValueError, match="the schedule "):
        ops.add_workflow_schedule(expression, declared_here().name)

    assert runner.list_schedules() == []


@pytest.mark.usefixtures("runner")
def test_a_day_and_a_weekday_together_are_refused_since_they_mean_something_else() -> None:
    with pytest.raises(ValueError, match=r"'cron@0 8 1 \* 0': AIFlow starts when .* both match"):
        ops.add_workflow_schedule("cron@0 8 1 * 0", declared_here().name)


@pytest.mark.parametrize("text", ["cron@0 8 1 * *", "interval@0 0 0 5", "@daily", "nonsense", 5])
def test_what_has_no_weekday_is_left_as_it_is(text: str) -> None:
    assert translated(text) == text
