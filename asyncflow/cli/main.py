"""``python -m asyncflow run MODULE_OR_FILE``: a runner that has the process, until a signal.

It declares nothing itself, and says each error in one line.
"""

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from asyncflow import AsyncflowError, Registry, Runner, parse_duration


class LoadError(Exception):
    """A module or file cannot be imported; the text says why."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what a command line says; ends by `SystemExit` where it cannot."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        with Registry() as registry:
            load(options.target)
        runner = Runner(
            options.url, registry=registry, grace=options.grace, threads=options.threads
        )
        _check(registry, options.target)
        runner.serve()
    except (AsyncflowError, LoadError, OSError) as error:
        lines = str(error).split("\n")
        parser.exit(1, f"asyncflow run: {' '.join(lines)}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asyncflow", description="Durable workflows.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="work on the workflows of a module",
        description="Work on the workflows, triggers and rules that a module declares, until "
        "SIGTERM or Ctrl-C; then tasks that run may end within the grace.",
    )
    run.add_argument("target", metavar="MODULE_OR_FILE", help="as in my.flows, or flows.py")
    run.add_argument("--url", default="sqlite:///asyncflow.db", help="the store: %(default)s")
    run.add_argument(
        "--grace", type=_duration, default="5s", help="how long tasks may go on: %(default)s"
    )
    run.add_argument("--threads", type=int, default=40, help="for blocking tasks: %(default)s")
    return parser


def _duration(text: str) -> timedelta:
    number = text.replace(".", "", 1).isdecimal()
    try:
        return parse_duration(float(text) if number else text, "grace", zero=True)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def load(target: str) -> None:
    """Import a module by its name, or a file as the module that it is in its own folder.

    Raises:
        LoadError: it cannot be imported.
    """
    path = Path(target)
    is_file = target.endswith(".py") or path.is_file()
    if is_file and not path.is_file():
        text = f"there is no file {target}"
        raise LoadError(text)
    # As `python FILE` and `python -m MODULE` do, so that a child process finds the module, too.
    sys.path.insert(0, str(path.resolve().parent) if is_file else os.getcwd())
    name = path.stem if is_file else target
    try:
        module = importlib.import_module(name)
    except Exception as error:  # user code: the module may raise whatever it likes
        raise LoadError(_said(target, error)) from error
    found = getattr(module, "__file__", None)
    if is_file and (found is None or Path(found).resolve() != path.resolve()):
        text = f"{target} has the name of another module, {found or name}: rename the file"
        raise LoadError(text)


def _check(registry: Registry, target: str) -> None:
    """Refuse to work on nothing: alone on a store it would park all that is there."""
    if not registry.workflows():
        text = f"{target} declares no workflow: name the module or the file that does"
        raise LoadError(text)


def _said(target: str, error: Exception) -> str:
    """Say in one line what an import raised, and where."""
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if each.filename != __file__ and not each.filename.startswith("<frozen ")
    ]
    last = [each for each in frames if "importlib" not in each.filename][-1:]
    place = "".join(f" ({each.filename}:{each.lineno})" for each in last)
    return f"{target} cannot be imported: {type(error).__name__}: {error}{place}"
