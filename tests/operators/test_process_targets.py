"""How another process finds a function: by its module and name, in the main file too."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from asyncflow import DefinitionError, PythonOperator, Registry, Workflow
from tests.bell import ROOT
from tests.operators import killable
from tests.operators.ears import lives, within

# --- the main module, and the runner's death ---

SCRIPT = """
import os, sys
from asyncflow import Context, Registry, Runner, Workflow, task

with Registry() as registry, Workflow("w"):

    @task(isolation="process")
    def work(context: Context) -> str:
        print("begun", os.getpid(), flush=True)
        while {endless}:
            pass
        return __name__

def main() -> None:
    import logging
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with Runner(":memory:", registry=registry) as runner:
        done = runner.execute("w", timeout="15s")
        (run,) = done.task_executions()
        print(run.status, run.result, run.error_message)

{guard}main()
"""
GUARD = 'if __name__ == "__main__": '


def script(path: Path, *, endless: bool = False, guard: str = GUARD) -> "subprocess.Popen[str]":
    file = path / "script.py"
    file.write_text(SCRIPT.format(endless=endless, guard=guard))
    return subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_function_of_the_main_file_works(tmp_path: Path) -> None:
    with script(tmp_path) as running:
        output, _ = running.communicate()

    assert "SUCCESS __mp_main__ None" in output


def test_a_main_file_without_a_guard_fails_with_the_way_out(tmp_path: Path) -> None:
    with script(tmp_path, guard="") as running:
        output, _ = running.communicate()

    assert "FAILED None UsageError: a module with a task of isolation='process'" in output
    assert 'if __name__ == "__main__":' in output


def test_a_process_ends_when_its_runner_is_killed(tmp_path: Path) -> None:
    with script(tmp_path, endless=True) as running:
        assert running.stdout is not None
        line = next(line for line in running.stdout if line.startswith("begun"))
        worker = int(line.split()[1])
        before = lives(worker)
        running.kill()

    assert before
    assert within(10, lambda: not lives(worker))


# --- what is refused ---


def refusal(
    function: Callable[..., object],
    op_args: Sequence[object] = (),
    op_kwargs: Mapping[str, object] | None = None,
    isolation: object = "process",
) -> str:
    how = cast("Any", isolation)
    with Registry(), pytest.raises(DefinitionError) as caught, Workflow("w"):
        PythonOperator("t", function, op_args=op_args, op_kwargs=op_kwargs, isolation=how)
    return str(caught.value)


async def on_the_loop() -> None: ...


def test_functions_that_no_other_process_finds_are_refused() -> None:
    def local() -> None: ...

    assert "a lambda has no name" in refusal(lambda: None)
    assert "stands inside another function" in refusal(local)
    assert "it is async" in refusal(on_the_loop)
    assert "no plain function" in refusal(partial(killable.place))
    assert "no plain function" in refusal(cast("list[int]", []).append, op_args=[1])
    assert "calls <function" in refusal(local)
    assert "task 't'" in refusal(local)


def test_arguments_that_are_no_json_are_refused() -> None:
    assert "op_args[0] is of type object" in refusal(print, op_args=[object()])
    assert "op_kwargs['sep'] is of type bytes" in refusal(print, op_kwargs={"sep": b"x"})


def test_an_unknown_isolation_is_refused() -> None:
    text = refusal(killable.place, isolation="thraed")

    assert text == "task 't': isolation is 'thread' or 'process', not 'thraed'"
