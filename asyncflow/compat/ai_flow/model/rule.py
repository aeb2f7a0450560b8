"""Rules of tasks and of workflows."""

from asyncflow import TaskRule, WorkflowRule

__all__ = ["TaskRule", "WorkflowRule"]
