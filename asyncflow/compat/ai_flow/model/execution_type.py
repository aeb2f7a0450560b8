"""Why an execution started."""

from asyncflow import ExecutionType

__all__ = ["ExecutionType"]
