"""Values of the engine: frozen for type checkers, and here; cheap to make elsewhere."""

import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from asyncflow._core.state import Head
from asyncflow._frozen import VARIABLE

PROGRAM = """
from dataclasses import replace
from asyncflow._core.state import Head
head = Head(heard=1)
assert head == Head(heard=1) != replace(head, heard=2)
assert hash(head) == hash(Head(heard=1))
assert not hasattr(head, "__dict__")
assert Head.__match_args__[0] == "status"
head.heard = 3
print(head.heard)
"""


def test_an_assignment_to_a_value_of_the_engine_fails_in_every_test() -> None:
    head = Head()
    for field in fields(head):
        with pytest.raises(FrozenInstanceError):
            setattr(head, field.name, None)
    assert replace(head, heard=1) != head


def test_outside_of_tests_a_value_differs_only_in_that_it_could_be_assigned_to() -> None:
    environment = {name: text for name, text in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("3\n", "")
