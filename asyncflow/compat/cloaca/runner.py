"""Cloacina's `DefaultRunner`: a `Runner` that is opened when it is made, asked in Cloacina's words.

All calls block; coroutines use the calls of `DefaultRunner.runner`, which have both forms.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

from asyncflow import (
    Runner,
    ScheduleNotFoundError,
    UsageError,
    WorkflowExecution,
    WorkflowStatus,
)
from asyncflow.compat.cloaca.config import DefaultRunnerConfig
from asyncflow.compat.cloaca.context import Context
from asyncflow.compat.cloaca.rows import (
    Row,
    cron_row,
    tick_row,
    time_text,
    trigger_execution_row,
    trigger_row,
)
from asyncflow.compat.cloaca.triggers import CRON_TRIGGERS

STATUSES: Final = {
    WorkflowStatus.SUCCESS: "Completed",
    WorkflowStatus.FAILED: "Failed",
    WorkflowStatus.STOPPED: "Cancelled",
}
LISTED: Final = 100
"""How many rows a listing has, unless it is told."""

MEMORY: Final = ":memory:"


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """How an execution ended.

    Attributes:
        status: ``"Completed"``, ``"Failed"`` or ``"Cancelled"``.
        start_time: RFC 3339, UTC.
        end_time: the same.
        final_context: what its tasks left, merged.
        error_message: the first error of its tasks, with the task's name; None if there was none.
        execution_name: asyncflow's name for it.
    """

    status: str
    start_time: str | None
    end_time: str | None
    final_context: Context
    error_message: str | None
    execution_name: str

    @classmethod
    def of(cls, execution: WorkflowExecution) -> "WorkflowResult":
        """Return what an execution says that has ended."""
        begin, end = execution.begin_date, execution.end_date
        return cls(
            STATUSES[execution.status],
            None if begin is None else time_text(begin),
            None if end is None else time_text(end),
            Context(execution.final_context),
            execution.error_message,
            execution.name,
        )


class DefaultRunner:
    """Opens a database and works from then on, until `shutdown` or the end of its block.

    It runs tasks, polls triggers and keeps schedules; what a program leaves unfinished, the next
    runner on the file goes on with.

    Args:
        database_url: ``":memory:"``, a path, or ``"sqlite://"`` and a path as it is written:
            ``"sqlite://relative.db"``, ``"sqlite:///absolute.db"``.
        config: settings; see `DefaultRunnerConfig`. Without, executions may take any time, and 40
            ``def`` tasks run at once.

    Raises:
        StoreLocationError: the address names no SQLite database.
        UsageError: on a thread that runs an event loop, which it would block.
        WorkflowNotFoundError: a trigger starts a workflow that is not declared.

    Attributes:
        runner: asyncflow's own, for calls that Cloacina has not, and for coroutines.
    """

    def __init__(self, database_url: str, config: DefaultRunnerConfig | None = None) -> None:
        self._config = config
        place = location(database_url)
        threads = None if config is None else config.max_concurrent_tasks
        self.runner = Runner(place) if threads is None else Runner(place, threads=threads)
        self.runner.__enter__()
        try:
            for each in CRON_TRIGGERS.values():
                self.runner.register_schedule(
                    each.workflow, each.expression, name=each.name, timezone=each.timezone
                )
        except BaseException:  # whatever it is, nobody has this object to close it
            self.runner.shutdown()
            raise

    @classmethod
    def with_config(cls, database_url: str, config: DefaultRunnerConfig) -> "DefaultRunner":
        """Open a database with settings."""
        return cls(database_url, config)

    @classmethod
    def with_schema(cls, database_url: str, schema: str) -> NoReturn:
        """Raise `UsageError`: there are no schemas."""
        text = f"asyncflow has no schema {schema!r}: give each tenant a file of its own"
        raise UsageError(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<DefaultRunner of {self.runner!r}>"

    def shutdown(self) -> None:
        """Start nothing more, let what runs end within 5 s, and close; again, it does nothing."""
        self.runner.shutdown()

    def execute(
        self, workflow_name: str, context: Mapping[str, object] | None = None
    ) -> WorkflowResult:
        """Start a workflow and return how it ended, however it ended.

        Raises:
            WorkflowNotFoundError: no workflow of that name is declared.
            WaitTimeoutError: it took longer than ``workflow_timeout_seconds``; it goes on.
        """
        limit = None if self._config is None else self._config.workflow_timeout_seconds
        return WorkflowResult.of(self.runner.execute(workflow_name, context, timeout=limit))

    # --- triggers ---

    def list_trigger_schedules(
        self, enabled_only: bool | None = None, limit: int | None = None, offset: int | None = None
    ) -> list[Row]:
        """Return triggers that a runner has loaded from this database."""
        found = self.runner.list_trigger_schedules(
            bool(enabled_only), LISTED if limit is None else limit, offset or 0
        )
        return [trigger_row(each) for each in found]

    def get_trigger_schedule(self, trigger_name: str) -> Row | None:
        """Return a trigger, None if there is none of that name."""
        found = self.runner.get_trigger_schedule(trigger_name)
        return None if found is None else trigger_row(found)

    def set_trigger_enabled(self, trigger_name: str, enabled: bool) -> None:
        """Let a trigger be polled, or not; that is kept.

        Raises:
            TriggerNotFoundError: there is none of that name.
        """
        self.runner.set_trigger_enabled(trigger_name, enabled)

    def get_trigger_execution_history(
        self, trigger_name: str, limit: int | None = None, offset: int | None = None
    ) -> list[Row]:
        """Return what a trigger has started, newest first, and which of its polls failed."""
        found = self.runner.get_trigger_execution_history(
            trigger_name, LISTED if limit is None else limit, offset or 0
        )
        return [trigger_execution_row(each) for each in found]

    # --- cron ---

    def register_cron_workflow(
        self, workflow_name: str, cron_expression: str, timezone: str = "UTC"
    ) -> str:
        """Start a workflow by the clock from now on, and return the schedule's id.

        A schedule that the workflow has already, of the same expression and zone, is left as it
        is, and its id returned.

        Raises:
            WorkflowNotFoundError: no workflow of that name is declared.
            ValueError: the expression or the zone makes no sense.
            UsageError: ``enable_cron_scheduling`` is False.
        """
        self._check_cron()
        expression = " ".join(cron_expression.split())  # as it is stored
        there = self.runner.list_schedules(workflow_name)
        for each in there:
            if (each["expression"], each["timezone"]) == (expression, timezone):
                return str(each["id"])
        name = plain = f"{workflow_name}: {expression} {timezone}"
        taken, number = {each["name"] for each in there}, 1
        while name in taken:  # one that was updated to another expression
            number += 1
            name = f"{plain} ({number})"
        return self._register(workflow_name, expression, timezone, name, None)

    def register_workflow_instance(
        self,
        workflow_name: str,
        instance_name: str,
        cron_expression: str,
        timezone: str,
        params: Mapping[str, object] | None = None,
    ) -> str:
        """Start a workflow by the clock with a context of its own, and return the schedule's id.

        The same instance again is changed. Otherwise as `register_cron_workflow`.
        """
        self._check_cron()
        name = f"{workflow_name}/{instance_name}"
        return self._register(workflow_name, cron_expression, timezone, name, params)

    def list_cron_schedules(
        self, enabled_only: bool | None = None, limit: int | None = None, offset: int | None = None
    ) -> list[Row]:
        """Return schedules of this database."""
        found = self.runner.list_schedules(
            enabled_only=bool(enabled_only),
            limit=LISTED if limit is None else limit,
            offset=offset or 0,
        )
        return [cron_row(each) for each in found]

    def get_cron_schedule(self, schedule_id: str) -> Row:
        """Return a schedule.

        Raises:
            ScheduleNotFoundError: there is none of that id.
        """
        return cron_row(self._schedule(schedule_id))

    def update_cron_schedule(self, schedule_id: str, cron_expression: str, timezone: str) -> None:
        """Change when a schedule is due; raises as `get_cron_schedule`."""
        name = self._name(schedule_id)
        self.runner.update_schedule(name, schedule=cron_expression, timezone=timezone)

    def set_cron_schedule_enabled(self, schedule_id: str, enabled: bool) -> None:
        """Let a schedule start executions, or not; raises as `get_cron_schedule`."""
        name = self._name(schedule_id)
        if enabled:
            self.runner.enable_schedule(name)
        else:
            self.runner.disable_schedule(name)

    def delete_cron_schedule(self, schedule_id: str) -> None:
        """Delete a schedule; raises as `get_cron_schedule`."""
        self.runner.delete_schedule(self._name(schedule_id))

    def get_cron_execution_history(
        self, schedule_id: str, limit: int | None = None, offset: int | None = None
    ) -> list[Row]:
        """Return when a schedule was due, newest first; raises as `get_cron_schedule`."""
        found = self.runner.get_schedule_history(
            self._name(schedule_id), LISTED if limit is None else limit, offset or 0
        )
        return [tick_row(each, schedule_id) for each in found]

    def get_cron_execution_stats(self, since: str) -> Row:
        """Count the executions that schedules have started since a time, RFC 3339 with an offset.

        None is ever lost: a schedule's tick and its execution are stored together.
        """
        begin = datetime.fromisoformat(since)
        if begin.tzinfo is None:
            text = f"since has an offset, as in 2026-01-31T09:00:00+00:00, which {since!r} has not"
            raise ValueError(text)
        found = self.runner.get_schedule_statistics(since=begin)
        started, succeeded = found["started"], found["succeeded"]
        return {
            "total_executions": started,
            "successful_executions": succeeded,
            "lost_executions": 0,
            "success_rate": 100 * succeeded / started if started else 0.0,
        }

    # --- inside ---

    def _register(
        self,
        workflow: str,
        expression: str,
        timezone: str,
        name: str,
        params: Mapping[str, object] | None,
    ) -> str:
        most = (self._config or DefaultRunnerConfig()).cron_max_catchup_executions
        made = self.runner.register_schedule(
            workflow, expression, name=name, timezone=timezone, context=params, max_catchup=most
        )
        return str(made["id"])

    def _name(self, schedule_id: str) -> str:
        return str(self._schedule(schedule_id)["name"])

    def _schedule(self, schedule_id: str) -> Mapping[str, object]:
        for each in self.runner.list_schedules():
            if str(each["id"]) == str(schedule_id):
                return each
        raise ScheduleNotFoundError(str(schedule_id), "default")

    def _check_cron(self) -> None:
        if self._config is not None and not self._config.enable_cron_scheduling:
            text = "enable_cron_scheduling is False in this runner's config: leave it True"
            raise UsageError(text)


def location(database_url: str) -> str | Path:
    """Return where asyncflow finds the database of a URL of Cloacina."""
    scheme, separator, rest = database_url.partition("://")
    if not separator and database_url.startswith("file:"):
        scheme, separator, rest = "sqlite", ":", database_url.removeprefix("file:")
    if not separator or scheme.lower() != "sqlite":
        return database_url
    path, mark, options = rest.partition("?")
    if mark:
        text = f"{database_url!r}: what follows '?' has no meaning here ({options!r})"
        warnings.warn(text, UserWarning, stacklevel=3)
    return MEMORY if path in {"", MEMORY, f"/{MEMORY}"} else Path(path)
