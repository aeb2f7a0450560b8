"""Bad input: one documented error, which names the thing and the way out; nothing is stored."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import pytest

from asyncflow import (
    Client,
    Context,
    DefinitionError,
    ExecutionExistsError,
    ExecutionNotFoundError,
    LargeValueWarning,
    NotificationClient,
    Registry,
    Runner,
    SizeLimits,
    TaskAction,
    TooLargeError,
    UsageError,
    Workflow,
    WorkflowExecution,
    WorkflowNotFoundError,
    task,
)
from tests.client.forms import REFUSED, WARNED, Form, dump, form_of, quoted

NOT_TEXT = "a\udc80"


def declared() -> Registry:
    with Registry() as registry:
        for namespace in ("default", "team"):
            with Workflow("waits", namespace):

                @task(id="waiter")
                async def waiter() -> None: ...

                waiter.action_on_event_received(action=TaskAction.START, event_key="go")
    return registry


def failed() -> Workflow:
    workflow = Workflow("failed")
    with Registry(), pytest.raises(DefinitionError, match="no task"), workflow:
        """Declare nothing."""
    return workflow


def start_inside_its_block(form: Form, client: Client) -> None:
    with Registry(), Workflow("open") as workflow:

        @task(id="one")
        async def one() -> None: ...

        form.call(client.start, workflow)


def in_team() -> Workflow:
    with Registry(), Workflow("here", "team") as workflow:

        @task(id="one")
        async def one() -> None: ...

    return workflow


def start_elsewhere(form: Form, client: Client) -> None:
    form.call(client.start, in_team(), namespace="other")


def cycle() -> dict[str, object]:
    context: dict[str, object] = {"a": []}
    cast("list[object]", context["a"]).append(context)
    return context


def changed_inside() -> Context:
    context = Context({"a": [1]})
    context["a"].append(math.nan)
    return context


def starting(context: object) -> "Call":
    return lambda form, client: form.call(client.start, "waits", cast("Any", context))


def sending(key: object = "go", value: object = None, **options: object) -> "Call":
    def call(form: Form, client: Client) -> object:
        given = cast("dict[str, Any]", options)
        return form.call(client.send_event, cast("Any", key), value, **given)

    return call


def naming(name: object) -> "Call":
    return lambda form, client: form.call(client.start, "waits", name=cast("Any", name))


def listing(**filters: object) -> "Call":
    def call(form: Form, client: Client) -> object:
        return list(form.items(client.executions, **cast("dict[str, Any]", filters)))

    return call


def asking(name: object) -> "Iterator[tuple[str, Call]]":
    """Yield every way to ask for an execution by its name."""
    wrong = cast("Any", name)
    yield "execution", lambda form, client: form.call(client.execution, wrong)
    yield "wait", lambda form, client: form.call(client.wait, wrong)
    yield "stop", lambda form, client: form.call(client.stop, wrong)
    yield "get", lambda form, _: form.call(WorkflowExecution.get, wrong)
    yield "send to", sending(execution=wrong)


Call = Callable[[Form, Client], object]
Case = tuple[str, Call, type[Exception], str]

STARTS: list[Case] = [
    (
        "unknown workflow",
        lambda form, client: form.call(client.start, "none"),
        WorkflowNotFoundError,
        r"no workflow 'none' in namespace 'default' \(declared there: 'waits'\): import the module",
    ),
    (
        "unknown namespace",
        lambda form, client: form.call(client.execute, "waits", namespace="none"),
        WorkflowNotFoundError,
        r"no workflow 'waits' in namespace 'none' \(declared there: none\)",
    ),
    (
        "workflow None",
        lambda form, client: form.call(client.start, cast("Any", None)),
        TypeError,
        "a Workflow or the name of one, not None",
    ),
    (
        "workflow in a list",
        lambda form, client: form.call(client.execute, cast("Any", ["waits"])),
        TypeError,
        r"a Workflow or the name of one, not \['waits'\]",
    ),
    (
        "namespace 3",
        lambda form, client: form.call(client.start, "waits", namespace=cast("Any", 3)),
        TypeError,
        "a namespace is a non-empty string, not 3",
    ),
    (
        "a workflow of another namespace",
        start_elsewhere,
        UsageError,
        "workflow 'here' is in namespace 'team', not in 'other': leave the namespace out",
    ),
    (
        "a block that failed",
        lambda form, client: form.call(client.start, failed()),
        DefinitionError,
        "'failed' cannot be started: its `with` block is still open or has failed",
    ),
    ("a block that is open", start_inside_its_block, DefinitionError, "'open' cannot be started"),
    ("name taken", naming("taken"), ExecutionExistsError, "'taken' already: give another name"),
    ("name empty", naming(""), ValueError, "name of a workflow execution is a non-empty string"),
    ("name 5", naming(5), TypeError, "name of a workflow execution is a non-empty string, not 5"),
    ("name no text", naming(NOT_TEXT), ValueError, r"is 'a\\udc80', which has a lone surrogate"),
    ("name with NUL", naming("a\0b"), ValueError, r"is 'a\\x00b', which has a NUL character"),
]

CONTEXTS: list[Case] = [
    ("a list", starting([1]), TypeError, r"made of a mapping of names to JSON values, not \[1\]"),
    ("a string", starting("a=1"), TypeError, "mapping of names to JSON values, not 'a=1'"),
    ("NaN", starting({"a": [0, math.nan]}), ValueError, r"context\['a'\]\[1\] is nan"),
    ("infinity", starting({"a": {"b": math.inf}}), ValueError, r"context\['a'\]\['b'\] is inf"),
    ("bytes", starting({"a": b"x"}), TypeError, r"context\['a'\] is of type bytes"),
    ("a set", starting({"a": {1}}), TypeError, r"context\['a'\] is of type set"),
    ("a key 1", starting({1: "a"}), TypeError, "has the key 1 of type int; its keys are strings"),
    ("an inner key 1", starting({"a": {1: 2}}), TypeError, r"context\['a'\] has the key 1"),
    ("a key no text", starting({NOT_TEXT: 1}), ValueError, "key of a context .* lone surrogate"),
    ("a key with NUL", starting({"\0": 1}), ValueError, "key of a context .* NUL character"),
    ("a cycle", starting(cycle()), ValueError, r"context\['a'\]\[0\].*contains itself"),
    ("changed inside", starting(changed_inside()), ValueError, r"context\['a'\]\[1\] is nan"),
    (
        "too large",
        starting({"k": quoted(REFUSED)}),
        TooLargeError,
        r"the context has 2,097,153 bytes of JSON, the limit is 2,097,152: store the data elsewhe",
    ),
    (
        "too large together",
        starting(dict.fromkeys("abc", quoted(900_000))),
        TooLargeError,
        "has 2,700,003",
    ),
    ("a key too large", starting({quoted(REFUSED + 2): 1}), TooLargeError, "the context has"),
]

EVENTS: list[Case] = [
    ("key empty", sending(""), ValueError, "event's key is a non-empty string, not ''"),
    ("key None", sending(None), TypeError, "event's key is a non-empty string, not None"),
    ("key no text", sending(NOT_TEXT), ValueError, "event's key .* lone surrogate"),
    ("key with NUL", sending("\0"), ValueError, "event's key .* NUL character"),
    ("value NaN", sending(value=[math.nan]), ValueError, r"value\[0\] is nan"),
    ("value bytes", sending(value=b""), TypeError, "value is of type bytes"),
    ("value key 1", sending(value={1: 2}), TypeError, "value has the key 1"),
    ("value cycle", sending(value=cycle()), ValueError, "contains itself"),
    ("value too large", sending(value=quoted(REFUSED + 1)), TooLargeError, "event's value has"),
    ("context NaN", sending(context=math.nan), ValueError, "context is nan"),
    ("context large", sending(context=quoted(REFUSED + 1)), TooLargeError, "event's context has"),
    ("sender 5", sending(sender=5), TypeError, "event's sender is a non-empty string, not 5"),
    ("sender no text", sending(sender=NOT_TEXT), ValueError, "event's sender .* lone surrogate"),
    ("namespace empty", sending(namespace=""), ValueError, "a namespace is a non-empty string"),
    ("namespace 3", sending(namespace=3), TypeError, "a namespace is a non-empty string, not 3"),
    (
        "another namespace",
        sending(execution="taken", namespace="team"),
        UsageError,
        "'taken' is in namespace 'default', not in 'team': leave the namespace out",
    ),
    (
        "an execution itself",
        lambda form, client: form.call(
            client.send_event, "k", execution=cast("Any", form.call(client.execution, "taken"))
        ),
        TypeError,
        "name of a workflow execution .* not <WorkflowExecution 'taken' .*>: give its .name",
    ),
    ("execution unknown", sending(execution="none"), ExecutionNotFoundError, "'none'.*listall"),
    (
        "no task",
        lambda _form, _client: NotificationClient("localhost:50051"),
        UsageError,
        "only inside a task.*send_event of a Client or Runner",
    ),
]

QUESTIONS: list[Case] = [
    *((f"{way} 5", call, TypeError, "string, not 5") for way, call in asking(5)),
    *((f"{way} no text", call, ValueError, "lone surrogate") for way, call in asking(NOT_TEXT)),
    ("limit 0", listing(limit=0), UsageError, "limit is a whole number, at least 1, not 0"),
    ("limit -1", listing(limit=-1), UsageError, "at least 1, not -1"),
    ("limit 1.5", listing(limit=1.5), UsageError, "at least 1, not 1.5"),
    ("limit text", listing(limit="9"), UsageError, "at least 1, not '9'"),
    ("status none", listing(status="DONE"), ValueError, "one or more of INIT, .*, not 'DONE'"),
    ("status number", listing(status=3), ValueError, "one or more of INIT, .*, not 3"),
    ("statuses none", listing(status=["DONE"]), ValueError, "one or more of INIT"),
    ("workflow 5", listing(workflow=5), TypeError, "name of a workflow is .*, not 5"),
    ("namespace no text", listing(namespace=NOT_TEXT), ValueError, "lone surrogate"),
    (
        "wait less than nothing",
        lambda form, client: form.call(client.wait, "taken", timeout="-5s"),
        ValueError,
        "timeout is '-5s', but a duration is text like",
    ),
    (
        "execute for less than nothing",
        lambda form, client: form.call(client.execute, "waits", timeout=-1),
        ValueError,
        "timeout is -1, but .* not negative",
    ),
    (
        "execute for no duration",
        lambda form, client: form.call(client.execute, "waits", timeout="soon"),
        ValueError,
        "timeout is 'soon', but",
    ),
]


@dataclass
class Asked:
    form: Form
    client: Client


def _asked(request: pytest.FixtureRequest) -> tuple[str, type[Client], str]:
    return cast("tuple[str, type[Client], str]", request.param)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((form, kind, store), id=f"{form}-{kind.__name__}-{store}")
        for form in ("blocking", "awaited")
        for kind in (Client, Runner)
        for store in ("memory", "sqlite")
    ],
)
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    """Open one for all cases: none of them may leave a trace, or harm it."""
    name, kind, store = _asked(request)
    url = ":memory:" if store == "memory" else tmp_path_factory.mktemp("bad") / "flows.db"
    with ExitStack() as stack:
        form = stack.enter_context(form_of(name))
        client = stack.enter_context(form.open(kind(url, registry=declared())))
        form.call(client.start, "waits", {"a": 1}, name="taken")
        yield Asked(form, client)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        pytest.param(*case, id=f"{group}: {name}")
        for group, cases in {
            "start": STARTS,
            "context": CONTEXTS,
            "event": EVENTS,
            "question": QUESTIONS,
        }.items()
        for name, *case in cases
    ],
)
def test_bad_input_is_refused_by_name_and_leaves_the_store_as_it_was(
    asked: Asked, call: Call, error: type[Exception], text: str
) -> None:
    before = dump(asked.client)

    with pytest.raises(error, match=text) as caught:
        call(asked.form, asked.client)

    assert caught.type is error
    assert dump(asked.client) == before


def test_after_all_that_it_still_works(asked: Asked) -> None:
    started = asked.form.call(asked.client.start, "waits", {"fine": "\udc80\0"})

    assert started.final_context == {"fine": "\udc80\0"}


@pytest.fixture(params=[Client, Runner])
def fresh(request: pytest.FixtureRequest, form: Form) -> Iterator[Asked]:
    kind = cast("type[Client]", request.param)
    with form.open(kind(":memory:", registry=declared())) as client:
        yield Asked(form, client)


def test_half_a_megabyte_is_stored_and_one_byte_more_with_a_warning(fresh: Asked) -> None:
    form, client = fresh.form, fresh.client
    form.call(client.start, "waits", {"k": quoted(WARNED - 1)})
    form.call(client.send_event, "go", quoted(WARNED))

    with pytest.warns(LargeValueWarning, match="the context has 524,289 bytes of JSON, over 524,"):
        started = form.call(client.start, "waits", {"k": quoted(WARNED)})
    with pytest.warns(LargeValueWarning, match="the event's value has 524,289 bytes"):
        event = form.call(client.send_event, "go", quoted(WARNED + 1))

    assert started.final_context == {"k": quoted(WARNED)}
    assert event.value == quoted(WARNED + 1)


def test_two_megabytes_are_the_last_that_are_stored(fresh: Asked) -> None:
    with pytest.warns(LargeValueWarning):
        event = fresh.form.call(fresh.client.send_event, "go", quoted(REFUSED))

    assert event.value == quoted(REFUSED)


def test_the_limits_can_be_set(form: Form) -> None:
    limits = SizeLimits(warn=10, refuse=20)
    with form.open(Runner(":memory:", registry=declared(), limits=limits)) as runner:
        form.call(runner.send_event, "go", quoted(10))
        with pytest.warns(LargeValueWarning, match="over 10"):
            form.call(runner.send_event, "go", quoted(20))
        with pytest.raises(TooLargeError, match="has 21 bytes of JSON, the limit is 20"):
            form.call(runner.send_event, "go", quoted(21))


@pytest.mark.parametrize("threads", [0, -1])
def test_a_runner_needs_a_thread(threads: int) -> None:
    with pytest.raises(UsageError, match=f"threads must be at least 1, not {threads}"):
        Runner(":memory:", threads=threads)


def test_the_grace_of_a_runner_is_a_duration() -> None:
    with pytest.raises(ValueError, match="grace is '-1s', but a duration is"):
        Runner(":memory:", grace="-1s")
