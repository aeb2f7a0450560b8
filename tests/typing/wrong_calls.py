"""Calls that type checkers must reject: one on each marked line, and on no other.

Nobody runs this; tools/wrong_calls.py has it checked. The ordinary runs leave it out.
"""

import time
from collections.abc import Sequence

from asyncflow import (
    BashOperator,
    Client,
    Condition,
    Context,
    Event,
    ListenerProcessor,
    MeetAllCondition,
    MeetAnyCondition,
    NotificationClient,
    Operator,
    PythonOperator,
    Runner,
    SingleEventCondition,
    TaskAction,
    TaskExecution,
    TaskRule,
    TaskStatus,
    TaskStatusCondition,
    TriggerResult,
    ValueState,
    ValueStateDescriptor,
    Workflow,
    WorkflowExecution,
    WorkflowRule,
    new_event,
    task,
    trigger,
)

with Workflow("typed") as typed:

    @task()
    def add(a: int, b: float = 1.0, *, context: Context | None = None) -> str:
        return f"{a}{b}{context}"

    @task(dependencies=[add])
    async def fetch(context: Context) -> list[int]:
        return [len(context)]


@trigger("typed")
def looks(cursor: int | None) -> TriggerResult:
    return TriggerResult.skip(cursor=cursor)


def blocking_calls(client: Client, ear: ListenerProcessor) -> None:
    client.start()  # wrong: what is started?
    client.start(1)  # wrong: a workflow has a name
    client.start("typed", [1])  # wrong: a context is a mapping
    client.start("typed", {1: 2})  # wrong: of names
    client.start("typed", nam="one")  # wrong: no such option
    client.start("typed", {}, "one")  # wrong: the name is given by name
    client.start("typed").aio()  # wrong: `aio` stands before the arguments
    client.execute("typed", timeout=[5])  # wrong: no duration
    client.execute("typed", wait=True)  # wrong: it always waits
    client.execution()  # wrong: of which name?
    print(client.execution("one").name)  # wrong: it may be None
    client.executions(cursor=1)  # wrong: the cursor is inside
    client.executions(status="RUNNING")  # wrong: a status is a WorkflowStatus
    client.executions(limit="all")  # wrong: a number
    list(client.executions.aio())  # wrong: needs `async for`
    client.wait("one", timeout=b"5s")  # wrong: no duration
    client.stop("one", wait="yes")  # wrong: a flag
    client.send_event(1)  # wrong: a key is text
    client.send_event("said", to="one")  # wrong: no such option
    client.list_events(begin_offset="1")  # wrong: a number
    client.list_events(begin_time="2026-01-01")  # wrong: a datetime
    client.register_listener(print)  # wrong: an object with `process`
    client.register_listener(ear, event_keys=[1])  # wrong: a key is text
    client.unregister_listener(ear)  # wrong: the id that registering gave
    client.shutdown(True)  # wrong: no argument
    client.shutdown(grace=1)  # wrong: a client runs nothing


def calls_about_workflows(client: Client, runner: Runner, rule: WorkflowRule) -> None:
    client.disable_workflow(typed)  # wrong: its name
    client.enable_workflow("typed", namespace=None)  # wrong: a name
    client.delete_workflow()  # wrong: which?
    client.list_workflow_rules(limit=1)  # wrong: it lists all
    client.pause_workflow_rule("typed")  # wrong: which rule?
    client.resume_workflow_rule("typed", rule)  # wrong: its name
    client.delete_workflow_rule("typed", 1)  # wrong: its name
    client.add_workflow_rule("typed", rule)  # wrong: a bare client has no rules
    runner.add_workflow_rule("typed", rule.condition)  # wrong: a rule, not its condition
    runner.add_workflow_rule("typed", rule, "mine")  # wrong: the name is given by name


