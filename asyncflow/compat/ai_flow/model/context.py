"""What a task and a condition see."""

from asyncflow import Context

__all__ = ["Context"]
