"""What type checkers must make of both forms; nothing here is run.

Each `type: ignore` stands where a wrong call must be rejected: mypy's `warn_unused_ignores` fails
the day that it is not, and so does pyright's setting below. Elsewhere a `type: ignore` has its
reason on its line.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar, assert_type

from asyncflow._dual import (
    AsyncItems,
    DualContext,
    Items,
    Page,
    dual_classmethod,
    dual_function,
    dual_iterator,
    dual_iterator_classmethod,
    dual_method,
)
from asyncflow._home import Home

T = TypeVar("T")


def home() -> Home:
    raise LookupError


class Handle:
    def __home__(self) -> Home:
        return home()

    @classmethod
    def __class_home__(cls) -> Home:
        return home()

    @dual_method
    async def rename(self, name: str, *, times: int = 1) -> str | None:
        return name * times

    @dual_method
    async def look(self) -> object:
        return self

    @dual_classmethod
    @classmethod
    async def get(cls, name: str) -> "Handle | None":
        return cls() if name else None

    @dual_iterator
    async def parts(self, cursor: int | None, prefix: str = "") -> Page[str, int]:
        return Page([prefix], cursor)

    @dual_iterator_classmethod
    @classmethod
    async def listall(cls, cursor: str | None, limit: int = 10) -> "Page[Handle, str]":
        return Page([cls()] * limit, cursor)


class Narrower(Handle):
    @dual_method
    async def rename(self, name: str, *, times: int = 1) -> str:
        return await super().rename.aio(name, times=times) or ""

    @dual_method
    async def look(self) -> str:
        return f"{super().look()}"


class Cell(Generic[T]):
    def __init__(self, value: T) -> None:
        self.kept = value

    def __home__(self) -> Home:
        return home()

    @dual_method
    async def value(self) -> T:
        return self.kept


class Client(DualContext):
    def __home__(self) -> Home:
        return home()

    @dual_method
    async def ping(self) -> int:
        return 1


class Homeless:
    @dual_method
    async def rename(self, name: str) -> str:
        return name


@dual_function(home)
async def new_event(name: str, /, timeout: float | None = None) -> bytes:
    return name.encode() * int(timeout or 1)


def check_the_blocking_forms(handle: Handle) -> None:
    assert_type(handle.rename("a", times=2), str | None)
    assert_type(Handle.rename(handle, "a"), str | None)
    assert_type(Narrower().rename("a"), str)
    assert_type(Narrower().look(), str)
    assert_type(Handle.get("a"), Handle | None)
    assert_type(handle.get("a"), Handle | None)
    assert_type(new_event("a", timeout=1.0), bytes)
    assert_type(Cell(1).value(), int)
    assert_type(handle.parts("a"), Items[str])
    assert_type(Handle.listall(limit=2), Items[Handle])
    iterator: Iterator[Handle] = Handle.listall()
    assert_type(next(iterator), Handle)
    with Client() as client:
        assert_type(client, Client)
        assert_type(client.ping(), int)
    client.shutdown()


async def check_the_awaited_forms(handle: Handle) -> None:
    assert_type(await handle.rename.aio("a", times=2), str | None)
    assert_type(await Handle.rename.aio(handle, "a"), str | None)
    assert_type(await Narrower().rename.aio("a"), str)
    assert_type(await Handle.get.aio("a"), Handle | None)
    assert_type(await new_event.aio("a", timeout=1.0), bytes)
    assert_type(await Cell(1).value.aio(), int)
    assert_type(handle.parts.aio("a"), AsyncItems[str])
    assert_type(await Handle.listall.aio(), AsyncItems[Handle])
    iterator: AsyncIterator[Handle] = Handle.listall.aio()
    async for item in iterator:
        assert_type(item, Handle)
    async with Client() as client:
        assert_type(client, Client)
    await client.shutdown.aio()


def check_wrong_blocking_calls(handle: Handle) -> None:
    handle.rename()  # type: ignore[call-arg]
    handle.rename(1)  # type: ignore[arg-type]
    handle.rename("a", "b")  # type: ignore[arg-type, call-arg]
    handle.rename("a", time=1)  # type: ignore[call-arg]
    handle.rename("a").upper()  # type: ignore[union-attr]
    handle.rename.oia("a")  # type: ignore[attr-defined]
    Handle.rename("a")  # type: ignore[arg-type, call-arg]
    Handle.get()  # type: ignore[call-arg]
    Handle.get(1)  # type: ignore[arg-type]
    Handle.get("a", "b")  # type: ignore[call-arg]
    new_event()  # type: ignore[call-arg]
    new_event(1)  # type: ignore[arg-type]
    new_event(name="a")  # type: ignore[call-arg]
    new_event("a", 1.0, 2)  # type: ignore[call-arg]
    handle.parts(1)  # type: ignore[arg-type]
    handle.parts("a", "b")  # type: ignore[call-arg]
    handle.parts(cursor=1)  # type: ignore[call-arg]
    Handle.listall("a")  # type: ignore[arg-type]
    Handle.listall(1, 2)  # type: ignore[call-arg]
    Homeless().rename("a")  # type: ignore[call-overload]


async def check_wrong_awaited_calls(handle: Handle) -> None:
    handle.rename.aio("a")  # type: ignore[unused-coroutine]
    await handle.rename.aio()  # type: ignore[call-arg]
    await handle.rename.aio(1)  # type: ignore[arg-type]
    await handle.rename.aio("a", "b")  # type: ignore[arg-type, call-arg]
    (await handle.rename.aio("a")).upper()  # type: ignore[union-attr]
    await Handle.get.aio()  # type: ignore[call-arg]
    await Handle.get.aio(1)  # type: ignore[arg-type]
    await Handle.get.aio("a", "b")  # type: ignore[call-arg]
    await new_event.aio()  # type: ignore[call-arg]
    await new_event.aio(1)  # type: ignore[arg-type]
    await new_event.aio("a", 1.0, 2)  # type: ignore[call-arg]
    handle.parts.aio(1)  # type: ignore[arg-type]
    handle.parts.aio("a", "b")  # type: ignore[call-arg]
    Handle.listall.aio("a")  # type: ignore[arg-type]
    Handle.listall.aio(1, 2)  # type: ignore[call-arg]
    await Homeless().rename.aio("a")  # type: ignore[call-overload]
