"""Cloacina's settings of a runner: all are checked, few have a meaning here. It sets nothing."""

from dataclasses import asdict, dataclass

MOST_CATCHUP = 1000
SHORTEST_POLL_MS = 10


@dataclass(kw_only=True, slots=True)
class DefaultRunnerConfig:
    """Settings for `DefaultRunner.with_config`.

    These have an effect; the others are checked and kept, because what they set is not there.

    Attributes:
        max_concurrent_tasks: how many ``def`` tasks run at once; ``async def`` ones have no limit.
        workflow_timeout_seconds: how long `DefaultRunner.execute` waits; the execution goes on.
        enable_cron_scheduling: False refuses new cron schedules.
        cron_max_catchup_executions: kept with each new cron schedule as its ``max_catchup``.

    Raises:
        ValueError: a setting makes no sense, in the constructor or when it is set.
    """

    max_concurrent_tasks: int = 4
    scheduler_poll_interval_ms: int = 100
    task_timeout_seconds: int = 300
    workflow_timeout_seconds: int | None = 3600
    db_pool_size: int = 10
    enable_recovery: bool = True
    enable_cron_scheduling: bool = True
    cron_poll_interval_seconds: int = 30
    cron_max_catchup_executions: int = 100
    cron_enable_recovery: bool = True
    cron_recovery_interval_seconds: int = 300
    cron_lost_threshold_minutes: int = 10
    cron_max_recovery_age_seconds: int = 86400
    cron_max_recovery_attempts: int = 3

    def __setattr__(self, name: str, value: object) -> None:
        """Check a setting and keep it."""
        _check(name, value)
        object.__setattr__(self, name, value)

    @classmethod
    def default(cls) -> "DefaultRunnerConfig":
        """Return the default settings."""
        return cls()

    def to_dict(self) -> dict[str, int | bool | None]:
        """Return all settings by name."""
        return asdict(self)


def _check(name: str, value: object) -> None:
    if "enable" in name:
        if not isinstance(value, bool):
            text = f"Invalid configuration: {name} must be True or False, not {value!r}"
            raise ValueError(text)
        return
    if name == "workflow_timeout_seconds" and value is None:
        return
    least = SHORTEST_POLL_MS if name == "scheduler_poll_interval_ms" else 1
    most = MOST_CATCHUP if name == "cron_max_catchup_executions" else None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        text = f"Invalid configuration: {name} must be a whole number >= {least}, not {value!r}"
        raise ValueError(text)
    if most is not None and value > most:
        text = f"Invalid configuration: {name} must be <= {most}, not {value!r}"
        raise ValueError(text)
