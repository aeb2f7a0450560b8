"""Is there space for a database? Of most limits SQLite says only that it could not write."""

import errno
import os
import sys
import tempfile
from typing import Final

if sys.platform != "win32":
    import resource

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TRIED: Final = 64 * 2**10
"""Bytes that are tried: the largest page."""


def no_space(path: str) -> bool:
    """Say whether a database at this path could not grow now. It leaves no file behind."""
    return _at_limit(path) or _disk_full(os.path.dirname(path))


def _at_limit(path: str) -> bool:
    """Say whether a file of the database is as large as this process may make one."""
    if sys.platform == "win32":
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return False
    return any(_size(f"{path}{end}") + _TRIED > limit for end in ("", "-wal", "-journal"))


def _disk_full(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(_TRIED)) < _TRIED
    except OSError as error:
        return error.errno in _FULL


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
