"""Cloacina's retries: how often, how late, and after which errors a task is tried again."""

from collections.abc import Callable, Generator
from typing import Any, cast

import pytest

from asyncflow import DefinitionError, Registry
from asyncflow.compat import cloaca
from tests.faces.cloaca_scene import execute


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


def body(context: cloaca.Context) -> None: ...


def counted(attempts: list[int], failures: int) -> Callable[[cloaca.Context], None]:
    def function(context: cloaca.Context) -> None:
        attempts.append(1)
        if len(attempts) <= failures:
            raise ValueError("not yet")

    return function


def test_attempts_are_counted_with_the_first() -> None:
    attempts: list[int] = []
    late: list[int] = []

    done = execute(counted(attempts, 2), retry_attempts=3, retry_delay_ms=0)
    failed = execute(counted(late, 2), retry_attempts=2, retry_delay_ms=0)

    assert (done.status, len(attempts)) == ("Completed", 3)
    assert (failed.status, len(late)) == ("Failed", 2)


def test_a_task_that_is_never_retried_is_tried_once() -> None:
    attempts: list[int] = []

    done = execute(
        counted(attempts, 1), retry_attempts=3, retry_delay_ms=0, retry_condition="never"
    )

    assert (done.status, len(attempts)) == ("Failed", 1)


TRANSIENT = cloaca.RetryCondition.transient_only()
BUSY = cloaca.RetryCondition.error_pattern(["no such", "Busy"])


@pytest.mark.parametrize(
    ("given", "error", "attempts"),
    [
        ("transient", TimeoutError(), 3),
        ("transient", ConnectionRefusedError("port 80"), 3),
        ("transient", OSError("Network is unreachable"), 3),
        ("transient", RuntimeError("service UNAVAILABLE"), 3),
        ("transient", ValueError("kaboom"), 1),
        ("all", ValueError("kaboom"), 3),
        ("never", TimeoutError(), 1),
        (TRANSIENT, RuntimeError("temporary"), 3),
        (TRANSIENT, RuntimeError("for ever"), 1),
        (BUSY, ValueError("the line is busy"), 3),
        (BUSY, TimeoutError("too late"), 1),
        (cloaca.RetryCondition.error_pattern(["keyerror"]), KeyError("x"), 3),
        (cloaca.RetryCondition.all_errors(), KeyError("x"), 3),
        (cloaca.RetryCondition.never(), KeyError("x"), 1),
    ],
)
def test_a_task_is_tried_again_after_the_errors_that_its_condition_names(
    given: str | cloaca.RetryCondition, error: Exception, attempts: int
) -> None:
    tried: list[int] = []

    def fails(context: cloaca.Context) -> None:
        tried.append(1)
        raise error

    if isinstance(given, str):
        execute(fails, retry_attempts=3, retry_delay_ms=0, retry_condition=given)
    else:
        policy = cloaca.RetryPolicy.builder().initial_delay(0).retry_condition(given).build()
        execute(fails, retry_attempts=None, retry=policy)

    assert len(tried) == attempts


def test_a_policy_says_itself_whether_an_error_is_followed_by_an_attempt() -> None:
    transient = cloaca.RetryPolicy.builder().retry_condition(TRANSIENT).build()
    never = cloaca.RetryPolicy.builder().retry_condition(cloaca.RetryCondition.never()).build()

    said = [
        transient.should_retry(1, "TimeoutError"),
        transient.should_retry(1, ValueError("x")),
        transient.should_retry(1),
        transient.should_retry(3, "TimeoutError"),
    ]

    assert said == [True, False, True, False]
    assert not never.should_retry(1)


def options_of(**options: Any) -> tuple[object, ...]:  # noqa: ANN401  as users write them
    with cloaca.WorkflowBuilder("options"):
        made = cloaca.task(id="only", **options)(body)
    retry = made.retry
    return (
        retry.retries,
        retry.delay.total_seconds(),
        retry.backoff,
        retry.max_delay and retry.max_delay.total_seconds(),
        retry.jitter,
    )


def test_the_options_of_a_retry_are_those_of_the_reference() -> None:
    builder = cloaca.RetryPolicy.builder().max_attempts(5).initial_delay(0.5).max_delay(9)
    strategy = cloaca.BackoffStrategy.linear(4)
    policy = builder.backoff_strategy(strategy).with_jitter(False).build()

    assert options_of() == (2, 1.0, "exponential", 60.0, 0.25)
    assert options_of(retry=cloaca.RetryPolicy.default()) == options_of()
    assert options_of(retry_attempts=0)[0] == 0
    assert options_of(
        retry_attempts=4,
        retry_delay_ms=200,
        retry_max_delay_ms=100,
        retry_backoff="fixed",
        retry_jitter=False,
    ) == (3, 0.1, "fixed", 0.1, 0.0)
    assert options_of(retry=policy) == (4, 2.0, "linear", 9.0, 0.0)
    assert [policy.calculate_delay(n) for n in (1, 2, 5)] == [2.0, 4.0, 9.0]
    assert [policy.should_retry(n, "ValueError") for n in (4, 5)] == [True, False]


def test_a_policy_that_asyncflow_has_not_is_refused() -> None:
    with pytest.raises(DefinitionError, match="its base is 2, not 3"):
        cloaca.BackoffStrategy.exponential(3)
    for patterns in ([], "busy", [""], [1]):
        with pytest.raises(DefinitionError, match="takes a list of texts, at least one, not"):
            cloaca.RetryCondition.error_pattern(cast("list[str]", patterns))
