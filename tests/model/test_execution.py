"""Handles on executions: the fields of their documents, and data that is only data."""

import copy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, cast

from asyncflow import (
    ExecutionType,
    TaskExecution,
    TaskExecutionKey,
    TaskStatus,
    WorkflowExecution,
    WorkflowStatus,
)
from asyncflow._model.port import Port
from asyncflow._model.record import ExecutionRecord, TaskExecutionRecord

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
PORT = cast("Port", object())

TASK = TaskExecutionRecord(
    execution=7,
    task_name="build",
    sequence_number=2,
    try_number=3,
    status=TaskStatus.SUCCESS,
    execution_type=ExecutionType.MANUAL,
    begin=BEGIN,
    end=END,
    result='{"rows": [1]}',
    error=None,
    traceback=None,
    abandoned=False,
    metrics='{"share":0.5}',
    id=11,
)


def test_the_key_of_a_task_execution_has_a_text_form() -> None:
    assert str(TaskExecutionKey(7, "build", 2)) == "7_build_2"
    assert str(TaskExecution.of(TASK).key) == "7_build_2"


def test_a_task_execution_is_made_in_the_order_of_the_documents() -> None:
    bare = TaskExecution(7, "build", 2, ExecutionType.MANUAL)
    run = TaskExecution(7, "build", 2, ExecutionType.MANUAL, BEGIN, END, TaskStatus.SUCCESS, 11)

    assert (bare.begin_date, bare.end_date, bare.status, bare.id) == (
        None,
        None,
        TaskStatus.INIT,
        None,
    )
    assert (run.begin_date, run.end_date, run.status, run.id) == (
        BEGIN,
        END,
        TaskStatus.SUCCESS,
        11,
    )


def test_a_task_execution_says_what_its_record_says() -> None:
    run = TaskExecution.of(TASK)

    assert (run.id, run.metrics, run.result) == (11, {"share": 0.5}, {"rows": [1]})
    assert TaskExecution.of(replace(TASK, metrics=None)).metrics == {}


def test_a_task_execution_is_data_whoever_gave_it() -> None:
    run = TaskExecution.of(TASK, PORT)

    assert run == TaskExecution.of(TASK) == copy.deepcopy(run) == replace(run)
    assert hash(run) == hash(TaskExecution.of(TASK))
    assert {"id", "metrics", "status"} <= set(asdict(run))
    assert "port" not in asdict(run)
    assert "port" not in repr(run)


def test_a_workflow_execution_has_the_fields_of_the_documents() -> None:
    record = ExecutionRecord(
        id=7,
        name="w-1",
        workflow="w",
        namespace="n",
        execution_type=ExecutionType.EVENT,
        status=WorkflowStatus.SUCCESS,
        created=BEGIN,
        begin=BEGIN,
        end=END,
        error=None,
        parked_reason=None,
        stopping=False,
        fingerprint="f",
        owner=None,
    )

    found: Any = WorkflowExecution(PORT, record)

    assert (found.workflow_id, found.execution_type, found.begin_date, found.end_date) == (
        "w",
        ExecutionType.EVENT,
        BEGIN,
        END,
    )
    assert (found.status, found.id) == (WorkflowStatus.SUCCESS, 7)
