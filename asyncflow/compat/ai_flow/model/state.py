"""What conditions and tasks remember."""

from asyncflow import State, StateDescriptor, StateType, ValueState, ValueStateDescriptor

__all__ = ["State", "StateDescriptor", "StateType", "ValueState", "ValueStateDescriptor"]
