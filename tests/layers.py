"""The rules that hold the house, each a function of a path and its source; it never runs either.

A rule yields its breaches. One that has to be is in `ALLOWED`, with its reason.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

LAYERS = {
    **dict.fromkeys(
        ("errors", "_root", "_home", "_dual", "_clock", "_timer", "_failpoint", "_frozen"), 0
    ),
    "_model": 1,
    "_core": 2,
    **dict.fromkeys(("_store", "_operators"), 3),
    "_client": 4,
    "_runner": 5,
    "__init__": 6,
}
FACES = {"cli", "web", "testing", "compat", "triggers"}

PURE = {"_model", "_core"}
IMPURE_MODULES = {
    *("aiosqlite", "anyio", "asyncio", "asyncpg", "httpx", "sqlite3", "uvloop"),
    *("concurrent", "multiprocessing", "sched", "signal", "subprocess", "threading", "time"),
    *("fileinput", "glob", "io", "linecache", "logging", "mmap", "os", "pathlib", "shutil"),
    *("importlib", "pkgutil", "random", "runpy", "secrets", "sys", "tempfile"),
    *("select", "selectors", "socket", "ssl", "urllib"),
    "pydantic",
}
NO_LOOP = "it runs on an event loop"
IMPURE_NAMES = {
    "asyncflow._clock": "time arrives in the fact",
    "asyncflow._dual": NO_LOOP,
    "asyncflow._failpoint": "nothing here can fail half-way",
    "asyncflow._home": NO_LOOP,
    "asyncflow._root": NO_LOOP,
    "datetime.date.today": "time arrives in the fact",
    "datetime.datetime.now": "time arrives in the fact",
    "datetime.datetime.today": "time arrives in the fact",
    "datetime.datetime.utcnow": "time arrives in the fact",
    "uuid.uuid1": "ids arrive in the fact",
    "uuid.uuid4": "ids arrive in the fact",
    **dict.fromkeys(("inspect.currentframe", "inspect.stack"), "the caller is no argument"),
    **dict.fromkeys(("breakpoint", "input", "open", "print"), "no I/O"),
    **dict.fromkeys(("eval", "exec"), "code is no value"),
}

HIDDEN_IMPORTS = {"__import__", "importlib.__import__", "importlib.import_module"}
UNGUARDED = "asyncflow/_frozen.py"  # one thing to type checkers, another at run time
TYPE_CHECKING = {"typing.TYPE_CHECKING", "typing_extensions.TYPE_CHECKING"}

TIMER_HEAP = "asyncflow/_clock.py"
TIMERS = {"call_at", "call_later"}
CLOCKS = {"clock", "_clock"}
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
    "concurrent.futures.as_completed",
    "concurrent.futures.wait",
    "select.select",
    "threading.Timer",
    "time.sleep",
}
SLEEPING_OPTIONS = {
    ("anyio.CancelScope", "deadline"),
    ("asyncio.as_completed", "timeout"),
    ("asyncio.wait", "timeout"),
}

THREADS = {
    "anyio.from_thread.start_blocking_portal",
    "anyio.to_thread.run_sync",
    "asyncio.to_thread",
    "concurrent.futures.ThreadPoolExecutor",
}
TASKS = {
    "asyncio.Task": "asyncio.Task()",
    "asyncio.create_task": "create_task",
    "asyncio.ensure_future": "ensure_future",
    "asyncio.gather": "gather",
    "asyncio.run_coroutine_threadsafe": "run_coroutine_threadsafe",
    "asyncio.shield": "shield",
}

# (path, what a breach names) -> the reason why it has to be
ALLOWED: Mapping[tuple[str, str], str] = {
    ("asyncflow/_home.py", "create_task"): "the root task, whose end every closing awaits",
    ("asyncflow/_client/bodies.py", "create_task"): "a body may never end: docs/decisions/0007",
    ("asyncflow/_model/event.py", "asyncflow._dual"): "handles ask in both forms",
    ("asyncflow/_model/event.py", "asyncflow._home"): "handles say where their coroutines run",
    ("asyncflow/_model/execution.py", "asyncflow._dual"): "handles ask in both forms",
    ("asyncflow/_model/execution.py", "asyncflow._home"): "handles say where their coroutines run",
    ("asyncflow/_model/payload.py", "pydantic"): "events may be signalled with users' models",
    ("asyncflow/_model/port.py", "asyncflow._home"): "handles say where their coroutines run",
    ("asyncflow/_model/value.py", "pydantic"): "users' models are stored as JSON",
    ("asyncflow/_model/webhook.py", "urllib"): "names become parts of an address; it opens none",
    ("asyncflow/_model/workflow.py", "inspect.currentframe"): "a warning names both declarations",
    ("asyncflow/_runner/watchdog.py", "acquire(timeout=...)"): "it goes on while the loop does not",
    ("asyncflow/_model/statistics.py", "asyncflow._dual"): "its `to_dict` has both forms",
    ("asyncflow/_runner/webhooks.py", "importlib.import_module"): "httpx is an extra, and slow",
    ("asyncflow/cli/main.py", "importlib.import_module"): "the command line names the module",
    ("asyncflow/compat/cloaca/handle.py", "wait(...)"): "of an execution: it is on the timer heap",
    ("asyncflow/_store/sqlite/file.py", "wait(...)"): "a real time, on the thread of the database",
    ("asyncflow/_runner/lease.py", "wait(...)"): "a real time, on a thread without a loop",
    ("asyncflow/_root.py", "wait(...)"): "a thread outside any loop waits, which no clock wakes",
    ("asyncflow/_root.py", "acquire(timeout=...)"): "the same: signal handlers must get a turn",
}

MAX_FILE, MAX_FUNCTION = 450, 60

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Breach(NamedTuple):
    """Where a rule is broken, what by, and what to do instead."""

    line: int
    name: str
    text: str


Rule = Callable[[str, str], Iterator[Breach]]


def found(rule: Rule, path: str, source: str) -> list[str]:
    """Return the breaches of a rule that are not allowed, as lines to print."""
    return [
        f"{path}:{line}: {name}: {text}"
        for line, name, text in sorted(set(rule(path, source)))
        if (path, name) not in ALLOWED
    ]


@cache
def parse(source: str) -> ast.Module:
    """Return the tree of a source."""
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


def public(name: str) -> str:
    """Return the name that a thing has for its users."""
    for inner in ("asyncio.tasks.", "asyncio.timeouts.", "asyncio.threads."):
        name = name.replace(inner, "asyncio.")
    return name.replace("concurrent.futures._base.", "concurrent.futures.").removeprefix(
        "builtins."
    )


def full_name(node: ast.AST, names: Mapping[str, str]) -> str:
    """Return the dotted name of an expression as its definer wrote it, or ''."""
    if isinstance(node, ast.Name):
        return public(names.get(node.id, node.id))
    if isinstance(node, ast.Attribute) and (owner := full_name(node.value, names)):
        return public(f"{owner}.{node.attr}")
    return ""


def references(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each dotted name that is used or imported, with its line."""
    names = bindings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, public(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Name | ast.Attribute):
            yield node.lineno, full_name(node, names)


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call with the full name of what is called; of a generic, without its brackets."""
    names = bindings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            yield node, full_name(called, names)


def attributes(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield each attribute with its line and the last name of what it is taken of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.func if isinstance(node.value, ast.Call) else node.value
            last = owner.attr if isinstance(owner, ast.Attribute) else full_name(owner, {})
            yield node.lineno, node.attr, last


def reaches(here: str, there: str) -> bool:
    """Say whether one member of a layer may import another."""
    if here == "__main__":
        return there == "cli"
    if here in FACES:
        return there in {here, "__init__"}
    if there not in LAYERS:
        return False
    return here == there or LAYERS[there] < LAYERS[here] or LAYERS[here] == LAYERS[there] == 0


def imports_point_down(path: str, source: str) -> Iterator[Breach]:
    here = part_of(path)
    if here not in LAYERS and here not in FACES | {"__main__"}:
        yield Breach(1, here, "it is in no layer; give it its place in tests/layers.py")
        return
    for line, module in modules(parse(source)):
        package, _, rest = module.partition(".")
        if package == "asyncflow" and not reaches(here, rest.partition(".")[0] or "__init__"):
            yield Breach(line, module, f"{here} must not import it; imports point down")


def imports_stand_plainly_at_the_top(path: str, source: str) -> Iterator[Breach]:
    tree = parse(source)
    for line, module in modules(tree):
        if module.startswith("."):
            yield Breach(line, module, "a relative import; write the whole path")
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        for line, module in modules(function):
            yield Breach(line, module, f"imported in {function.name}; move it to the top")
    for line, name in references(tree):
        if name in TYPE_CHECKING and path != UNGUARDED:
            yield Breach(line, name, "a cycle is a missing module")
        if name in HIDDEN_IMPORTS:
            yield Breach(line, name, "an import that no rule sees; write it at the top")


def pure_layers_do_nothing(path: str, source: str) -> Iterator[Breach]:
    part, tree = part_of(path), parse(source)
    if part not in PURE:
        return
    for line, module in modules(tree):
        if (top := module.partition(".")[0]) in IMPURE_MODULES:
            yield Breach(line, top, f"{part} is pure")
    for line, name in (*modules(tree), *references(tree)):
        known = name if name in IMPURE_NAMES else ".".join(name.split(".")[:2])
        if reason := IMPURE_NAMES.get(known):
            yield Breach(line, known, f"{part} is pure: {reason}")


def nothing_sleeps(path: str, source: str) -> Iterator[Breach]:
    tree = parse(source)
    found = [(line, name) for line, name in references(tree) if name in SLEEPS]
    found += [
        (node.lineno, f"{name}({option.arg}=...)")
        for node, name in calls(tree)
        for option in node.keywords
        if (name, option.arg) in SLEEPING_OPTIONS
    ]
    found += blocking_waits(tree)
    if path != TIMER_HEAP:
        found += [
            (line, name)
            for line, name, owner in attributes(tree)
            if name in TIMERS and owner not in CLOCKS
        ]
        found += [
            (node.lineno, "deadline =")
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr == "deadline"
            and isinstance(node.ctx, ast.Store)
        ]
    for line, name in found:
        yield Breach(line, name, f"a delay is an entry of the timer heap in {TIMER_HEAP}")


def blocking_waits(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each wait with a limit: of a `threading.Event`, a condition, a process, a lock."""
    for node, name in calls(tree):
        if not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == "wait" and name != "asyncio.wait" and (node.args or node.keywords):
            yield node.lineno, "wait(...)"
        if node.func.attr == "acquire" and any(each.arg == "timeout" for each in node.keywords):
            yield node.lineno, "acquire(timeout=...)"


