"""SEMANTICS 18: what an event takes, and what its task gets of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from asyncflow import (
    Context,
    Runner,
    new_event,
)
from tests.runner.asking import asked, asks

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ":memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'flows.db'}"


async def one(_: Context) -> object:
    return await (await new_event.aio("go", data_type=int)).wait.aio()


class Approval(BaseModel):
    by: str
    when: timedelta
    parts: list[int] = []


async def test_a_pydantic_model_goes_in_as_its_instance_or_dict_and_comes_out(store: str) -> None:
    got: list[object] = []

    async def body(_: Context) -> None:
        for name in ("one", "two"):
            event = await new_event.aio(name, data_type=Approval)
            got.append(await event.wait.aio())

    given = Approval(by="me", when=HOUR, parts=[1])
    async with Runner(store, registry=asks(body)) as runner:
        run = await runner.start.aio("w")
        await (await asked("one", run.name)).signal.aio(given)
        two = await asked("two", run.name)
        await two.signal.aio({"by": "you", "when": "PT1H"})
        await run.wait.aio()
        shown = await two.refresh.aio()

    assert got == [given, Approval(by="you", when=HOUR)]
    assert (two.expected_type, shown.value) == (
        Approval,
        {"by": "you", "when": "PT1H", "parts": []},
    )
