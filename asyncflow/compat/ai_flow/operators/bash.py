"""Tasks that are shell commands."""

from asyncflow import BashOperator

__all__ = ["BashOperator"]
