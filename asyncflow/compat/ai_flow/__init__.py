"""AIFlow's names, at its paths: a program of its documents runs with only its imports changed.

No module here does anything of its own; docs/migrate-from-aiflow.md says what differs.
"""

from asyncflow.compat.ai_flow import model, notification, operators, ops

__all__ = ["model", "notification", "operators", "ops"]
