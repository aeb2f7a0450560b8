"""One run of a task."""

from asyncflow import TaskExecution, TaskExecutionKey

__all__ = ["TaskExecution", "TaskExecutionKey"]
