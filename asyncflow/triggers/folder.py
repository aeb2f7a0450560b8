"""What lies in a folder at one moment: the files that a glob matches. It remembers no file.

It must never leave the folder: a link to a file in it is followed, one that leads out is refused,
and one to a folder is not followed, so that a scan ends. That holds for what lies there; a
program that swaps a folder for a link between two calls of this scan is not guarded against, nor
can it be: the task opens the file later, by its name.
"""

import logging
import os
from collections.abc import Iterator
from stat import S_ISREG
from typing import Final, NamedTuple

from asyncflow.triggers.pattern import Pattern, Places

logger: Final = logging.getLogger("asyncflow.triggers")


class Found(NamedTuple):
    """A file as a scan found it.

    Attributes:
        name: its path below the folder, as `os.fsdecode` gives it.
        modified_ns: when its content changed, in nanoseconds since 1970, by the file system.
        size: in bytes.
        changed_ns: when anything of it changed, its name too; nobody can set it.
    """

    name: str
    modified_ns: int
    size: int
    changed_ns: int


class Folder:
    """The files of a folder that match a glob.

    Attributes:
        path: of the folder, absolute.
    """

    def __init__(self, path: str, pattern: Pattern) -> None:
        self.path = path
        self._pattern = pattern
        self._told = dict[str, str]()

    def files(self) -> Iterator[Found]:
        """Yield each file; one that vanishes meanwhile is left out.

        Raises:
            OSError: the folder is missing, or cannot be read. What is wrong below it is logged,
                once as long as it lasts.
        """
        inside = os.path.join(os.path.realpath(self.path), "")
        complaints = dict[str, str]()
        waiting: list[tuple[str, Places]] = [("", self._pattern.start)]
        while waiting:
            below, places = waiting.pop()
            for entry in self._entries(below, complaints):
                name = f"{below}{entry.name}"
                if _is_folder(entry):
                    if further := self._pattern.below(places, entry.name):
                        waiting.append((f"{name}/", further))
                elif self._pattern.takes(places, entry.name):
                    found = _stat(entry, name, inside, complaints)
                    if found is not None and S_ISREG(found.st_mode):
                        yield Found(name, found.st_mtime_ns, found.st_size, found.st_ctime_ns)
        self._tell(complaints)

    def _entries(self, below: str, complaints: dict[str, str]) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(self.path, below) if below else self.path) as entries:
                return list(entries)
        except OSError as error:
            if not below:
                raise
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                complaints[below] = error.strerror or str(error)
            return []

    def _tell(self, complaints: dict[str, str]) -> None:
        """Log what was not so at the last scan."""
        for name, reason in complaints.items():
            if self._told.get(name) != reason:
                logger.warning("%r in %r is passed over: %s", name, self.path, reason)
        self._told = complaints


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # of a file system that keeps the kind elsewhere; `_stat` will say why
        return False


def _stat(
    entry: os.DirEntry[str], name: str, inside: str, complaints: dict[str, str]
) -> os.stat_result | None:
    """Return what the file system says of a file; None if it is gone, or with a complaint."""
    try:
        if not entry.is_symlink():
            return entry.stat(follow_symlinks=False)
        target = os.path.realpath(entry.path)
        if os.path.join(target, "").startswith(inside):
            return os.lstat(target)
        complaints[name] = "it is a link that leads out of the folder"
    except FileNotFoundError:
        pass
    except OSError as error:
        complaints[name] = error.strerror or str(error)
    return None
