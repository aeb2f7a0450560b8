"""Answer what workflows wait for: a second program, which has only their database.

    python examples/approve.py [DATABASE]                     list what waits
    python examples/approve.py DATABASE NAME ANSWER [--by WHO] [--comment TEXT] [--run EXECUTION]

ANSWER is `yes` or `no`, a text, a number, or a JSON object, as the event asks for. It needs neither
a runner nor an event loop: the answer is on disk when it returns, and is heard as soon as somebody
runs the workflow.
"""

import argparse
import json
import sys
from pathlib import Path

from asyncflow import AsyncflowError, Client, Event, EventPayload

DATABASE = Path("asyncflow-approval.db")
WORDS = {"yes": True, "true": True, "no": False, "false": False}


def read(text: str, event: Event) -> EventPayload:
    """Return the payload that a text of the command line means."""
    if event.expected_type is str:
        return text
    if event.expected_type is bool and text.lower() in WORDS:
        return WORDS[text.lower()]
    payload: EventPayload = json.loads(text)
    return payload


def show(event: Event) -> None:
    """Print an event that waits."""
    until = f"until {event.deadline:%Y-%m-%d %H:%M} UTC" if event.deadline else "for ever"
    kind = event.to_dict()["expected_type"]
    print(f"{event.run_name}  {event.name}: {event.prompt}  ({kind}, waits {until})")


def answer(client: Client, given: argparse.Namespace) -> None:
    """Signal the event of that name: the only one that waits, or that of an execution."""
    found = [
        event
        for event in client.waiting_events(given.name)
        if given.run is None or event.run_name == given.run
    ]
    if len(found) != 1:
        names = ", ".join(event.run_name for event in found) or "nobody"
        sys.exit(f"approve: one must wait for {given.name!r}, not: {names}; choose by --run")
    (event,) = found
    event.signal(read(given.answer, event), by=given.by, comment=given.comment)
    print(f"{event.run_name} has its answer to {event.name!r}")


def main(given: argparse.Namespace) -> None:
    """List or answer, in the blocking form of each call."""
    with Client(given.database) as client:
        if given.answer is not None:
            answer(client, given)
            return
        for event in client.waiting_events(given.name):
            show(event)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="List and answer what workflows wait for.")
    parser.add_argument("database", nargs="?", type=Path, default=DATABASE)
    parser.add_argument("name", nargs="?", help="of the event")
    parser.add_argument("answer", nargs="?", help="yes, no, a text, a number, or a JSON object")
    parser.add_argument("--by", metavar="WHO", help="who answers")
    parser.add_argument("--comment", metavar="TEXT", help="why")
    parser.add_argument("--run", metavar="EXECUTION", help="whose event it is, if several wait")
    arguments = parser.parse_args()
    if not arguments.database.is_file():
        parser.exit(2, f"no database: {str(arguments.database)!r}\n")
    try:
        main(arguments)
    except (AsyncflowError, json.JSONDecodeError) as problem:
        sys.exit(f"approve: {problem}")
