"""Tasks that call a function, with AIFlow's order of arguments."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asyncflow import Context
from asyncflow import PythonOperator as _PythonOperator

__all__ = ["PythonOperator"]


class PythonOperator(_PythonOperator[..., object]):
    """A task that calls a function and drops what it returns, of whatever type it is."""

    def __init__(
        self,
        name: str,
        python_callable: Callable[..., object],
        op_args: Sequence[object] | None = None,
        op_kwargs: Mapping[str, object] | None = None,
        **kwargs: Any,  # noqa: ANN401  the base checks them
    ) -> None:
        super().__init__(
            name, python_callable, op_args=op_args or (), op_kwargs=op_kwargs, **kwargs
        )

    async def start(self, context: Context) -> None:
        """Call the function."""
        await super().start(context)
