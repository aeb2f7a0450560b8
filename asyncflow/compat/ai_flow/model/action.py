"""What a rule asks of a task."""

from asyncflow import TaskAction

__all__ = ["TaskAction"]
