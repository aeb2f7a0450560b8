"""What Flyte has and asyncflow has not: each name says, when it is used, what to do instead."""

from typing import Final

from asyncflow import UsageError

_CONTAINER: Final = "tasks run in this process: leave it out"
_DEPLOY: Final = "there is no cluster: a program that calls flyte.init() runs what it declares"
_CALL: Final = "call plain functions in a task, or a task for each in a Workflow of asyncflow"
_TIME: Final = "use register_schedule() or trigger() of asyncflow"

LEFT_OUT: Final = {
    **dict.fromkeys(
        ("Image", "Resources", "PodTemplate", "ReusePolicy", "Secret", "GPU", "TPU", "Device"),
        _CONTAINER,
    ),
    **dict.fromkeys(("Cache", "CachePolicy", "trace", "Checkpoint"), "keep results yourself"),
    **dict.fromkeys(
        ("build", "build_images", "deploy", "serve", "rerun", "current_domain"), _DEPLOY
    ),
    **dict.fromkeys(("map", "group", "AppEnvironment", "ctx", "custom_context"), _CALL),
    **dict.fromkeys(("Cron", "FixedRate", "Trigger", "TriggerTime", "durable"), _TIME),
    **dict.fromkeys(("RetryStrategy", "Backoff"), "write retries=3"),
    "Timeout": "write timeout=60, or a timedelta",
}


def refuse(name: str) -> UsageError | AttributeError:
    """Return the error for a name that is not there: `AttributeError` if Flyte has none either."""
    if name not in LEFT_OUT:
        return AttributeError(f"module 'asyncflow.compat.flyte' has no attribute {name!r}")
    return UsageError(f"asyncflow has no {name} of Flyte's: {LEFT_OUT[name]}")
