"""A usual header is written at once, and as the walk along the table would write it."""

import time
from dataclasses import replace
from enum import Enum
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iec62746 import _write
from iec62746._schema import HEADER
from iec62746.domain import Domain
from iec62746.envelope import decode, encode
from iec62746.errors import InvalidMessage
from iec62746.exchange import Exchange
from iec62746.message import Kind, Message, Property, ReplayDetection, User

USUAL = Message(
    kind=Kind.EVENT,
    verb="created",
    noun="MeterReadings",
    timestamp="2026-11-24T08:00:00.000Z",
    source="ven-1",
    message_id="1",
    correlation_id="",
    properties=(Property("Destination", "vtn"), Property("Deadline", "2026-11-24T08:00:30.000Z")),
)
OTHERS: dict[str, Any] = {
    "revision": "2.0",
    "replay_detection": ReplayDetection(nonce="n", created="2026-11-24T08:00:00Z"),
    "context": "TESTING",
    "async_reply_flag": False,
    "reply_address": "",
    "ack_required": False,
    "user": User(user_id="u"),
    "comment": "",
    "extensions": (b'<a xmlns="urn:a"/>',),
}


class Site(str, Enum):  # noqa: UP042  # a StrEnum formats as its value, this one as its name
    """What an application may have for names."""

    EAST = "east"


TEXT = st.text(st.sampled_from("a%{} <>&]\"'\r\n\té\U0001f600\x00\ufffe\ud800"), max_size=4) | st.just(Site.EAST)
TEXT_OR_NOT = st.none() | TEXT | st.just(7)


def by_table(message: Message) -> str | None:
    """Return what the table writes; None for what cannot be written."""
    try:
        return _write._inside("Header", message, _write._HEADER)
    except InvalidMessage:
        return None


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "verb": st.sampled_from(["get", "", "made", 7, Site.EAST]),
            "noun": TEXT_OR_NOT,
            "timestamp": st.sampled_from([None, "", "2026-11-24", "2026-11-24T08:00:00+24:00", 7]),
            "source": TEXT_OR_NOT,
            "message_id": TEXT_OR_NOT,
            "correlation_id": TEXT_OR_NOT,
            "properties": st.lists(st.builds(Property, TEXT_OR_NOT, TEXT_OR_NOT), max_size=6).map(tuple),
            **{name: st.just(value) for name, value in OTHERS.items()},
        },
    )
)
def test_what_is_written_at_once_is_what_the_table_writes(changes: dict[str, Any]) -> None:
    message = replace(USUAL, **changes)

    assert _write._usual_header(message) in (None, by_table(message))


@pytest.mark.parametrize("absent", [(), ("timestamp",), ("source", "correlation_id"), ("message_id",)])
def test_what_is_usual_is_written_at_once(absent: tuple[str, ...]) -> None:
    for count in range(5):
        properties = count * (Property("Destination", Site.EAST),)
        changes: dict[str, Any] = {"properties": properties, **dict.fromkeys(absent)}
        message = replace(USUAL, **changes)

        assert by_table(message) == _write._usual_header(message)
        assert message == decode(encode(message))


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_field_of_the_header_is_left_to_the_table(name: str) -> None:
    message = replace(USUAL, **{name: OTHERS[name]})

    assert _write._usual_header(message) is None
    assert message == decode(encode(message))


def test_properties_that_can_be_read_once_only_are_not_lost() -> None:
    message = replace(USUAL, properties=cast(Any, iter(USUAL.properties)))

    assert _write._usual_header(message) is None
    assert USUAL == decode(encode(message))


def test_the_fields_are_those_of_the_header() -> None:
    assert {*OTHERS, *_write._USUAL, "properties"} == {place.field for place in HEADER.places}


def test_what_the_conversation_sends_is_usual() -> None:
    domain = Domain.parse('[domain]\nname = "d"\nvtn = "vtn"\n[nodes.price]\nnouns = ["MarketPrices"]')
    vtn = Exchange(domain, "vtn", now=time.time(), new_id=lambda: "1")

    sent = vtn.publish(Message(kind=Kind.EVENT, verb="created", noun="MarketPrices"), "price", time.time())

    assert _write._usual_header(decode(sent.message.body)) is not None
