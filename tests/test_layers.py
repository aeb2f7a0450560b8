"""The lines that hold the house: who may import whom, what is pure, who may sleep or start a task.

Each rule is a function of a path and a source, tried on bad examples and then on the package.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = {
    **dict.fromkeys(("errors", "_root", "_home", "_dual", "_clock", "_failpoint"), 0),
    "_model": 1,
    "_core": 2,
    **dict.fromkeys(("_store", "_operators"), 3),
    "_client": 4,
    "_runner": 5,
    "__init__": 6,
}
FACES = {"cli", "web", "testing", "compat"}

PURE = {"_model", "_core"}
IMPURE_MODULES = {
    *("aiosqlite", "anyio", "asyncio", "asyncpg", "httpx", "sqlite3", "uvloop"),
    *("concurrent", "multiprocessing", "sched", "signal", "subprocess", "threading", "time"),
    *("logging", "os", "pathlib", "random", "secrets", "shutil", "tempfile"),
    *("select", "selectors", "socket", "ssl", "urllib"),
}
IMPURE_NAMES = {
    "asyncflow._clock": "time arrives in the fact",
    "asyncflow._failpoint": "nothing here can fail half-way",
    "datetime.date.today": "time arrives in the fact",
    "datetime.datetime.now": "time arrives in the fact",
    "datetime.datetime.today": "time arrives in the fact",
    "datetime.datetime.utcnow": "time arrives in the fact",
    "uuid.uuid1": "ids arrive in the fact",
    "uuid.uuid4": "ids arrive in the fact",
    "input": "no I/O",
    "open": "no I/O",
    "print": "no I/O",
}
PYDANTIC = "asyncflow/_model/value.py"

SLEEPS = {
    "anyio.fail_after",
    "anyio.move_on_after",
    "anyio.sleep",
    "anyio.sleep_forever",
    "anyio.sleep_until",
    "asyncio.Timeout",
    "asyncio.sleep",
    "asyncio.timeout",
    "asyncio.timeout_at",
    "asyncio.wait_for",
    "time.sleep",
}
SLEEPING_OPTIONS = {
    ("anyio.CancelScope", "deadline"),
    ("asyncio.as_completed", "timeout"),
    ("asyncio.wait", "timeout"),
}
TIMERS = {"call_at", "call_later"}
TIMER_HEAP = "asyncflow/_clock.py"
# (path, name) -> the reason why the timer heap cannot do it; each needs one
ALLOWED_SLEEPS: Mapping[tuple[str, str], str] = {}

BARE_TASKS = {"asyncio.create_task", "asyncio.ensure_future"}
ROOT_TASK = "asyncflow/_home.py"

MAX_FILE, MAX_FUNCTION = 450, 60

Rule = Callable[[str, str], Iterator[str]]
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def parse(source: str) -> ast.Module:
    return ast.parse(source)


def part_of(path: str) -> str:
    """Return the layer's member to which a file below asyncflow/ belongs."""
    return path.split("/")[1].removesuffix(".py")


def modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each imported module with its line; a relative one begins with dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def bindings(tree: ast.AST) -> dict[str, str]:
    """Map the names that imports bind to the full names of what they stand for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def full_name(node: ast.AST, names: Mapping[str, str]) -> str:
    """Return the dotted name of an expression as its definer wrote it, or ''."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := full_name(node.value, names)):
        full = f"{owner}.{node.attr}"
        for inner in ("asyncio.tasks.", "asyncio.timeouts."):
            full = full.replace(inner, "asyncio.")
        return full
    return ""


