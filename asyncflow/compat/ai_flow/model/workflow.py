"""Workflows, and the one whose block is open."""

from asyncflow import Workflow, WorkflowContextManager

__all__ = ["Workflow", "WorkflowContextManager"]
