"""Names of `ai_flow.operators`."""

from asyncflow.compat.ai_flow.operators import bash, python

__all__ = ["bash", "python"]
