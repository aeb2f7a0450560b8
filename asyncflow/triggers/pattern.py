"""A glob over paths, followed folder by folder as a scan goes down. It reads no disk.

A place is the number of a part of the glob that the next name may match. A folder has several
places where ``**`` stands, which matches any number of folders.
"""

import re
from collections.abc import Collection
from fnmatch import translate
from typing import Final, TypeAlias

Places: TypeAlias = tuple[int, ...]

ANY_FOLDERS: Final = "**"
HIDDEN: Final = "."
_NO_NAMES: Final = frozenset(("", ".", ".."))


class Pattern:
    """``"*.csv"``, ``"in/*/[ab]?.txt"``, ``"**/*.csv"``: as a shell reads it, upper case apart.

    A name that begins with a dot is matched only by a part that begins with one.

    Attributes:
        start: the places of the folder where it begins.

    Raises:
        ValueError: a part is empty, ``.`` or ``..``; so is the first of an absolute one.
    """

    def __init__(self, text: str) -> None:
        parts = text.split("/")
        if not _NO_NAMES.isdisjoint(parts):
            message = f"{text!r} is no glob below the folder: no part may be empty, '.' or '..'"
            raise ValueError(message)
        if parts[-1] == ANY_FOLDERS:
            parts.append("*")  # a file has a name of its own
        self._parts = [None if part == ANY_FOLDERS else _Part(part) for part in parts]
        self.start = self._places({0})

    def below(self, places: Places, name: str) -> Places:
        """Return the places of a folder in a folder; none: nothing in it can match."""
        found = set[int]()
        for place in places:
            part = self._parts[place]
            if part is None:
                if not name.startswith(HIDDEN):
                    found.add(place)
            elif place + 1 < len(self._parts) and part.matches(name):
                found.add(place + 1)
        return self._places(found)

    def takes(self, places: Places, name: str) -> bool:
        """Whether a file of that name in a folder matches."""
        last = self._parts[-1]
        return len(self._parts) - 1 in places and last is not None and last.matches(name)

    def _places(self, found: Collection[int]) -> Places:
        """Add where a scan also is, since ``**`` may match no folder at all."""
        every = set(found)
        for place in found:
            while self._parts[place] is None:
                place += 1  # noqa: PLW2901  it walks on
                every.add(place)
        return tuple(sorted(every))


class _Part:
    """What stands between two slashes."""

    def __init__(self, text: str) -> None:
        self._match = re.compile(translate(text)).match
        self._hidden = text.startswith(HIDDEN)

    def matches(self, name: str) -> bool:
        if name.startswith(HIDDEN) and not self._hidden:
            return False
        return self._match(name) is not None
