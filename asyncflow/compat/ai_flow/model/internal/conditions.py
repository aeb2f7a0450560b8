"""Conditions on events, ready made."""

from asyncflow import MeetAllCondition, MeetAnyCondition, SingleEventCondition

__all__ = ["MeetAllCondition", "MeetAnyCondition", "SingleEventCondition"]
