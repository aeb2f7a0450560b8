"""Both forms of every public call: `x.f(...)` blocks, `await x.f.aio(...)` awaits; one body.

The descriptors here only find the `Home` that the body runs on, and keep its signature. They must
never know what they call, and never make a coroutine on a thread that could not run it.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from inspect import Signature, signature
from types import MethodType, TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from asyncflow._home import Home

P = ParamSpec("P")
C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Homed(Protocol):
    """An object that knows where its coroutines run."""

    def __home__(self) -> Home:
        """Return it, or raise `UsageError` if there is none."""
        ...


class HomedClass(Protocol):
    """A class that knows where its classmethods run; it is asked at each call."""

    @classmethod
    def __class_home__(cls) -> Home:
        """Return it, or raise `UsageError` if there is none, or more than one."""
        ...


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co, C_co]):
    """A part of a listing, and the cursor of the next part: None after the last one."""

    items: Sequence[T_co]
    next: C_co | None = None


class _Bound(Generic[P, R_co]):
    """A body with its object, its name and the way to its home; `inspect` sees the body."""

    __slots__ = ("_body", "_home", "_name")

    def __init__(
        self,
        body: Callable[P, Coroutine[Any, Any, R_co]],
        home: Callable[[], Home],
        name: str,
    ) -> None:
        self._body = body
        self._home = home
        self._name = name

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        return self._body

    @property
    def __name__(self) -> str:
        return self._name.rpartition(".")[2]


K = TypeVar("K", bound=type[Any])


def _documented_by_its_body(cls: K) -> K:
    """Give instances the docstring of their body; with slots, none of them has room for its own."""
    type.__setattr__(cls, "__doc__", property(lambda bound: bound.__wrapped__.__doc__))
    return cls


@_documented_by_its_body
class Dual(_Bound[P, R_co]):
    """A call in two forms: called it blocks, `aio` is awaited."""

    __slots__ = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Block until it is done; never on a thread that runs an event loop."""
        return self._home().run(partial(self._body, *args, **kwargs), self._name)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Await it in any event loop; cancelling the caller cancels it, and waits for its end."""
        home = self._home()
        if home.is_here():  # as `arun` does, without its frame: of those who wait there are many
            waiting = self._body(*args, **kwargs)
            del self, args, kwargs  # nor do they keep what they need no more
            return await waiting
        return await home.arun(partial(self._body, *args, **kwargs), self._name)


class dual_method(Generic[P, R_co]):  # noqa: N801  a decorator
    """Give an async method both forms; its object says by `__home__` where it runs.

    `self` is no part of the type, so that a subclass can override the method.
    """

    def __init__(self, body: Callable[Concatenate[Any, P], Coroutine[Any, Any, R_co]]) -> None:
        self._body = body
        self._name = _name_of(body).rpartition(".")[2]
        _describe(self, body)

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: Homed, owner: type[Any] | None = None) -> Dual[P, R_co]: ...
    def __get__(self, obj: Homed | None, owner: type[Any] | None = None) -> Self | Dual[P, R_co]:
        """Bind it; on the class it is this object, with the docstring."""
        if obj is None:
            return self
        return Dual(MethodType(self._body, obj), obj.__home__, _call(type(obj), self._name))

    def __call__(self, obj: Homed, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call it as a function of its object: `Class.f(x, ...)`."""
        return self.__get__(obj)(*args, **kwargs)

    async def aio(self, obj: Homed, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Await it as a function of its object: `Class.f.aio(x, ...)`."""
        return await self.__get__(obj).aio(*args, **kwargs)


class dual_classmethod(Generic[P, R_co]):  # noqa: N801  a decorator
    """Give an async classmethod both forms: put it above `@classmethod`.

    The class says by `__class_home__` where it runs. Name the class in the result's type: `Self`
    is lost on the way.
    """

    def __init__(self, body: Callable[Concatenate[Any, P], Coroutine[Any, Any, R_co]]) -> None:
        # type checkers see through `classmethod`, and hand on its function
        self._body: Callable[Concatenate[Any, P], Coroutine[Any, Any, R_co]]
        self._body = getattr(body, "__func__", body)
        self._name = _name_of(body).rpartition(".")[2]
        _describe(self, self._body)

    def __get__(self, obj: object, owner: type[HomedClass]) -> Dual[P, R_co]:
        """Bind it to the class."""
        return Dual(MethodType(self._body, owner), owner.__class_home__, _call(owner, self._name))


@_documented_by_its_body
class _OfItsArguments(Dual[P, R_co]):
    """Runs where the first thing is at home that it is given."""

    __slots__ = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self._of(args)(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return await self._of(args).aio(*args, **kwargs)

    def _of(self, args: Sequence[Any]) -> Dual[P, R_co]:
        home: Callable[[], Home] | None = getattr(args[0], "__home__", None) if args else self._home
        if home is None:
            raise TypeError(f"{self._name}() takes one or more objects, not {args[0]!r}")
        return Dual(self._body, home, self._name)


class dual_classmethod_of_objects(dual_classmethod[P, R_co]):  # noqa: N801  a decorator
    """Give an async classmethod both forms; it runs where its first argument is at home."""

    def __get__(self, obj: object, owner: type[HomedClass]) -> Dual[P, R_co]:
        """Bind it to the class, which is asked only where there is no argument."""
        body = MethodType(self._body, owner)
        return _OfItsArguments(body, owner.__class_home__, _call(owner, self._name))


class Computed(Generic[P, R_co]):
    """What only computes, and has an ``aio`` for those who await everything."""

    __slots__ = ("_body",)

    def __init__(self, body: Callable[P, R_co]) -> None:
        self._body = body

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        return self._body

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return it; nothing is waited for."""
        return self._body(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return it, as the call without ``aio`` does."""
        return self._body(*args, **kwargs)


class computed_method(Generic[P, R_co]):  # noqa: N801  a decorator
    """Give a method that only computes the second form: it is plain, in any thread and loop."""

    def __init__(self, body: Callable[Concatenate[Any, P], R_co]) -> None:
        self._body = body
        _describe(self, body)

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: object, owner: type[Any] | None = None) -> Computed[P, R_co]: ...
    def __get__(
        self, obj: object | None, owner: type[Any] | None = None
    ) -> Self | Computed[P, R_co]:
        """Bind it; on the class it is this object, with the docstring."""
        return self if obj is None else Computed(MethodType(self._body, obj))


def dual_function(
    home: Callable[[], Home],
) -> Callable[[Callable[P, Coroutine[Any, Any, R_co]]], Dual[P, R_co]]:
    """Give an async function both forms; `home` finds where it runs, at each call."""

    def decorate(body: Callable[P, Coroutine[Any, Any, R_co]]) -> Dual[P, R_co]:
        return Dual(body, home, _name_of(body))

    return decorate


class _Pages(Generic[T_co]):
    """Where an iteration is: the rest of one page, and the cursor of the next."""

    __slots__ = ("_cursor", "_fetch", "_home", "_items", "_last", "_name")

    def __init__(
        self,
        fetch: Callable[[Any], Coroutine[Any, Any, Page[T_co, Any]]],
        home: Home,
        name: str,
    ) -> None:
        self._fetch = fetch
        self._home = home
        self._name = name
        self._items: Iterator[T_co] = iter(())
        self._cursor: Any = None
        self._last = False

    def _turn(self, page: Page[T_co, Any]) -> None:
        self._items = iter(page.items)
        self._cursor = page.next
        self._last = page.next is None


class Items(_Pages[T_co], Iterator[T_co]):
    """Iterates over a listing, blocking where it turns a page; nothing is open in between."""

    __slots__ = ()

    def __next__(self) -> T_co:
        """Return the next item; after an error of a page, that page is fetched again."""
        while True:
            for item in self._items:
                return item
            if self._last:
                raise StopIteration
            self._turn(self._home.run(partial(self._fetch, self._cursor), self._name))


class AsyncItems(_Pages[T_co], AsyncIterator[T_co]):
    """Iterates over a listing with `async for`; awaiting it gives itself, and fetches nothing."""

    __slots__ = ()

    async def __anext__(self) -> T_co:
        """Return the next item; after an error of a page, that page is fetched again."""
        while True:
            for item in self._items:
                return item
            if self._last:
                raise StopAsyncIteration
            self._turn(await self._home.arun(partial(self._fetch, self._cursor), self._name))

    def __await__(self) -> Generator[Any, None, Self]:
        """Return itself: `await x.listall.aio()` and `x.listall.aio()` are the same."""
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self


@_documented_by_its_body
class DualIterator(_Bound[Concatenate[Any, P], Page[T_co, Any]]):
    """A listing in two forms: called it gives an iterator, `aio` gives one for `async for`."""

    __slots__ = ()

    @property
    def __signature__(self) -> Signature:
        _cursor, *parameters = signature(self._body).parameters.values()
        return Signature(parameters)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Items[T_co]:
        """Return an iterator that blocks where it turns a page."""
        home = self._home()
        home.check_blocking(self._name, f"write `async for ... in {self._name}.aio():` instead")
        return Items(self._fetch(*args, **kwargs), home, self._name)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncItems[T_co]:
        """Return an async iterator; it may also be awaited, which gives itself."""
        return AsyncItems(self._fetch(*args, **kwargs), self._home(), self._name)

    def _fetch(
        self, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[Any], Coroutine[Any, Any, Page[T_co, Any]]]:
        return lambda cursor: self._body(cursor, *args, **kwargs)


class dual_iterator(Generic[P, T_co]):  # noqa: N801  a decorator
    """Make a listing in both forms of an async method that fetches one page.

    The method takes the cursor before its other arguments: None for the first page, then what the
    page before named.
    """

    def __init__(
        self,
        body: Callable[Concatenate[Any, C | None, P], Coroutine[Any, Any, Page[T_co, C]]],
    ) -> None:
        self._body: Callable[Concatenate[Any, Any, P], Coroutine[Any, Any, Page[T_co, Any]]] = body
        self._name = _name_of(body).rpartition(".")[2]
        _describe(self, body)

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: Homed, owner: type[Any] | None = None) -> DualIterator[P, T_co]: ...
    def __get__(
        self, obj: Homed | None, owner: type[Any] | None = None
    ) -> Self | DualIterator[P, T_co]:
        """Bind it; on the class it is this object, with the docstring."""
        if obj is None:
            return self
        return DualIterator(MethodType(self._body, obj), obj.__home__, _call(type(obj), self._name))


class dual_iterator_classmethod(Generic[P, T_co]):  # noqa: N801  a decorator
    """Make a listing in both forms of an async classmethod: put it above `@classmethod`."""

    def __init__(
        self,
        body: Callable[Concatenate[Any, C | None, P], Coroutine[Any, Any, Page[T_co, C]]],
    ) -> None:
        self._body: Callable[Concatenate[Any, Any, P], Coroutine[Any, Any, Page[T_co, Any]]]
        self._body = getattr(body, "__func__", body)
        self._name = _name_of(body).rpartition(".")[2]
        _describe(self, self._body)

    def __get__(self, obj: object, owner: type[HomedClass]) -> DualIterator[P, T_co]:
        """Bind it to the class."""
        return DualIterator(
            MethodType(self._body, owner), owner.__class_home__, _call(owner, self._name)
        )


class Shutdown:
    """Closing in both forms: `x.shutdown()` blocks, `await x.shutdown.aio()` awaits."""

    __slots__ = ("_home",)

    def __init__(self, home: Home) -> None:
        self._home = home

    def __call__(self) -> None:
        """Close it and block until it is closed; again, it does nothing."""
        self._home.close()

    async def aio(self) -> None:
        """Close it in any event loop; cancelling the caller does not stop the closing."""
        await self._home.aclose()


class DualContext(ABC):
    """What has a home of its own: `async with`, `with`, or plain blocking use and `shutdown()`."""

    @abstractmethod
    def __home__(self) -> Home:
        """Return the home, which is made with the object and opened by entering it."""

    async def __aenter__(self) -> Self:
        """Make the running loop its home."""
        await self.__home__().open_here()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it; the task may be another one than that which entered."""
        await self.__home__().aclose()

    def __enter__(self) -> Self:
        """Start a thread whose loop is its home."""
        self.__home__().open_in_thread()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it, and end its thread."""
        self.__home__().close()

    @property
    def shutdown(self) -> Shutdown:
        """Close it: `shutdown()` blocks, `await shutdown.aio()` awaits; for use without `with`."""
        return Shutdown(self.__home__())


def _describe(descriptor: object, body: Callable[..., object]) -> None:
    update_wrapper(cast("Callable[..., object]", descriptor), body)


def _name_of(body: object) -> str:
    return str(getattr(body, "__qualname__", body)).rpartition("<locals>.")[2]


def _call(owner: type[object], name: str) -> str:
    """Return what messages call it: by the class that the caller uses."""
    return f"{owner.__name__}.{name}"
