"""A file trigger offers each version of each file, once it has settled, until it is started."""

import os
import time
import tracemalloc
from collections.abc import Generator
from pathlib import Path

import pytest

from asyncflow import DefinitionError, Registry, Workflow, task
from asyncflow.triggers import FileTrigger
from asyncflow.triggers.file import MOST
from tests.faces.offers import Store, names

MANY = 10_000


@pytest.fixture(autouse=True)
def registry() -> Generator[Registry]:
    with Registry() as registry:
        yield registry


def test_a_file_is_offered_when_two_polls_found_it_the_same(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a.txt").write_text("one")

    assert store.poll(trigger) == []
    assert store.poll(trigger) == ["a.txt"]
    assert store.poll(trigger) == []


def test_the_context_says_where_it_is_how_big_and_of_when(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    path = tmp_path / "a b.txt"
    path.write_text("one")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))

    store.poll(trigger)
    store.poll(trigger)

    assert store.contexts == {
        "a%20b.txt 1700000000123456789 3": {
            "uri": path.as_uri(),
            "path": str(path),
            "size": 3,
            "modified": "2023-11-14T22:13:20.123456+00:00",
        }
    }


def test_a_file_that_is_being_written_is_left_for_a_later_poll(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    polls: list[list[str]] = []
    with (tmp_path / "growing").open("wb", buffering=0) as file:
        for _ in range(5):
            file.write(b"more")
            polls.append(store.poll(trigger))

    assert polls == [[]] * 5
    assert store.poll(trigger) == ["growing"]
    assert [context["size"] for context in store.contexts.values()] == [20]


@pytest.mark.parametrize(("settle", "polls"), [("5s", 3), ("2s", 1), (0, 1), ("4s", 2), (None, 1)])
def test_settle_is_a_whole_number_of_intervals(
    tmp_path: Path, settle: str | int | None, polls: int
) -> None:
    trigger, store = FileTrigger("flow", tmp_path, poll_interval="2s", settle=settle), Store()
    (tmp_path / "a").touch()

    found = [store.poll(trigger) for _ in range(polls + 1)]

    assert found == [[]] * polls + [["a"]]


def test_a_changed_file_is_offered_again_and_a_touched_one_too(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    path = tmp_path / "a"
    for content, modified in (("x", 1), ("yy", 1), ("yy", 2)):
        path.write_text(content)
        os.utime(path, ns=(modified, modified))
        for _ in range(4):
            store.poll(trigger)

    assert store.started == ["a 1 1", "a 1 2", "a 2 2"]
    assert store.offers == 3


def test_a_renamed_file_is_a_new_one_and_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a").touch()
    for _ in range(3):
        store.poll(trigger)

    (tmp_path / "a").rename(tmp_path / "b")
    found = [store.poll(trigger) for _ in range(3)]

    assert found == [[], ["b"], []]
    assert set(trigger._sightings) == {"b"}


def test_what_was_not_committed_is_offered_until_it_is(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a").touch()
    trigger.poll(None)

    lost = [names(trigger.poll(store.cursor)) for _ in range(3)]

    assert lost == [["a"]] * 3
    assert [store.poll(trigger), store.poll(trigger)] == [["a"], []]


def test_a_later_offer_that_is_lost_does_not_bring_back_an_earlier_one(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a").touch()
    store.poll(trigger)
    store.poll(trigger)
    (tmp_path / "b").touch()
    store.poll(trigger)

    lost = names(trigger.poll(store.cursor))

    assert lost == ["b"]
    assert [store.poll(trigger), store.poll(trigger)] == [["b"], []]


def test_after_a_restart_all_is_offered_once_more_and_nothing_starts_twice(
    tmp_path: Path,
) -> None:
    store = Store()
    (tmp_path / "a").touch()
    for _ in range(3):
        first = FileTrigger("flow", tmp_path, name="files")
        found = [store.poll(first) for _ in range(4)]
        assert found == [[], ["a"], [], []]

    assert len(store.started) == 1


def test_another_store_gets_every_file_too(tmp_path: Path) -> None:
    trigger, first, second = FileTrigger("flow", tmp_path), Store(), Store()
    (tmp_path / "a").touch()
    for _ in range(3):
        first.poll(trigger)

    for _ in range(3):
        second.poll(trigger)

    assert second.started == first.started != []


def test_two_stores_that_take_turns_get_every_file(tmp_path: Path) -> None:
    trigger, stores = FileTrigger("flow", tmp_path), (Store(), Store())
    for name in "abc":
        (tmp_path / name).touch()
        for _ in range(4):
            for store in stores:
                store.poll(trigger)

    assert [len(store.started) for store in stores] == [3, 3]


def test_a_store_put_back_to_an_earlier_state_gets_what_it_lost(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a").touch()
    for _ in range(3):
        store.poll(trigger)
    saved, count = store.cursor, len(store.started)
    (tmp_path / "b").touch()
    for _ in range(3):
        store.poll(trigger)

    store.cursor = saved
    del store.contexts[store.started.pop()]
    store.poll(trigger)

    assert len(store.started) == count + 1


@pytest.mark.parametrize("cursor", [None, 5, "x", [], {}, {"offer": 1}, {"offer": "x"}])
def test_a_cursor_of_somebody_else_means_that_nothing_is_known(
    tmp_path: Path, cursor: object
) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    (tmp_path / "a").touch()
    for _ in range(3):
        store.poll(trigger)

    store.cursor = cursor

    assert [store.poll(trigger), store.poll(trigger)] == [["a"], []]


def test_many_files_come_oldest_first_some_hundreds_at_a_time(tmp_path: Path) -> None:
    trigger, store = FileTrigger("flow", tmp_path), Store()
    for number in range(MOST + 20):
        (tmp_path / f"{number:05}").touch()

    found = [store.poll(trigger) for _ in range(4)]

    assert [len(each) for each in found] == [0, MOST, 20, 0]
    assert found[1] == sorted(found[1])
    newest = max(path.stat().st_ctime_ns for path in tmp_path.iterdir())
    assert store.cursor == {"offer": trigger._stored, "newest": newest}


def test_after_a_restart_new_files_do_not_wait_for_the_old_ones(tmp_path: Path) -> None:
    store = Store()
    for number in range(MOST + 20):
        (tmp_path / str(number)).touch()
    first = FileTrigger("flow", tmp_path, name="files")
    for _ in range(4):
        store.poll(first)
    time.sleep(0.01)  # the clock of a file system may have steps as long as this
    (tmp_path / "new").touch()

    second = FileTrigger("flow", tmp_path, name="files")
    found = [store.poll(second) for _ in range(4)]

    assert found[1][0] == "new"
    assert [len(each) for each in found] == [0, MOST, 21, 0]


def test_a_missing_folder_is_an_error_and_nothing_is_lost_when_it_comes_back(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "inbox"
    trigger, store = FileTrigger("flow", folder), Store()

    with pytest.raises(FileNotFoundError, match="inbox"):
        store.poll(trigger)
    folder.mkdir()
    (folder / "a").touch()
    store.poll(trigger)
    assert store.poll(trigger) == ["a"]
    folder.rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        store.poll(trigger)
    (tmp_path / "gone").rename(folder)

    assert [store.poll(trigger), store.poll(trigger)] == [[], []]


def test_a_look_that_hangs_is_not_joined_by_another(tmp_path: Path) -> None:
    trigger = FileTrigger("flow", tmp_path)

    with trigger._lock, pytest.raises(RuntimeError, match="not ended"):
        trigger.poll()

    assert trigger.poll().is_skip_result()


def test_it_declares_a_trigger_where_it_stands(registry: Registry, tmp_path: Path) -> None:
    with Workflow("intake", "files") as intake:

        @task()
        def look() -> None: ...

    made = FileTrigger(intake, tmp_path, "*.csv", poll_interval="1s")
    other = FileTrigger("flow", tmp_path, name="plain")

    assert registry.triggers() == (made.trigger, other.trigger)
    assert (made.trigger.workflow, made.trigger.namespace) == ("intake", "files")
    assert made.trigger.name == f"intake: {tmp_path}/*.csv"
    assert (made.trigger.dedup, made.trigger.takes_cursor) == ("forever", True)
    assert made.trigger.place.module == __name__
    assert other.trigger.name == "plain"


def test_a_folder_is_taken_from_where_the_program_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox/a").touch()
    monkeypatch.chdir(tmp_path)
    trigger, store = FileTrigger("flow", "inbox"), Store()
    monkeypatch.chdir("/")

    store.poll(trigger)

    assert store.poll(trigger) == ["a"]


def test_nonsense_is_refused_by_name(tmp_path: Path) -> None:
    for says, options in (
        ("poll_interval", {"poll_interval": "soon"}),
        ("settle", {"settle": "-1s"}),
        ("no glob", {"glob": "../*"}),
        ("poll_timeout", {"poll_timeout": "0s"}),
        ("name", {"name": ""}),
    ):
        with pytest.raises(DefinitionError, match=says):
            FileTrigger("flow", tmp_path, **options)
    with pytest.raises(DefinitionError, match="is given a folder"):
        FileTrigger("flow", "")


def test_10000_files_cost_little_time_and_memory(tmp_path: Path) -> None:
    for number in range(MANY):
        (tmp_path / f"measurement-{number:05}.csv").touch()
    trigger = FileTrigger("flow", tmp_path, "*.csv")
    tracemalloc.start()
    trigger.poll()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for sighting in trigger._sightings.values():
        sighting.started = True

    took: list[float] = []
    for _ in range(5):
        begin = time.process_time()
        assert trigger.poll().is_skip_result()
        took.append(time.process_time() - begin)

    assert len(trigger._sightings) == MANY
    assert held < MANY * 400
    assert min(took) < 0.25
