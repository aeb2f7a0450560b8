"""Statuses of tasks and of workflows."""

from asyncflow import TaskStatus, WorkflowStatus

__all__ = ["TaskStatus", "WorkflowStatus"]
