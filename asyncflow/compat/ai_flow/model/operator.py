"""The base of users' operators, with AIFlow's first argument."""

import logging
from typing import Any

from asyncflow import Operator, OperatorConfigItem

__all__ = ["AIFlowOperator", "Operator", "OperatorConfigItem"]


class AIFlowOperator(Operator):
    """An `Operator` whose name may also be given as ``task_name``."""

    log = logging.getLogger("asyncflow.task")

    def __init__(self, task_name: str = "", **kwargs: Any) -> None:  # noqa: ANN401  the base checks
        super().__init__(kwargs.pop("name", task_name), **kwargs)
