"""The base of users' conditions."""

from asyncflow import Condition

__all__ = ["Condition"]
