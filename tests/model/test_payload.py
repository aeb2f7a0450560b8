"""What an event may be signalled with: every declared type with every given one, and back."""

import gc
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, SecretStr

from asyncflow import EventTypeError
from asyncflow._model.payload import PayloadType, plain_payload


class Grade(IntEnum):
    GOOD = 2


class Colour(StrEnum):
    RED = "red"


class MyInt(int):
    """Lies about its number in every way but as an int."""

    def __int__(self) -> int:
        return 99

    def __str__(self) -> str:
        return "lie"


class MyFloat(float):
    """The same for floats."""

    def __float__(self) -> float:
        return 99.0


class MyStr(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "lie"


class Foreign:
    """A number of a library, which is no int: it only converts to one."""

    def __int__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __bool__(self) -> bool:
        return True


class Approval(BaseModel):
    ok: bool
    note: str = ""


class Signed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    approval: Approval
    at: datetime
    amount: Decimal = Decimal(0)


class BetterApproval(Approval):
    stars: int = 5


AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIGNED = Signed(approval=Approval(ok=True), at=AT, amount=Decimal("1.10"))

GIVEN: dict[str, object] = {
    "True": True,
    "int": 3,
    "IntEnum": Grade.GOOD,
    "MyInt": MyInt(4),
    "float": 2.5,
    "whole float": 3.0,
    "MyFloat": MyFloat(1.5),
    "str": "yes",
    "StrEnum": Colour.RED,
    "MyStr": MyStr("mine"),
    "Approval": Approval(ok=True),
    "BetterApproval": BetterApproval(ok=False),
    "Signed": SIGNED,
    "dict of Approval": {"ok": True, "note": "fine"},
    "mapping of Approval": MappingProxyType({"ok": True}),
    "dict of Signed": SIGNED.model_dump(),
    "JSON of Signed": SIGNED.model_dump(mode="json"),
    "list": [True],
    "tuple": (1,),
    "None": None,
    "bytes": b"yes",
    "Decimal": Decimal(1),
    "datetime": AT,
    "complex": 1j,
    "set": {1},
    "foreign": Foreign(),
    "class": bool,
}

TAKEN: dict[type, dict[str, object]] = {
    bool: {"True": True},
    int: {"int": 3, "IntEnum": 2, "MyInt": 4},
    float: {
        "int": 3.0,
        "IntEnum": 2.0,
        "MyInt": 4.0,
        "float": 2.5,
        "whole float": 3.0,
        "MyFloat": 1.5,
    },
    str: {"str": "yes", "StrEnum": "red", "MyStr": "mine"},
    Approval: {
        "Approval": Approval(ok=True),
        "BetterApproval": Approval(ok=False),
        "dict of Approval": Approval(ok=True, note="fine"),
        "mapping of Approval": Approval(ok=True),
    },
    Signed: {"Signed": SIGNED, "dict of Signed": SIGNED, "JSON of Signed": SIGNED},
}
"""By declared type: which of the given are taken, and what whoever waits gets."""


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("declared", TAKEN, ids=lambda kind: kind.__name__)
def test_every_pair_of_declared_and_given_type_is_taken_exactly_or_is_a_type_error(
    declared: type, given: str
) -> None:
    kind = PayloadType.of(declared)
    payload = GIVEN[given]

    if given not in TAKEN[declared]:
        with pytest.raises(TypeError):
            kind.encoded(payload, "e")
        return

    found = PayloadType(kind.text).decoded(kind.encoded(payload, "e"), "e")
    assert found == TAKEN[declared][given]
    assert type(found) is declared


@pytest.mark.parametrize(("declared", "payload"), [(bool, 1), (int, True), (float, True), (str, 1)])
def test_a_payload_of_another_of_the_four_types_names_the_event_and_both_types(
    declared: type, payload: object
) -> None:
    with pytest.raises(EventTypeError) as raised:
        PayloadType.of(declared).encoded(payload, "ok?")

    expected, given = declared.__name__, type(payload).__name__
    assert str(raised.value) == f"event 'ok?' takes a payload of type {expected}, not {given}"


@pytest.mark.parametrize("declared", [bool, int, float, str])
@pytest.mark.parametrize("given", ["list", "None", "bytes", "Decimal", "foreign"])
def test_what_no_event_takes_is_refused_in_flytes_words(declared: type, given: str) -> None:
    with pytest.raises(TypeError, match="payload must be bool, int, float or str, not"):
        PayloadType.of(declared).encoded(GIVEN[given], "e")


@pytest.mark.parametrize("payload", [math.nan, math.inf, -math.inf, MyFloat("nan")])
def test_what_is_no_number_is_no_payload(payload: float) -> None:
    with pytest.raises(ValueError, match="payload is "):
        PayloadType.of(float).encoded(payload, "e")
    with pytest.raises(ValueError, match="payload is "):
        plain_payload(payload)


@pytest.mark.parametrize("payload", ["\ud800", "a\udfffb", "a\0b"])
def test_what_a_store_could_not_keep_as_text_is_no_payload(payload: str) -> None:
    with pytest.raises(ValueError, match="payload is "):
        PayloadType.of(str).encoded(payload, "e")
    with pytest.raises(ValueError, match="payload is "):
        plain_payload(payload)


def test_a_number_may_be_as_long_as_json_readers_take_it() -> None:
    number = 10**4000

    assert PayloadType.of(int).decoded(PayloadType.of(int).encoded(number, "e"), "e") == number
    with pytest.raises(ValueError, match="too many digits"):
        PayloadType.of(int).encoded(10**5000, "e")
    with pytest.raises(ValueError, match="no float can hold"):
        PayloadType.of(float).encoded(10**400, "e")


@given(st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_bools_and_numbers_come_back_as_they_were(payload: bool | float) -> None:
    kind = PayloadType.of(type(payload))

    found = kind.decoded(kind.encoded(payload, "e"), "e")

    assert repr(found) == repr(payload)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_texts_come_back_as_they_were(payload: str) -> None:
    kind = PayloadType.of(str)

    assert kind.decoded(kind.encoded(payload, "e"), "e") == payload


# --- models ---


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: int = Field(alias="Betrag")


class Hidden(BaseModel):
    word: SecretStr


class Part(BaseModel):
    number: float | None = None


class Own(BaseModel):
    number: int = 0
    _lock: object = PrivateAttr(default_factory=object)


class Raw(BaseModel):
    raw: bytes


class Numbers(RootModel[list[int]]):
    pass


@pytest.mark.parametrize("payload", [Aliased(Betrag=3), Own(number=1), Numbers([1, 2])])
def test_a_model_with_ways_of_its_own_comes_back(payload: BaseModel) -> None:
    kind = PayloadType.of(type(payload))

    found = kind.decoded(kind.encoded(payload, "e"), "e")

    assert isinstance(found, BaseModel)
    assert found.model_dump() == payload.model_dump()


def test_a_model_that_would_come_back_as_another_one_is_refused() -> None:
    with pytest.raises(EventTypeError, match="another one when it is read from its JSON"):
        PayloadType.of(Hidden).encoded(Hidden(word=SecretStr("x")), "e")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_in_a_model_is_refused_with_its_place(number: float) -> None:
    with pytest.raises(ValueError, match=r"payload\['number'\] is "):
        PayloadType.of(Part).encoded(Part(number=number), "e")


def test_bytes_in_a_model_that_are_no_text_are_refused() -> None:
    with pytest.raises(TypeError, match="payload is a Raw that has no JSON form"):
        PayloadType.of(Raw).encoded(Raw(raw=b"\xff"), "e")


def test_a_lone_surrogate_in_a_model_is_refused() -> None:
    with pytest.raises((TypeError, ValueError)):
        PayloadType.of(Approval).encoded({"ok": True, "note": "\ud800"}, "e")


def test_an_instance_that_holds_what_its_class_forbids_is_refused() -> None:
    broken = Approval(ok=True)
    broken.note = cast("Any", 7)

    with pytest.raises(EventTypeError, match=r"not Approval \(note: "):
        PayloadType.of(Approval).encoded(broken, "e")


def test_a_dict_that_a_model_does_not_take_is_refused_with_the_place() -> None:
    payload = {"approval": {"ok": "perhaps"}, "at": AT}

    with pytest.raises(EventTypeError, match=r"of type Signed, not dict \(approval\.ok: "):
        PayloadType.of(Signed).encoded(payload, "e")


def test_a_generic_model_keeps_its_name() -> None:
    model = RootModel[int]
    kind = PayloadType.of(model)

    assert (kind.name, kind.python_type) == ("RootModel[int]", model)


def local_model() -> type[BaseModel]:
    class Passing(BaseModel):
        ok: bool

    return Passing


@pytest.fixture
def unknown() -> PayloadType:
    """Return the type of a model as a process reads it that has not declared it."""
    return PayloadType("model:their.module:Theirs")


def test_a_model_that_nobody_here_knows_is_a_dict(unknown: PayloadType) -> None:
    assert (unknown.python_type, unknown.name) == (dict, "Theirs")
    payloads: list[Mapping[str, object] | BaseModel] = [
        {"ok": True},
        MappingProxyType({"ok": True}),
        Approval(ok=True),
    ]
    for payload in payloads:
        text = unknown.encoded(payload, "e")
        found = unknown.decoded(text, "e")
        assert isinstance(found, dict)
        assert found["ok"] is True


@pytest.mark.parametrize("payload", [True, 1, "x", None, [1], b"x"])
def test_a_model_that_nobody_here_knows_takes_no_scalar(
    unknown: PayloadType, payload: object
) -> None:
    with pytest.raises(EventTypeError, match="of type Theirs, not"):
        unknown.encoded(payload, "e")


def test_a_dict_for_a_model_that_nobody_here_knows_must_be_json(unknown: PayloadType) -> None:
    with pytest.raises(TypeError, match=r"payload\['at'\]"):
        unknown.encoded({"at": AT}, "e")


def test_what_was_signalled_without_the_class_is_checked_by_who_waits() -> None:
    kind = PayloadType.of(Approval)

    with pytest.raises(EventTypeError, match=r"of type Approval, not dict \(ok: "):
        kind.decoded('{"ok":"perhaps"}', "e")


def test_a_class_that_is_gone_is_not_known_any_more() -> None:
    kind = PayloadType.of(local_model())
    gc.collect()

    assert kind.python_type is dict


@pytest.mark.parametrize(
    "declared",
    [None, bytes, dict, list, Decimal, Grade, Colour, MyInt, datetime, "bool", bool | int],
)
def test_no_other_type_can_be_declared(declared: object) -> None:
    with pytest.raises(TypeError, match="data_type is bool, int, float, str or a pydantic model"):
        PayloadType.of(declared)


def test_a_model_that_is_imported_is_checked_though_no_task_has_declared_it() -> None:
    class Undeclared(BaseModel):
        ok: bool

    kind = PayloadType(f"model:{Undeclared.__module__}:{Undeclared.__qualname__}")

    with pytest.raises(EventTypeError, match="Undeclared"):
        kind.encoded({"ok": "neither"}, "approve")
    assert kind.decoded('{"ok":true}', "approve") == Undeclared(ok=True)
