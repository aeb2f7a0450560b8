"""Each verb that writes can be interrupted on both sides of its commit, on every store."""

import inspect
from collections.abc import Awaitable
from typing import Any

import pytest

from asyncflow._failpoint import POINTS, armed
from asyncflow._store.batch import Batch
from asyncflow._store.change import AddRule
from asyncflow._store.protocol import Pulse, Store
from tests.store.samples import NOON, letter, runner

WITHOUT_A_COMMIT = {"open", "close", "read", "pulse", "shared", "location"}
GIVEN: dict[str, Any] = {
    "runner": runner("r2"),
    "batch": Batch(),
    "letters": (letter("Told"),),
    "change": AddRule("default", "release", "rule"),
    "dead": (),
    "workflows": (),
    "before": NOON,
    "limit": 1,
}
"""A value for each parameter without a default, but ``fence``."""


def verbs(protocol: object) -> list[str]:
    public = {name for name in vars(protocol) if not name.startswith("_")}
    return sorted(public - WITHOUT_A_COMMIT)


def points(verb: str) -> list[str]:
    return [f"store.{verb}.before", f"store.{verb}.after"]


async def call(store: Store, verb: str) -> None:
    """Call a verb of the store, or of its pulse, with what it needs."""
    given = GIVEN | {"fence": await store.register(runner("r1"))}
    pulse = store.pulse()
    function = getattr(store if verb in verbs(Store) else pulse, verb)
    needed = [
        name
        for name, each in inspect.signature(function).parameters.items()
        if each.default is each.empty
    ]
    try:
        done: Awaitable[object] | None = function(**{name: given[name] for name in needed})
        if done is not None:
            await done
    finally:
        pulse.close()


def test_every_verb_that_writes_has_both_failpoints() -> None:
    wanted = {point for verb in (*verbs(Store), *verbs(Pulse)) for point in points(verb)}

    assert wanted - POINTS == set()


@pytest.mark.parametrize("verb", [*verbs(Store), *verbs(Pulse)])
async def test_every_verb_that_writes_passes_its_failpoints(store: Store, verb: str) -> None:
    with armed() as passes:
        await call(store, verb)

    assert [passes[point] for point in points(verb)] == [1 + (verb == "register")] * 2
