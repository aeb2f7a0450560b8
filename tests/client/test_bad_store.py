"""What cannot be a database is refused when it is opened, by both classes and in both forms."""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest

from asyncflow import (
    Client,
    Registry,
    Runner,
    StoreError,
    StoreLocationError,
    StoreReadOnlyError,
    StoreVersionError,
)
from asyncflow._store.sqlite.migrate import migrations
from tests.client.forms import Form, dump_file
from tests.client.samples import declare

NOBODY = 65534


@pytest.fixture(params=[Client, Runner])
def kind(request: pytest.FixtureRequest) -> type[Client]:
    return cast("type[Client]", request.param)


def make(path: Path) -> None:
    """Make a database that has one execution."""
    registry = Registry()
    declare(registry)
    with Client(path, registry=registry) as client:
        client.start("waits", name="kept")


def directory(folder: Path) -> Path:
    (folder / "data").mkdir()
    return folder / "data"


def text_file(folder: Path) -> Path:
    (folder / "notes.txt").write_text("not a database\n" * 100)
    return folder / "notes.txt"


def another_program(folder: Path) -> Path:
    with closing(sqlite3.connect(folder / "other.db")) as db:
        db.execute("CREATE TABLE song (title)")
    return folder / "other.db"


def newer(folder: Path) -> Path:
    make(folder / "flows.db")
    with closing(sqlite3.connect(folder / "flows.db")) as db:
        db.execute("PRAGMA user_version = 9999")
    return folder / "flows.db"


def no_parent(folder: Path) -> Path:
    return folder / "missing" / "flows.db"


def contents(folder: Path) -> dict[str, bytes | None]:
    return {p.name: p.read_bytes() if p.is_file() else None for p in folder.iterdir()}


@pytest.mark.parametrize(
    "case",
    [
        (directory, StoreLocationError, "data is a directory"),
        (text_file, StoreLocationError, "notes.txt is not an SQLite database"),
        (another_program, StoreLocationError, "other.db is the database of another program"),
        (newer, StoreVersionError, "has schema version 9999, .* install the asyncflow that wrote"),
        (no_parent, StoreLocationError, "no directory .*missing .*create it"),
    ],
)
def test_what_is_no_database_of_ours_is_refused_and_left_as_it_was(
    form: Form,
    kind: type[Client],
    tmp_path: Path,
    case: tuple[Callable[[Path], Path], type[StoreError], str],
) -> None:
    arrange, error, text = case
    path = arrange(tmp_path)
    before = contents(tmp_path)

    with pytest.raises(error, match=text) as caught, form.open(kind(path)):
        """Never entered."""

    assert caught.type is error
    assert contents(tmp_path) == before


def test_plain_use_tells_the_same(kind: type[Client], tmp_path: Path) -> None:
    client = kind(tmp_path)

    with pytest.raises(StoreLocationError, match="is a directory"):
        client.execution("any")
    client.shutdown()


@contextmanager
def nobody() -> Generator[Path]:
    """Give a folder that is another user's; be that other user as long as files are opened."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "flows.db")
        (folder / "flows.db").chmod(0o444)
        folder.chmod(0o555)
        migrations()  # read now: where the package lies, nobody may have no access
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_a_file_that_cannot_be_written_is_refused_and_left_as_it_was(
    form: Form, kind: type[Client]
) -> None:
    with nobody() as folder:
        before = contents(folder)

        refused = pytest.raises(StoreReadOnlyError, match=r"flows\.db.*make")
        with refused, form.open(kind(folder / "flows.db")):
            """Never entered."""

        assert contents(folder) == before


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "address of the store is empty: give sqlite:///relative.db"),
        ("postgresql://here/flows", "postgresql:// is not supported"),
        ("sqlite:flows.db", "is half a URL"),
        ("sqlite://flows.db", "names no file, two slashes name a host"),
        ("sqlite:///flows.db?mode=ro", r"has parameters after '\?'"),
    ],
)
def test_a_bad_address_is_refused_at_once(kind: type[Client], url: str, text: str) -> None:
    with pytest.raises(StoreLocationError, match=text):
        kind(url)


def test_a_good_database_keeps_what_it_has_when_it_is_opened(
    form: Form, kind: type[Client], tmp_path: Path
) -> None:
    make(tmp_path / "flows.db")
    before = cast("dict[str, list[object]]", dump_file(tmp_path / "flows.db"))

    with form.open(Client(tmp_path / "flows.db")) as client:
        listed = [each.name for each in form.items(client.executions)]

    assert listed == ["kept"]
    assert dump_file(tmp_path / "flows.db") == before
