"""Names of `ai_flow.model.internal`."""

from asyncflow.compat.ai_flow.model.internal import conditions

__all__ = ["conditions"]