def triggers(client: Client) -> None:
    trigger()  # wrong: what does it start?
    trigger(looks)  # wrong: its brackets
    trigger("typed", "looks")  # wrong: the name is given by name
    trigger("typed", poll_interval=[5])  # wrong: no duration
    trigger("typed", dedup="1h")  # wrong: for ever, or not
    trigger("typed", allow_concurrent="no")  # wrong: a flag
    trigger("typed", interval="5s")  # wrong: no such option
    looks()  # wrong: as of its function
    looks("1")  # wrong: as of its function
    looks(1).aio()  # wrong: a trigger has one form
    TriggerResult.fire([1])  # wrong: a context is a mapping
    TriggerResult.fire({1: 2})  # wrong: of names
    TriggerResult.fire({}, 5)  # wrong: a key is text
    TriggerResult.fire({}, "key", 1)  # wrong: the cursor is given by name
    TriggerResult.skip({})  # wrong: a skip has no context
    TriggerResult.fire_many({"a": 1})  # wrong: many of them
    TriggerResult.fire_many([None])  # wrong: contexts
    client.list_trigger_schedules("typed")  # wrong: a flag
    print(client.get_trigger_schedule("looks")["enabled"])  # wrong: it may be None
    client.set_trigger_enabled("looks")  # wrong: on or off?
    client.set_trigger_enabled(looks, True)  # wrong: its name
    client.get_trigger_execution_history("looks", limit="all")  # wrong: a number
    client.fire_trigger(looks)  # wrong: its name
    client.fire_trigger("looks", {}, "key")  # wrong: the key is given by name
    print(client.fire_trigger("looks").name)  # wrong: it may be None


async def schedules(client: Client) -> None:
    client.register_schedule("typed")  # wrong: when?
    client.register_schedule("typed", ["@daily"])  # wrong: one schedule
    client.register_schedule("typed", "1h", "hourly")  # wrong: the name is given by name
    client.register_schedule("typed", "1h", catchup="some")  # wrong: no such policy
    client.register_schedule("typed", "1h", overlap=True)  # wrong: no such policy
    client.register_schedule("typed", "1h", context=[1])  # wrong: a mapping
    client.list_schedules(typed)  # wrong: its name
    print(client.get_schedule("hourly")["nam"])  # wrong: it may be None, and there is no such key
    client.update_schedule("hourly", "2h", "UTC")  # wrong: the zone is given by name
    client.enable_schedule("hourly", "team")  # wrong: the namespace is given by name
    client.delete_schedule()  # wrong: which?
    client.get_schedule_history("hourly", "all")  # wrong: a number
    client.get_schedule_statistics(since="2026-01-01")  # wrong: a datetime
    await client.fire_trigger("looks")  # wrong: the blocking form
    await client.fire_trigger.aio()  # wrong: which?
    await client.register_schedule.aio("typed", b"1h")  # wrong: no schedule
    await client.disable_schedule.aio(1)  # wrong: its name
    (await client.get_schedule_history.aio("hourly"))[0]["until"].year  # wrong: it may be None


def calls_of_handles(execution: WorkflowExecution, run: TaskExecution) -> None:
    execution.wait(unit="s")  # wrong: no such option
    execution.stop("now")  # wrong: a flag
    execution.refresh(1)  # wrong: no argument
    execution.name = "other"  # wrong: a snapshot is read
    execution.final_context()  # wrong: not called
    print(execution.wait().result)  # wrong: a task has a result
    WorkflowExecution.get()  # wrong: of which name?
    WorkflowExecution.get(1)  # wrong: a name
    WorkflowExecution.listall(name="one")  # wrong: no such option
    number: int = execution.task_executions()  # wrong: a list
    print(number, execution.task_executions()[0].name)  # wrong: it is called task_name
    run.logs(limit="all")  # wrong: a number
    run.status = TaskStatus.SUCCESS  # wrong: a snapshot is read


async def awaited_calls(client: Client, runner: Runner, execution: WorkflowExecution) -> None:
    await client.start.aio()  # wrong: what is started?
    await client.start.aio("typed", nam="one")  # wrong: no such option
    await client.start("typed")  # wrong: the blocking form
    print(client.start.aio("typed").name)  # wrong: not awaited
    await client.execute.aio("typed", timeout=[5])  # wrong: no duration
    print((await client.execution.aio("one")).name)  # wrong: it may be None
    await client.send_event.aio(1)  # wrong: a key is text
    await client.stop.aio("one", wait="yes")  # wrong: a flag
    client.list_events.aio(limit="all")  # wrong: a number
    async for each in client.executions():  # wrong: the blocking form
        pass
    for each in WorkflowExecution.listall.aio():  # wrong: needs `async for`
        pass
    await WorkflowExecution.get.aio(1)  # wrong: a name
    await execution.wait.aio(wait=True)  # wrong: no such option
    await runner.add_workflow_rule.aio("typed", "said")  # wrong: a rule
    await runner.shutdown()  # wrong: the blocking form
    await runner.shutdown.aio(1)  # wrong: the grace is given by name
    await runner.shutdown.aio(grace=[1])  # wrong: no duration
    runner.shutdown(grace=b"5s")  # wrong: no duration
    await runner.serve()  # wrong: the blocking form
    await runner.serve.aio(grace=1)  # wrong: the runner has it