def references(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each dotted name that is used or imported, with its line."""
    names = bindings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.lineno, full_name(node, names)


def loop_methods(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each attribute that is taken of something named like an event loop, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.func if isinstance(node.value, ast.Call) else node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else full_name(owner, {})
            if name.endswith("loop"):
                yield node.lineno, node.attr


def reaches(here: str, there: str) -> bool:
    if here in FACES:
        return there in {here, "__init__"}
    if there not in LAYERS:
        return False
    return here == there or LAYERS[there] < LAYERS[here] or LAYERS[here] == LAYERS[there] == 0


def imports_point_down(path: str, source: str) -> Iterator[str]:
    here = part_of(path)
    if here not in LAYERS and here not in FACES:
        yield f"{path}:1: {here!r} is in no layer; give it its place in tests/test_layers.py"
        return
    for line, module in modules(parse(source)):
        package, _, rest = module.partition(".")
        if package == "asyncflow" and not reaches(here, rest.partition(".")[0] or "__init__"):
            yield f"{path}:{line}: {here} must not import {module}; imports point down"


def imports_stand_plainly_at_the_top(path: str, source: str) -> Iterator[str]:
    tree = parse(source)
    for line, module in modules(tree):
        if module.startswith("."):
            yield f"{path}:{line}: relative import of {module}; write the whole path"
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        for line, module in modules(function):
            yield f"{path}:{line}: import of {module} in {function.name}; move it to the top"
    for line, name in references(tree):
        if name in {"typing.TYPE_CHECKING", "typing_extensions.TYPE_CHECKING"}:
            yield f"{path}:{line}: TYPE_CHECKING; a cycle is a missing module"


def pure_layers_do_nothing(path: str, source: str) -> Iterator[str]:
    if part_of(path) not in PURE:
        return
    tree = parse(source)
    for line, module in modules(tree):
        top = module.partition(".")[0]
        if top in IMPURE_MODULES or (top == "pydantic" and path != PYDANTIC):
            yield f"{path}:{line}: import of {module}; {part_of(path)} is pure"
        if reason := IMPURE_NAMES.get(".".join(module.split(".")[:2])):
            yield f"{path}:{line}: import of {module}; {reason}"
    for line, name in references(tree):
        if reason := IMPURE_NAMES.get(name):
            yield f"{path}:{line}: {name}; {reason}"


def nothing_sleeps(path: str, source: str) -> Iterator[str]:
    tree = parse(source)
    names = bindings(tree)
    found = [(line, name) for line, name in references(tree) if name in SLEEPS]
    found += [
        (node.lineno, f"{full_name(node.func, names)}({option.arg}=...)")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for option in node.keywords
        if (full_name(node.func, names), option.arg) in SLEEPING_OPTIONS
    ]
    if path != TIMER_HEAP:
        found += [(line, f"loop.{name}") for line, name in loop_methods(tree) if name in TIMERS]
    for line, name in found:
        if (path, name) not in ALLOWED_SLEEPS:
            yield f"{path}:{line}: {name}; a delay is an entry of the timer heap in {TIMER_HEAP}"


def tasks_have_an_owner(path: str, source: str) -> Iterator[str]:
    if path == ROOT_TASK:
        return
    tree = parse(source)
    found = [(line, name) for line, name in references(tree) if name in BARE_TASKS]
    found += [
        (line, f"loop.{name}")
        for line, name in loop_methods(tree)
        if f"asyncio.{name}" in BARE_TASKS
    ]
    for line, name in found:
        yield f"{path}:{line}: {name}; start it in a task group, so that somebody awaits it"


def modules_say_what_they_are_for(path: str, source: str) -> Iterator[str]:
    if source.strip() and ast.get_docstring(parse(source)) is None:
        yield f"{path}:1: no docstring; say what the module is for and what it must never do"


def sizes_are_bounded(path: str, source: str) -> Iterator[str]:
    lines = len(source.splitlines())
    if lines > MAX_FILE:
        yield f"{path}:{lines}: {lines} lines, {MAX_FILE} is the limit; look for the missing noun"
    for node in ast.walk(parse(source)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, not {MAX_FUNCTION}"


def findings(rule: Rule, *folders: str) -> list[str]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert paths, f"no modules below {ROOT}"
    return [
        finding
        for path in paths
        for finding in rule(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]


RULES: tuple[Rule, ...] = (
    imports_point_down,
    imports_stand_plainly_at_the_top,
    pure_layers_do_nothing,
    nothing_sleeps,
    tasks_have_an_owner,
    modules_say_what_they_are_for,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    found = findings(rule, "asyncflow")

    assert not found, "\n" + "\n".join(found)


def test_files_and_functions_stay_within_their_limits() -> None:
    found = findings(sizes_are_bounded, "asyncflow", "tests", "examples", "benchmarks", "tools")

    assert not found, "\n" + "\n".join(found)


def test_every_allowed_sleep_is_still_there() -> None:
    for path, name in ALLOWED_SLEEPS:
        source = (ROOT / path).read_text(encoding="utf-8")

        assert name in {name for _, name in references(parse(source))}, f"{name} left {path}"


CORE, STORE, RUNNER = "asyncflow/_core/a.py", "asyncflow/_store/a.py", "asyncflow/_runner/a.py"
BAD: tuple[tuple[Rule, str, str], ...] = (
    (imports_point_down, CORE, "from asyncflow._store.batch import Batch"),
    (imports_point_down, CORE, "if TYPE_CHECKING:\n    import asyncflow._runner.driver"),
    (imports_point_down, CORE, "def f():\n    from asyncflow._client.client import Client"),
    (imports_point_down, CORE, "import asyncflow"),
    (imports_point_down, CORE, "from asyncflow import errors"),
    (imports_point_down, STORE, "from asyncflow._operators.python import PythonOperator"),
    (imports_point_down, "asyncflow/_operators/a.py", "import asyncflow._store.batch as b"),
    (imports_point_down, "asyncflow/errors.py", "import asyncflow._model.status"),
    (imports_point_down, "asyncflow/cli/main.py", "from asyncflow._store.batch import Batch"),
    (imports_point_down, "asyncflow/cli/main.py", "from asyncflow.web.app import app"),
    (imports_point_down, "asyncflow/__init__.py", "from asyncflow.testing.clock import Clock"),
    (imports_point_down, "asyncflow/utils.py", "x = 1"),
    (imports_stand_plainly_at_the_top, CORE, "from .plan import Plan"),
    (imports_stand_plainly_at_the_top, CORE, "from . import plan"),
    (imports_stand_plainly_at_the_top, CORE, "async def f():\n    import json"),
    (imports_stand_plainly_at_the_top, CORE, "import typing\nif typing.TYPE_CHECKING: pass"),
    (imports_stand_plainly_at_the_top, CORE, "from typing import TYPE_CHECKING"),
    *((pure_layers_do_nothing, CORE, f"import {module}") for module in sorted(IMPURE_MODULES)),
    (pure_layers_do_nothing, CORE, "from os.path import join"),
    (pure_layers_do_nothing, CORE, "import pydantic"),
    (pure_layers_do_nothing, CORE, "import datetime as d\nx = d.datetime.now(d.UTC)"),
    (pure_layers_do_nothing, CORE, "from datetime import datetime\nx = datetime.utcnow()"),
    (pure_layers_do_nothing, CORE, "from uuid import uuid4 as new\nf = field(default_factory=new)"),
    (pure_layers_do_nothing, CORE, "open('flows.db')"),
    (pure_layers_do_nothing, "asyncflow/_model/a.py", "from asyncflow._clock import Clock"),
    (pure_layers_do_nothing, "asyncflow/_model/a.py", "import asyncflow._failpoint as f"),
    *((nothing_sleeps, RUNNER, f"import asyncio, anyio, time\n{name}") for name in sorted(SLEEPS)),
    (nothing_sleeps, RUNNER, "from asyncio import sleep as nap"),
    (nothing_sleeps, RUNNER, "import anyio as a\nawait a.sleep(1)"),
    (nothing_sleeps, RUNNER, "import asyncio\nawait asyncio.tasks.wait_for(f, 1)"),
    (nothing_sleeps, RUNNER, "import asyncio\nawait asyncio.wait({f}, timeout=1)"),
    (nothing_sleeps, RUNNER, "from anyio import CancelScope\nCancelScope(deadline=1)"),
    (nothing_sleeps, RUNNER, "self._loop.call_later(1, f)"),
    (nothing_sleeps, RUNNER, "runner().loop.call_later(1, f)"),
    (nothing_sleeps, RUNNER, "from asyncio import get_running_loop\nget_running_loop().call_at(1)"),
    (tasks_have_an_owner, RUNNER, "import asyncio\nasyncio.create_task(f())"),
    (tasks_have_an_owner, RUNNER, "from asyncio import ensure_future"),
    (tasks_have_an_owner, RUNNER, "import asyncio\nasyncio.get_running_loop().create_task(f())"),
    (modules_say_what_they_are_for, CORE, "x = 1"),
    (sizes_are_bounded, CORE, "x = 1\n" * (MAX_FILE + 1)),
    (sizes_are_bounded, CORE, "def f():\n" + "    x = 1\n" * MAX_FUNCTION),
)
GOOD: tuple[tuple[Rule, str, str], ...] = (
    (imports_point_down, RUNNER, "from asyncflow._store.batch import Batch"),
    (imports_point_down, CORE, "from asyncflow._core.plan import Plan"),
    (imports_point_down, "asyncflow/_dual.py", "from asyncflow.errors import UsageError"),
    (imports_point_down, "asyncflow/cli/main.py", "from asyncflow import Runner"),
    (imports_point_down, "asyncflow/__init__.py", "from asyncflow._runner.runner import Runner"),
    (imports_stand_plainly_at_the_top, CORE, "import json\ndef f():\n    return json"),
    (pure_layers_do_nothing, CORE, "from datetime import UTC, datetime, timedelta"),
    (pure_layers_do_nothing, PYDANTIC, "from pydantic import BaseModel"),
    (pure_layers_do_nothing, STORE, "import asyncio, sqlite3"),
    (nothing_sleeps, RUNNER, "import asyncio\nawait asyncio.wait({f})"),
    (nothing_sleeps, RUNNER, "import anyio\nwith anyio.CancelScope(shield=True): pass"),
    (nothing_sleeps, TIMER_HEAP, "loop.call_at(1, f)"),
    (tasks_have_an_owner, RUNNER, "group.create_task(f())"),
    (tasks_have_an_owner, ROOT_TASK, "import asyncio\nasyncio.create_task(f())"),
    (modules_say_what_they_are_for, CORE, "'''Decides; never waits.'''"),
    (modules_say_what_they_are_for, "asyncflow/__init__.py", ""),
    (sizes_are_bounded, CORE, "def f():\n" + "    x = 1\n" * (MAX_FUNCTION - 1)),
)


@pytest.mark.parametrize(("rule", "path", "source"), BAD)
def test_a_breach_is_found(rule: Rule, path: str, source: str) -> None:
    found = list(rule(path, source))

    assert found
    assert all(finding.startswith(f"{path}:") for finding in found)


@pytest.mark.parametrize(("rule", "path", "source"), GOOD)
def test_what_is_allowed_is_let_through(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, source)) == []
