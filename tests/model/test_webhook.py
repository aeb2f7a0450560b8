"""The address under which an event is answered: what is written can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow import Webhook
from asyncflow._model.awaited import wishes_of
from asyncflow._model.webhook import CALLBACK_BASE, callback_base, callback_of, parse_callback

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
BASES = [CALLBACK_BASE, "https://ops.example/flow", "http://[::1]:80", "app://events/x/y/signal"]


@given(st.sampled_from(BASES), NAMES, NAMES)
def test_the_names_in_an_address_are_read_as_they_were_written(
    base: str, run: str, action: str
) -> None:
    uri = callback_of(callback_base(base), run, action)

    assert uri.isascii()
    assert parse_callback(uri) == (run, action)


@pytest.mark.parametrize("end", ["", "/", "?by=me", "#x", "/?a=/events/1/2/signal"])
def test_a_path_alone_a_slash_and_a_query_are_read_too(end: str) -> None:
    assert parse_callback(f"/flow/events/a%2Fb/t-1-event-ok-1/signal{end}") == (
        "a/b",
        "t-1-event-ok-1",
    )


@pytest.mark.parametrize(
    "uri",
    [
        "/",
        "x",
        "/events//b/signal",
        "/events/a/signal",
        "/revents/a/b/signal",
        "/events/%ff/b/signal",
    ],
)
def test_another_address_is_refused_by_name(uri: str) -> None:
    with pytest.raises(ValueError, match="no callback_uri"):
        parse_callback(uri)


@pytest.mark.parametrize("base", ["/flow", "https://a?b", "https://a#b", "flow", "", "https://a b"])
def test_a_base_that_is_no_uri_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="callback_uri"):
        callback_base(base)


def test_a_base_loses_the_slash_at_its_end() -> None:
    assert callback_base("https://ops.example/flow/") == "https://ops.example/flow"


def test_a_payload_is_filled_in_wherever_a_string_stands_and_stays_as_it_was() -> None:
    payload = {
        "a": ["{callback_uri}", {"b": "x {callback_uri} y {callback_uri}"}],
        "{callback_uri}": 1,
    }
    webhook = Webhook("https://a", payload)

    body = webhook.body("asyncflow:/e", {})

    assert body == {
        "a": ["asyncflow:/e", {"b": "x asyncflow:/e y asyncflow:/e"}],
        "{callback_uri}": 1,
    }
    assert payload["a"] == ["{callback_uri}", {"b": "x {callback_uri} y {callback_uri}"}]


@pytest.mark.parametrize("url", ["", "ftp://a", "a", "file:///etc", "http://a\0"])
def test_what_is_no_url_of_http_is_refused_where_it_is_written(url: str) -> None:
    with pytest.raises(ValueError, match="url of a webhook"):
        Webhook(url)


def test_a_payload_without_a_json_form_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"payload\['a'\]"):
        Webhook("https://a", {"a": b""})


@pytest.mark.parametrize(
    ("action", "meant"),
    [
        ("ship-1-event-ok-1", {("ship", 1, "ok")}),
        ("a-event-b-2-event-c-3", {("a-event-b", 2, "c")}),
        ("t-1-event-x-2-event-y-3", {("t", 1, "x-2-event-y"), ("t-1-event-x", 2, "y")}),
        ("t-1-event-ok", set[tuple[str, int, str]]()),
        ("t-event-ok-1", set[tuple[str, int, str]]()),
        ("", set[tuple[str, int, str]]()),
    ],
)
def test_the_id_of_an_event_is_read_in_every_way_that_it_can_be(
    action: str, meant: set[tuple[str, int, str]]
) -> None:
    found = {(each.task, each.sequence_number, each.name) for each in wishes_of(5, action)}

    assert found == meant