def threads_have_their_own_limit(_path: str, source: str) -> Iterator[Breach]:
    tree = parse(source)
    found = [(line, name) for line, name in references(tree) if name in THREADS]
    found += [(line, name) for line, name, _ in attributes(tree) if name == "run_in_executor"]
    for line, name in found:
        yield Breach(line, name, "blocking code runs by asyncflow/_operators/threads.py")


def tasks_have_an_owner(_path: str, source: str) -> Iterator[Breach]:
    tree = parse(source)
    made = {node.lineno for node, name in calls(tree) if name == "asyncio.Task"}
    found = [(line, TASKS["asyncio.Task"]) for line in made]
    found += [
        (line, TASKS[name])
        for line, name in references(tree)
        if name in TASKS and name != "asyncio.Task"
    ]
    found += [
        (line, name)
        for line, name, owner in attributes(tree)
        if name == "create_task" and owner != "group" and not owner.endswith("_group")
    ]
    for line, name in found:
        yield Breach(line, name, "start it in a task group, so that somebody awaits it")


def modules_say_what_they_are_for(_path: str, source: str) -> Iterator[Breach]:
    if source.strip() and ast.get_docstring(parse(source)) is None:
        yield Breach(1, "no docstring", "say what the module is for and what it must never do")


def sizes_are_bounded(_path: str, source: str) -> Iterator[Breach]:
    lines = len(source.splitlines())
    if lines > MAX_FILE:
        yield Breach(lines, f"{lines} lines", f"{MAX_FILE} is the limit; which noun is missing?")
    for node in ast.walk(parse(source)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                yield Breach(node.lineno, node.name, f"{length} lines, {MAX_FUNCTION} is the limit")


RULES: tuple[Rule, ...] = (
    imports_point_down,
    imports_stand_plainly_at_the_top,
    pure_layers_do_nothing,
    nothing_sleeps,
    threads_have_their_own_limit,
    tasks_have_an_owner,
    modules_say_what_they_are_for,
)
