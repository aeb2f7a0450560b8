"""One run of a workflow."""

from asyncflow import WorkflowExecution

__all__ = ["WorkflowExecution"]
