"""What a file trigger finds in a folder: odd names, links, pipes, and what comes and goes."""

import os
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from asyncflow import Registry
from asyncflow.triggers import FileTrigger
from asyncflow.triggers.file import _context
from asyncflow.triggers.folder import Found
from tests.faces.offers import Store


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


def test_names_may_have_spaces_newlines_and_any_bytes(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    odd = [b"a b", b"two\nlines", b"caf\xe9", b"50%", b"\xff\xfe", b"\x1b[31m"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()

    store.poll(trigger)

    assert {os.fsencode(name) for name in store.poll(trigger)} == set(odd)
    paths = [context["path"] for context in store.contexts.values() if "path" in context]
    assert len(paths) == len(odd) - 2
    assert store.poll(trigger) == []


def test_a_folder_may_have_any_bytes_in_its_name_too(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / "a").touch()

    trigger, store = FileTrigger("flow", folder), Store()
    store.poll(trigger)

    assert store.poll(trigger) == ["a"]
    assert trigger.trigger.name == f"flow: {tmp_path}/caf%E9/*"


def test_a_very_long_path_has_a_short_key(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path, "**"), Store()
    folder = tmp_path.joinpath(*["é" * 100] * 4)
    folder.mkdir(parents=True)
    (folder / "a").touch()
    (folder / "b").touch()

    store.poll(trigger)
    store.poll(trigger)

    assert len(set(store.started)) == 2
    assert all(len(key) < 200 for key in store.started)


def test_links_that_leave_the_folder_are_refused_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "inbox"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "inbox-2").mkdir()
    for path in (tmp_path / "secret", tmp_path / "inbox-2/x", folder / "below/in.txt"):
        path.touch()
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "near").symlink_to(tmp_path / "inbox-2/x")
    (folder / "up").symlink_to("../secret")
    (folder / "away").symlink_to(tmp_path)
    (folder / "in").symlink_to("below/in.txt")
    (folder / "round").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "broken").symlink_to("nothing")
    trigger, store = FileTrigger("flow", folder, "**"), Store()

    found = [store.poll(trigger) for _ in range(3)]

    assert [sorted(each) for each in found] == [[], ["in", "in.txt"], []]
    refused = [record.getMessage() for record in caplog.records]
    assert sorted(text.split("'")[1] for text in refused) == ["away", "near", "out", "up"]
    assert all("leads out of the folder" in text for text in refused)


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real/b").symlink_to("a")
    trigger, store = FileTrigger("flow", tmp_path / "link"), Store()

    store.poll(trigger)

    assert sorted(store.poll(trigger)) == ["a", "b"]


def test_pipes_sockets_and_folders_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        (tmp_path / "to-pipe").symlink_to("pipe")
        trigger, store = FileTrigger("flow", tmp_path, "**"), Store()

        assert [store.poll(trigger) for _ in range(3)] == [[], [], []]


def test_a_file_that_vanishes_is_not_offered(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path, "**"), Store()
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").touch()
    store.poll(trigger)

    (tmp_path / "a/b").unlink()
    (tmp_path / "a").rmdir()

    assert store.poll(trigger) == []


@pytest.mark.parametrize("seconds", [-1e9, 0, 1e10])
def test_a_clock_that_is_wrong_changes_nothing(tmp_path: Path, seconds: float) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a").touch()
    os.utime(tmp_path / "a", (seconds, seconds))

    found = [store.poll(trigger) for _ in range(3)]

    assert found == [[], ["a"], []]
    (context,) = store.contexts.values()
    assert isinstance(context["modified"], str)


def test_a_time_that_no_date_can_be_is_none() -> None:
    file = Found("a", 1 << 70, 0, 0)

    assert _context("/inbox", file) == {
        "uri": "file:///inbox/a",
        "path": "/inbox/a",
        "size": 0,
        "modified": None,
    }
