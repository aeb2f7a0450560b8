"""The lines that hold the house: who may import whom, what is pure, who may sleep or start a task.

The rules are in tests/layers.py; here they are tried on bad examples, and then on the package.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layers import (
    ALLOWED,
    IMPURE_MODULES,
    IMPURE_NAMES,
    MAX_FILE,
    MAX_FUNCTION,
    RULES,
    SLEEPS,
    TIMER_HEAP,
    Rule,
    found,
    imports_point_down,
    imports_stand_plainly_at_the_top,
    modules_say_what_they_are_for,
    nothing_sleeps,
    pure_layers_do_nothing,
    sizes_are_bounded,
    tasks_have_an_owner,
    threads_have_their_own_limit,
)

ROOT = Path(__file__).resolve().parent.parent


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each module below some folders."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert paths, f"no modules below {ROOT}"
    for path in paths:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    breaches = [line for path, text in sources("asyncflow") for line in found(rule, path, text)]

    assert not breaches, "\n" + "\n".join(breaches)


def test_files_and_functions_stay_within_their_limits() -> None:
    breaches = [
        line
        for path, text in sources("asyncflow", "tests", "examples", "benchmarks", "tools")
        for line in found(sizes_are_bounded, path, text)
    ]

    assert not breaches, "\n" + "\n".join(breaches)


@pytest.mark.parametrize(("path", "name"), ALLOWED)
def test_what_is_allowed_is_still_there(path: str, name: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")

    assert name in {breach.name for rule in RULES for breach in rule(path, source)}
    assert ALLOWED[path, name]


def test_bare_tasks_are_made_in_two_places_only() -> None:
    made = Counter(
        path for path, text in sources("asyncflow") for _ in set(tasks_have_an_owner(path, text))
    )

    assert made == {HOME: 1, BODIES: 1}


CORE, STORE, RUNNER = "asyncflow/_core/a.py", "asyncflow/_store/a.py", "asyncflow/_runner/a.py"
MODEL, CLIENT, HOME = "asyncflow/_model/a.py", "asyncflow/_client/a.py", "asyncflow/_home.py"
COMPAT = "asyncflow/compat/ai_flow/ops.py"
BODIES, PYDANTIC = "asyncflow/_client/bodies.py", "asyncflow/_model/value.py"
PORT, THREAD = "asyncflow/_model/port.py", "asyncflow/_operators/threads.py"
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
    (imports_point_down, COMPAT, "from asyncflow._client.client import Client"),
    (imports_point_down, COMPAT, "from asyncflow.errors import UsageError"),
    (imports_point_down, "asyncflow/__init__.py", "from asyncflow.testing.clock import Clock"),
    (imports_point_down, "asyncflow/utils.py", "x = 1"),
    (imports_stand_plainly_at_the_top, CORE, "from .plan import Plan"),
    (imports_stand_plainly_at_the_top, CORE, "from . import plan"),
    (imports_stand_plainly_at_the_top, CORE, "async def f():\n    import json"),
    (imports_stand_plainly_at_the_top, CORE, "import typing\nif typing.TYPE_CHECKING: pass"),
    (imports_stand_plainly_at_the_top, CORE, "from typing import TYPE_CHECKING"),
    (imports_stand_plainly_at_the_top, STORE, "import importlib\nimportlib.import_module('x')"),
    (imports_stand_plainly_at_the_top, STORE, "from importlib import import_module as take"),
    (imports_stand_plainly_at_the_top, STORE, "__import__('asyncflow._runner')"),
    *((pure_layers_do_nothing, CORE, f"import {module}") for module in sorted(IMPURE_MODULES)),
    (pure_layers_do_nothing, CORE, "from os.path import join"),
    (pure_layers_do_nothing, CORE, "import datetime as d\nx = d.datetime.now(d.UTC)"),
    (pure_layers_do_nothing, CORE, "from datetime import datetime\nx = datetime.utcnow()"),
    (pure_layers_do_nothing, CORE, "from uuid import uuid4 as new\nf = field(default_factory=new)"),
    *(
        (pure_layers_do_nothing, CORE, f"import {name.partition('.')[0]}\n{name}")
        for name in sorted(IMPURE_NAMES)
    ),
    (pure_layers_do_nothing, CORE, "open('flows.db')"),
    (pure_layers_do_nothing, CORE, "import builtins\nbuiltins.open('flows.db')"),
    (pure_layers_do_nothing, CORE, "from builtins import open as look"),
    (pure_layers_do_nothing, CORE, "from importlib import import_module"),
    (pure_layers_do_nothing, CORE, "import sys\nsys._getframe(1)"),
    (pure_layers_do_nothing, CORE, "import inspect\ninspect.currentframe()"),
    (pure_layers_do_nothing, MODEL, "from asyncflow._clock import Clock"),
    (pure_layers_do_nothing, MODEL, "import asyncflow._failpoint as f"),
    (pure_layers_do_nothing, MODEL, "from asyncflow._home import Home"),
    (pure_layers_do_nothing, MODEL, "from asyncflow._dual import dual_method"),
    (pure_layers_do_nothing, PORT, "from asyncflow._root import Root"),
    (pure_layers_do_nothing, CORE, "from asyncflow import _home"),
    (pure_layers_do_nothing, CORE, "from asyncflow._root import Root"),
    *((nothing_sleeps, RUNNER, f"import asyncio, anyio, time\n{name}") for name in sorted(SLEEPS)),
    (nothing_sleeps, RUNNER, "from asyncio import sleep as nap"),
    (nothing_sleeps, RUNNER, "import anyio as a\nawait a.sleep(1)"),
    (nothing_sleeps, RUNNER, "import asyncio\nawait asyncio.tasks.wait_for(f, 1)"),
    (nothing_sleeps, RUNNER, "import asyncio\nawait asyncio.wait({f}, timeout=1)"),
    (nothing_sleeps, RUNNER, "from anyio import CancelScope\nCancelScope(deadline=1)"),
    (nothing_sleeps, RUNNER, "self._loop.call_later(1, f)"),
    (nothing_sleeps, RUNNER, "runner().loop.call_later(1, f)"),
    (nothing_sleeps, RUNNER, "from asyncio import get_running_loop\nget_running_loop().call_at(1)"),
    (nothing_sleeps, RUNNER, "loop = asyncio.get_running_loop()\nloop.call_at(1, f)"),
    (nothing_sleeps, RUNNER, "here = asyncio.get_running_loop()\nhere.call_later(1, f)"),
    (nothing_sleeps, RUNNER, "soon = loop.call_later"),
    (nothing_sleeps, RUNNER, "import threading\nthreading.Event().wait(1)"),
    (nothing_sleeps, CLIENT, "import threading\nbell = threading.Event()\nbell.wait(timeout=1)"),
    (nothing_sleeps, CLIENT, "self._bell.wait(1)"),
    (nothing_sleeps, CLIENT, "lock.acquire(timeout=1)"),
    (nothing_sleeps, RUNNER, "from concurrent.futures import wait\nwait(fs, timeout=1)"),
    (nothing_sleeps, RUNNER, "import concurrent.futures as c\nc.wait(fs, timeout=1)"),
    (nothing_sleeps, RUNNER, "import anyio\nanyio.CancelScope().deadline = 1"),
    (nothing_sleeps, RUNNER, "scope.deadline += 1"),
    (threads_have_their_own_limit, RUNNER, "import asyncio\nawait asyncio.to_thread(f)"),
    (threads_have_their_own_limit, RUNNER, "from asyncio import to_thread"),
    (threads_have_their_own_limit, RUNNER, "await loop.run_in_executor(None, f)"),
    (threads_have_their_own_limit, RUNNER, "import anyio.to_thread as t\nt.run_sync(f)"),
    (tasks_have_an_owner, RUNNER, "import asyncio\nasyncio.create_task(f())"),
    (tasks_have_an_owner, RUNNER, "from asyncio.tasks import create_task as go"),
    (tasks_have_an_owner, RUNNER, "loop = asyncio.get_running_loop()\nloop.create_task(f())"),
    (tasks_have_an_owner, RUNNER, "here = asyncio.get_running_loop()\nhere.create_task(f())"),
    (tasks_have_an_owner, RUNNER, "go = self._loop.create_task"),
    (tasks_have_an_owner, RUNNER, "import asyncio\nasyncio.Task(f())"),
    (tasks_have_an_owner, RUNNER, "import asyncio\nasyncio.Task[None](f())"),
    (tasks_have_an_owner, RUNNER, "from asyncio import Task as Job\nJob(f())"),
    (tasks_have_an_owner, RUNNER, "import asyncio\nawait asyncio.gather(f())"),
    (tasks_have_an_owner, HOME, "import asyncio\nasyncio.ensure_future(f())"),
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
    (imports_point_down, COMPAT, "from asyncflow.compat.ai_flow import model"),
    (imports_point_down, "asyncflow/__init__.py", "from asyncflow._runner.runner import Runner"),
    (imports_stand_plainly_at_the_top, CORE, "import json\ndef f():\n    return json"),
    (pure_layers_do_nothing, CORE, "from datetime import UTC, datetime, timedelta"),
    (pure_layers_do_nothing, PYDANTIC, "from pydantic import BaseModel"),
    (pure_layers_do_nothing, STORE, "import asyncio, sqlite3"),
    (nothing_sleeps, RUNNER, "import asyncio\nawait asyncio.wait({f})"),
    (nothing_sleeps, RUNNER, "import anyio\nwith anyio.CancelScope(shield=True): pass"),
    (pure_layers_do_nothing, PORT, "from asyncflow._home import Home"),
    (pure_layers_do_nothing, CORE, "from asyncflow._model.status import TaskStatus"),
    (nothing_sleeps, TIMER_HEAP, "loop.call_at(1, f)"),
    (nothing_sleeps, RUNNER, "self._clock.call_later(PAUSE, f)"),
    (nothing_sleeps, RUNNER, "clock.call_at(moment, f)"),
    (nothing_sleeps, RUNNER, "await self._closing.wait()"),
    (nothing_sleeps, RUNNER, "deadline = clock.deadline(limit)"),
    (tasks_have_an_owner, RUNNER, "group.create_task(f())"),
    (tasks_have_an_owner, RUNNER, "self._group.create_task(f())"),
    (tasks_have_an_owner, RUNNER, "import asyncio\ntask: asyncio.Task[None] | None = None"),
    (tasks_have_an_owner, HOME, "import asyncio\nasyncio.create_task(f())"),
    (tasks_have_an_owner, BODIES, "import asyncio\nasyncio.get_running_loop().create_task(f())"),
    (modules_say_what_they_are_for, CORE, "'''Decides; never waits.'''"),
    (modules_say_what_they_are_for, "asyncflow/__init__.py", ""),
    (sizes_are_bounded, CORE, "def f():\n" + "    x = 1\n" * (MAX_FUNCTION - 1)),
)


@pytest.mark.parametrize(("rule", "path", "source"), BAD)
def test_a_breach_is_found(rule: Rule, path: str, source: str) -> None:
    breaches = found(rule, path, source)

    assert breaches
    assert all(line.startswith(f"{path}:") for line in breaches)


@pytest.mark.parametrize(("rule", "path", "source"), GOOD)
def test_what_is_allowed_is_let_through(rule: Rule, path: str, source: str) -> None:
    assert found(rule, path, source) == []
