"""The public face: a sorted list of documented names, and an import that brings nothing unasked."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import asyncflow

ROOT = Path(__file__).resolve().parent.parent
MAX_DISTRIBUTIONS = 12
UNASKED = {
    *("asyncpg", "distributed", "httpx", "jinja2", "opentelemetry", "pydantic_settings", "rich"),
    *("starlette", "typer", "uvicorn"),
    *("_pytest", "hypothesis", "mypy", "packaging", "pytest", "pytest_asyncio", "unittest"),
    *(f"asyncflow.{face}" for face in ("cli", "compat", "testing", "triggers", "web")),
}

SLOW = {"anyio._backends._asyncio", "httpx", "pydantic.root_model"}
"""Each takes 30 to 60 ms to load."""


def declared_names() -> list[str]:
    """Return `__all__` as it is written, so that a name built elsewhere does not count."""
    tree = ast.parse((ROOT / "asyncflow/__init__.py").read_text(encoding="utf-8"))
    lists = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]
    return [str(name) for names in lists for name in names]


def distributions_of(requirement: Requirement) -> set[str]:
    """Return the names of all that is installed for a requirement on this machine."""
    found: set[str] = set()
    waiting = [requirement]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if applies and name not in found:
            found.add(name)
            waiting += [Requirement(text) for text in requires(name) or ()]
    return found


def test_the_public_names_are_all_declared_and_sorted() -> None:
    declared = declared_names()
    public = {
        name
        for name, value in vars(asyncflow).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert declared == sorted(set(declared))
    assert {name for name in declared if not name.startswith("__")} == public


def test_every_public_name_resolves() -> None:
    assert [name for name in declared_names() if not hasattr(asyncflow, name)] == []


def test_every_public_class_and_function_has_a_docstring() -> None:
    bare: list[str] = []
    for name in declared_names():
        value: object = getattr(asyncflow, name)
        doc = getattr(value, "__doc__", None) or ""
        generated = doc.startswith(f"{name}(")  # what a dataclass writes for itself
        if callable(value) and (not doc.strip() or generated):
            bare.append(name)

    assert bare == []


def test_a_fresh_interpreter_imports_it_without_tests_tools_or_extras() -> None:
    code = "import asyncflow, json, sys; print(json.dumps(sorted(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert UNASKED.isdisjoint(json.loads(done.stdout))


def test_a_workflow_of_async_tasks_loads_nothing_slow_that_it_does_not_use() -> None:
    code = (
        "import asyncio, json, sys\n"
        "from asyncflow import Runner, Workflow, task\n"
        "with Workflow('first'):\n"
        "    @task()\n"
        "    async def only() -> None: pass\n"
        "async def main() -> None:\n"
        "    async with Runner(':memory:') as runner:\n"
        "        await runner.execute.aio('first')\n"
        "asyncio.run(main())\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert SLOW.isdisjoint(json.loads(done.stdout))


def test_the_core_needs_at_most_twelve_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]

    needed = set[str]().union(*map(distributions_of, wanted))

    assert len(needed) <= MAX_DISTRIBUTIONS, sorted(needed)