def opening() -> None:
    Client(registry="mine")  # wrong: a Registry
    Client(threads=4)  # wrong: a client runs nothing
    Runner("flows.db", 4)  # wrong: options are given by name
    Runner(threads="4")  # wrong: a number
    Runner(grace=None)  # wrong: a duration
    Runner(clock=time.time)  # wrong: a Clock
    Runner(limits=100)  # wrong: SizeLimits
    with Runner().start("typed"):  # wrong: the runner is what is opened
        pass


def some(number: int) -> None:
    print(number)


def options_of_tasks() -> None:
    Workflow(1)  # wrong: a name
    Workflow("w", finish_when_idle="yes")  # wrong: a flag
    task(add)  # wrong: it takes parentheses
    task(tries=3)  # wrong: no such option
    task(name="one")  # wrong: it is called id
    task(retries="3")  # wrong: a number
    task(timeout=[1])  # wrong: no duration
    task(retry_if=ValueError("x"))  # wrong: a function of the error
    task(retry_backoff="cubic")  # wrong: no such growth
    task(isolation="fork")  # wrong: no such isolation
    task(dependencies=[1])  # wrong: tasks or names
    task(dependencies=add)  # wrong: a list of them
    task(on_success=some)  # wrong: it is called with a name and a context
    task(on_failure=lambda name, context: None)  # wrong: and with the error
    task(idempotent="yes")  # wrong: a flag
    task(periodic_expression=5)  # wrong: an expression


def calls_of_tasks() -> None:
    add()  # wrong: as of its function
    add("1")  # wrong: as of its function
    add(1, c=2)  # wrong: as of its function
    add(1).aio()  # wrong: a task has one form
    number: int = add(1)  # wrong: its function returns text
    print(number, fetch(1))  # wrong: a context


def operators(sequence: Sequence[int]) -> None:
    PythonOperator("x")  # wrong: which function?
    PythonOperator("x", "len")  # wrong: the function itself
    PythonOperator("x", len, op_args=1)  # wrong: a sequence
    PythonOperator("x", len, op_kwargs=sequence)  # wrong: a mapping
    PythonOperator("x", len, op_kwargs={1: 2})  # wrong: of names
    PythonOperator("x", len, isolation="fork")  # wrong: no such isolation
    PythonOperator("x", len, tries=3)  # wrong: no such option
    BashOperator("x")  # wrong: which command?
    BashOperator("x", ["ls"])  # wrong: a text
    BashOperator("x", "ls", env={"A": 1})  # wrong: texts
    BashOperator("x", "ls", isolation="process")  # wrong: it always is one
    Operator("x")  # wrong: what does it do?


def rules() -> None:
    add.start_after("fetch")  # wrong: the task itself
    add.start_after([fetch, 1])  # wrong: tasks
    add.action_on_event_received("START", "said")  # wrong: a TaskAction
    add.action_on_event_received(TaskAction.START)  # wrong: which event?
    add.action_on_event_received(TaskAction.PAUSE, "said")  # wrong: no such action
    add.action_on_event_received(TaskAction.STOP, event_key=1)  # wrong: a key is text
    add.action_on_task_status(TaskAction.STOP, {"fetch": TaskStatus.FAILED})  # wrong: the task
    add.action_on_task_status(TaskAction.STOP, {fetch: "FAILED"})  # wrong: a TaskStatus
    add.action_on_condition(TaskAction.START, print)  # wrong: a Condition
    add.action_on_condition(SingleEventCondition("said"))  # wrong: which action?
    typed.action_on_event_received(add, "said", TaskAction.STOP)  # wrong: its name
    TaskRule(SingleEventCondition("said"))  # wrong: which action?
    WorkflowRule("said")  # wrong: a condition


def conditions(one: SingleEventCondition) -> None:
    Condition(["said"])  # wrong: when is it met?
    SingleEventCondition(["said"])  # wrong: one key
    MeetAllCondition([one])  # wrong: it remembers under a name
    MeetAllCondition("both", one)  # wrong: a list of them
    MeetAnyCondition(["said"])  # wrong: conditions
    one.is_met("said", Context())  # wrong: an event


class NoContext(Condition):
    def is_met(self, event: Event) -> bool:  # wrong: it is asked with the context too
        return bool(event.value)


class NoAnswer(Condition):
    def is_met(self, event: Event, context: Context) -> str:  # wrong: yes or no
        return event.key


class OneEvent(ListenerProcessor):
    def process(self, events: Event) -> None:  # wrong: it hears batches
        print(events)


class NoStart(Operator):
    def start(self) -> None:  # wrong: it is given the context
        print(self.name)


