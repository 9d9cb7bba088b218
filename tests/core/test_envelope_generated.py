"""Messages that Hypothesis makes are written and read back, valid by our schema and by the reference verdict."""

import importlib.util
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from iec62746._schema import schema
from iec62746.envelope import decode, element, encode
from iec62746.errors import EnvelopeError, InvalidMessage
from iec62746.limits import Limits
from iec62746.message import (
    EVENT_VERBS,
    ID,
    REQUEST_VERBS,
    Error,
    ErrorObject,
    IDKind,
    Kind,
    Level,
    Location,
    Message,
    Name,
    NameType,
    NameTypeAuthority,
    Operation,
    OperationSet,
    Option,
    Payload,
    Property,
    ReplayDetection,
    ReplyPart,
    RequestPart,
    Result,
    TypedForm,
    User,
    timestamp,
)

# What XML can carry; more often what must be escaped.
TEXT = st.text(
    st.sampled_from("a <>&\"'\r\n\t]]>!?:é\U0001f600t0:")
    | st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    max_size=8,
)
TIMES = st.datetimes(timezones=st.just(UTC)).map(timestamp) | st.sampled_from(
    ["2026-11-23T08:00:00", "2024-02-29T24:00:00Z", "-0004-02-29T00:00:00.5+14:00", "123456-01-01T00:00:00Z"]
)
INTEGERS = st.integers() | st.just(10**40)
XML = st.sampled_from(
    [
        '<a xmlns="urn:a"/>',
        '<x:a xmlns:x="urn:a" b="&lt;&quot;>" x:c=\'"\'><b/><c xmlns="urn:c">t0: x:y</c></x:a>',
        '<DERGroups xmlns="http://iec.ch/TC57/2016/DERGroups#"><!-- kept --><?too?>é<![CDATA[</Payload>]]></DERGroups>',
        '<a:ID xmlns:a="urn:a" xmlns:xsi="urn:xsi" xsi:type="a:T"> \n</a:ID>',
        '<a\n xmlns = "urn:a" b="1" ><m:ID xmlns:m="http://iec.ch/TC57/2011/schema/message">1</m:ID ></a >',
    ]
).map(element)
# Payload's own names mean Payload's own elements in the generic form, whatever their namespace.
ITEMS = XML.filter(lambda xml: b":ID" not in xml[:6])
QNAMES = st.sampled_from(
    [
        "name",
        "{urn:q}name",
        "{http://iec.ch/TC57/2011/schema/message}Verb",
        "{http://www.w3.org/XML/1998/namespace}lang",
    ]
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(strategy, max_size=3).map(tuple)


IDS = st.builds(ID, TEXT, maybe(TEXT), maybe(TEXT), maybe(st.sampled_from(IDKind)), maybe(TEXT))
NAME_TYPES = st.builds(
    NameType,
    name=TEXT,
    description=maybe(TEXT),
    authority=maybe(st.builds(NameTypeAuthority, name=TEXT, description=maybe(TEXT))),
)
NAMES = st.builds(Name, name=TEXT, name_type=maybe(NAME_TYPES))
OBJECTS = st.builds(ErrorObject, mrid=maybe(TEXT), names=several(NAMES), object_type=maybe(TEXT))
ERRORS = st.builds(
    Error,
    code=TEXT,
    level=maybe(st.sampled_from(Level)),
    reason=maybe(TEXT),
    details=maybe(TEXT),
    xpath=maybe(QNAMES),
    stack_trace=maybe(TEXT),
    location=maybe(st.builds(Location, node=maybe(TEXT), pipeline=maybe(TEXT), stage=maybe(TEXT))),
    id=maybe(IDS),
    related_id=maybe(IDS),
    object=maybe(OBJECTS),
    operation_id=maybe(INTEGERS),
)
REQUESTS = st.builds(
    RequestPart,
    start_time=maybe(TIMES),
    end_time=maybe(TIMES),
    options=several(st.builds(Option, TEXT, maybe(TEXT))),
    ids=several(IDS),
    extensions=several(XML),
)
REPLIES = st.builds(
    ReplyPart,
    result=st.sampled_from(Result),
    errors=several(ERRORS),
    ids=several(IDS),
    extensions=several(XML),
    operation_id=maybe(INTEGERS),
)
OPERATIONS = st.builds(
    Operation,
    operation_id=INTEGERS,
    noun=maybe(TEXT),
    verb=maybe(TEXT),
    element_operation=maybe(st.booleans()),
    item=maybe(XML),
)
SETS = st.builds(
    OperationSet,
    enforce_msg_sequence=maybe(st.booleans()),
    enforce_transactional_integrity=maybe(st.booleans()),
    operations=several(OPERATIONS),
)
FORMATS = maybe(TEXT)
PAYLOADS = (
    st.builds(Payload, items=several(ITEMS), format=FORMATS)
    | st.builds(Payload, operation_set=SETS, format=FORMATS)
    | st.builds(Payload, compressed=TEXT, format=FORMATS)
    | st.builds(Payload, ids=several(IDS), format=FORMATS)
)
HEADER: dict[str, st.SearchStrategy[Any]] = {
    "noun": TEXT,
    "revision": maybe(TEXT),
    "replay_detection": maybe(st.builds(ReplayDetection, nonce=TEXT, created=TIMES)),
    "context": maybe(TEXT),
    "timestamp": maybe(TIMES),
    "source": maybe(TEXT),
    "async_reply_flag": maybe(st.booleans()),
    "reply_address": maybe(TEXT),
    "ack_required": maybe(st.booleans()),
    "user": maybe(st.builds(User, user_id=TEXT, organization=maybe(TEXT))),
    "message_id": maybe(TEXT),
    "correlation_id": maybe(TEXT),
    "comment": maybe(TEXT),
    "properties": several(st.builds(Property, TEXT, maybe(TEXT))),
    "extensions": several(XML),
    "payload": maybe(PAYLOADS),
}
FORMS = maybe(st.sampled_from([TypedForm("CreateX", "urn:profile#"), TypedForm("ХResponseMessage", "urn:x?a=b&c")]))


def built(kind: Kind, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(Message, kind=st.just(kind), form=FORMS, **fields)


MESSAGES = (
    built(Kind.REQUEST, verb=st.sampled_from(sorted(REQUEST_VERBS)), request=maybe(REQUESTS), **HEADER)
    | built(Kind.RESPONSE, verb=st.just("reply"), reply=REPLIES, **HEADER)
    | built(Kind.EVENT, verb=st.sampled_from(sorted(EVENT_VERBS)), **HEADER)
    | built(Kind.FAULT, reply=REPLIES)
)

slow = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.requirement("R-5.4b")
@slow
@given(MESSAGES)
def test_what_is_written_is_read_back_as_it_was(message: Message) -> None:
    assert decode(encode(message)) == message


@slow
@given(MESSAGES)
def test_what_is_written_in_the_generic_form_is_valid_by_our_schema(message: Message) -> None:
    written = etree.fromstring(encode(replace(message, form=None)))

    assert schema().validate(written), schema().error_log


@pytest.mark.requirement("R-5.4b")
@slow
@given(MESSAGES)
def test_what_is_written_is_valid_by_the_reference_verdict(oracle: Path, message: Message) -> None:
    standard = loaded(oracle)

    assert standard.verdict(encode(message), standard.judge) == ""


@slow
@given(MESSAGES)
def test_a_message_does_not_grow_from_hop_to_hop(message: Message) -> None:
    once = encode(message)

    assert encode(decode(encode(decode(once)))) == once


ANY_TEXT = st.text(max_size=6)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_is_written_validly_or_refused(a: str, b: str, c: str, d: str) -> None:
    error = Error(code=a, xpath=f"{{{b}}}{c}" if b else c)
    message = Message(kind=Kind.FAULT, reply=ReplyPart(result=Result.OK, errors=(error,), ids=(ID(d, a, b),)))
    forms = [None, TypedForm(a, "urn:x"), TypedForm("X", b), TypedForm(c, d)]
    for one in [message, *(replace(message, form=form) for form in forms)]:
        try:
            written = encode(one)
        except InvalidMessage:
            continue

        assert decode(written) == one


@given(
    st.text("0123456789-+:TZ. \u00a0\t٣", max_size=24) | st.from_regex(r"-?\d{4,19}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?")
)
def test_a_time_is_written_exactly_where_it_can_be_read(text: str) -> None:
    message = Message(kind=Kind.EVENT, verb="created", timestamp=text)
    by_hand = encode(replace(message, timestamp=None)).replace(
        b"</Header>", f"<Timestamp>{text}</Timestamp></Header>".encode()
    )

    assert is_written(message) == is_read(by_hand)


def is_written(message: Message) -> bool:
    try:
        encode(message)
    except InvalidMessage:
        return False
    return True


def is_read(data: bytes) -> bool:
    try:
        decode(data, limits=Limits())
    except EnvelopeError:
        return False
    return True


_LOADED: dict[Path, Any] = {}


def loaded(oracle: Path) -> Any:
    """Return the reference verdict's module, with its schema as `judge`."""
    if oracle not in _LOADED:
        spec = importlib.util.spec_from_file_location("standard", oracle / "standard.py")
        assert spec is not None
        assert spec.loader is not None
        _LOADED[oracle] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.judge = module.schema()  # type: ignore[attr-defined]
    return _LOADED[oracle]
