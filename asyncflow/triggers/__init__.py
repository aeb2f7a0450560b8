"""Triggers that are made already, each an ordinary use of what `asyncflow` exports."""

from asyncflow.triggers.file import FileTrigger

__all__ = ["FileTrigger"]
