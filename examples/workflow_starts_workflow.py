"""An event of one workflow starts another: each report that is written is mailed.

Run it with ``python examples/workflow_starts_workflow.py``.
"""

from asyncflow import (
    NotificationClient,
    Runner,
    SingleEventCondition,
    Workflow,
    WorkflowRule,
    task,
)

with Workflow("write") as write:

    @task(id="write")
    async def write_report() -> None:
        """Say that the report is there: whoever wants to may hear it."""
        await NotificationClient().send_event.aio("report")


with Workflow("mail") as mail:

    @task(id="mail")
    async def mail_report() -> None:
        """Start with its workflow."""


def main() -> None:
    """Write two reports, and print how their mails went."""
    with Runner(":memory:") as runner:
        runner.add_workflow_rule(mail, WorkflowRule(SingleEventCondition("report")))
        for _ in range(2):
            runner.execute(write)
        for mailed in runner.executions("mail"):
            print(mailed.workflow_name, mailed.execution_type, mailed.wait().status)


if __name__ == "__main__":
    main()
