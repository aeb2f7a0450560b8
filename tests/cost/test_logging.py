"""What is logged and then dropped is never made: not the record, and not its text."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import asyncflow
from asyncflow import Registry, Workflow, task
from tests.cost.scene import declared, on_a_file, one, opened, short_chain
from tests.cost.tally import Tally

RECORDS = 0

SOURCES = sorted(Path(asyncflow.__file__).parent.rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked for as a record, whoever hears it."""
    found: list[str] = []
    make = logging.getLogRecordFactory()

    def noting(*args: object, **options: object) -> logging.LogRecord:
        found.append(str(args[0]))
        return make(*args, **options)

    monkeypatch.setattr(logging, "_logRecordFactory", noting)
    return found


@pytest.fixture
def nothing_heard() -> Iterator[None]:
    """No logger makes a record; one that was asked before has kept its answer, and forgets it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_a_task_that_ends_well_makes_no_record_where_warnings_are_heard(made: list[str]) -> None:
    async def main(_: Tally, database: Path) -> None:
        async with opened(database, declared()) as runner:
            made.clear()
            for work in (one, short_chain):
                await work(runner)
            found.extend(made)

    found: list[str] = []
    on_a_file(main)

    assert len(found) == RECORDS


def test_a_task_that_fails_makes_no_record_where_nothing_is_heard(
    made: list[str], nothing_heard: None
) -> None:
    with Registry() as registry, Workflow("fails"):

        @task(id="t")
        async def t() -> None:
            raise ValueError("on purpose")

    async def main(_: Tally, database: Path) -> None:
        async with opened(database, registry) as runner:
            await runner.execute.aio("fails")

    on_a_file(main)

    assert len(made) == RECORDS


def formatted_early(source: str) -> Iterator[int]:
    """Yield the lines where a logger is given a text that was made before it was asked for."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and isinstance(node.func.value, ast.Name)
            and "log" in node.func.value.id.lower()
        ):
            for part in [*node.args, *(each.value for each in node.keywords)]:
                if (
                    isinstance(part, ast.JoinedStr)
                    or (isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod))
                    or (
                        isinstance(part, ast.Call)
                        and isinstance(part.func, ast.Attribute)
                        and part.func.attr in {"format", "join"}
                    )
                ):
                    yield node.lineno


@pytest.mark.parametrize(
    "line",
    ['logger.info(f"{x} ended")', 'logger.info("%s ended" % x)', 'logger.info("{}".format(x))'],
)
def test_a_text_that_is_made_early_is_found(line: str) -> None:
    assert list(formatted_early(line)) == [1]


def test_no_text_is_made_before_it_is_known_that_somebody_hears_it() -> None:
    found = {
        f"{path.name}:{line}" for path in SOURCES for line in formatted_early(path.read_text())
    }

    assert not found