def contexts_and_states(context: Context, state: ValueState) -> None:
    print(context[1])  # wrong: a name
    context[1] = 2  # wrong: a name
    context.set("key")  # wrong: which value?
    Context([1])  # wrong: a mapping
    context.task_name()  # wrong: not called
    context.try_number = 2  # wrong: it is read
    context.get_task_status(add)  # wrong: its name
    context.get_state("sum")  # wrong: a descriptor
    ValueStateDescriptor(1)  # wrong: a name
    ValueStateDescriptor("sum", 0)  # wrong: no default
    state.update()  # wrong: which value?
    state.value(0)  # wrong: no default
    state.value = 1  # wrong: update() sets it


async def events(notifier: NotificationClient, event: Event) -> None:
    NotificationClient(1)  # wrong: an address, or nothing
    NoStart("x").notify("said")  # wrong: an operator sends nothing
    ListenerProcessor()  # wrong: what does it do?
    notifier.send_event(1)  # wrong: a key is text
    notifier.send_event("said", sender="me")  # wrong: the task is the sender
    notifier.list_events(namespace="team")  # wrong: always the task's
    await notifier.send_event("said")  # wrong: the blocking form
    await notifier.register_listener.aio(OneEvent)  # wrong: an object of it
    event.value = 1  # wrong: it was sent
    event.offset + 1  # wrong: it may have none yet


async def awaited_events(event: Event) -> None:
    new_event()  # wrong: which name?
    new_event(1)  # wrong: a name is text
    new_event(name="go")  # wrong: the name stands first
    new_event("go", data_type=bytes)  # wrong: no payload
    new_event("go", data_type=True)  # wrong: the type itself
    new_event("go", prompt=1)  # wrong: a text
    new_event("go", prompt_type="html")  # wrong: text or markdown
    new_event("go", timeout=[5])  # wrong: no duration
    new_event("go", webhook="http://127.0.0.1/")  # wrong: a Webhook
    new_event("go", retries=1)  # wrong: no such option
    new_event("go").aio()  # wrong: `aio` stands before the arguments
    await new_event("go")  # wrong: the blocking form
    await new_event.aio(1)  # wrong: a name is text
    number: int = await (await new_event.aio("go", data_type=str)).wait.aio()  # wrong: a text
    event.signal()  # wrong: which payload?
    event.signal(None)  # wrong: no payload
    event.signal(b"yes")  # wrong: no payload
    event.signal(True, "me")  # wrong: who signals is given by name
    event.signal(True, by=number)  # wrong: a text
    event.signal(True, note="fine")  # wrong: it is called comment
    await event.signal.aio([True])  # wrong: no payload
    event.wait("5s", 1)  # wrong: one timeout
    event.wait(timeout=b"5s")  # wrong: no duration
    await new_event("go").wait()  # wrong: the blocking form
    event.refresh(1)  # wrong: no argument
    event.to_dict(1)  # wrong: no argument
    event.phase = "SUCCEEDED"  # wrong: it is read
    event.expected_type()  # wrong: not called
    Event.get("go")  # wrong: of which execution?
    Event.get("go", 1)  # wrong: its name
    Event.get("go", "run", task="ask")  # wrong: it is called action_name
    print(Event.get("go", "run").name)  # wrong: it may be None
    Event.listall()  # wrong: of which execution?
    Event.listall("run", limit="all")  # wrong: a number
    list(Event.listall.aio("run"))  # wrong: needs `async for`
    Event.wait_any("go")  # wrong: events
    Event.wait_any([event])  # wrong: each by itself
    await Event.wait_any.aio(event, timeout=[5])  # wrong: no duration


async def waiting_for(client: Client, said: SingleEventCondition, done: TaskStatusCondition) -> None:
    client.wait_for()  # wrong: for what?
    client.wait_for("said")  # wrong: a condition
    client.wait_for(said, "run")  # wrong: options are given by name
    client.wait_for(said, timeout=[5])  # wrong: no duration
    client.wait_for(said, begin_offset="1")  # wrong: a number
    client.wait_for(said, execution=1)  # wrong: its name
    print((await client.wait_for.aio(done, execution="run")).value)  # wrong: the execution
    await client.wait_for(said)  # wrong: the blocking form
    TaskStatusCondition({"ask": "SUCCESS"})  # wrong: a TaskStatus
    TaskStatusCondition(["ask"])  # wrong: which statuses?
    client.waiting_events(1)  # wrong: a name is text
    client.waiting_events("go", "team")  # wrong: the namespace is given by name
    client.event("go")  # wrong: of which execution?
    client.events()  # wrong: of which execution?
