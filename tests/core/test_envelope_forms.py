"""The generic form, the typed form and the SOAP wrapper; every root and every element."""

import importlib
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest
from lxml import etree

from iec62746._forms import reply_form
from iec62746._schema import schema
from iec62746.envelope import decode, element, encode, payload
from iec62746.errors import EnvelopeError, InvalidMessage, Rule
from iec62746.message import (
    ID,
    NAMESPACE,
    Error,
    IDKind,
    Kind,
    Level,
    Location,
    Message,
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
)

PROFILE = "http://iec.ch/TC57/2016/DERGroupsMessage"
ITEM = element('<DERGroups xmlns="http://iec.ch/TC57/2016/DERGroups#"><mRID>1</mRID></DERGroups>')
EXTENSION = element('<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>')
IDENTIFIER = ID("1", id_type="t", id_authority="a>b", kind=IDKind.UUID, object_type="o")
FULL = Message(
    kind=Kind.REQUEST,
    verb="create",
    noun="DERGroups",
    revision="2.0",
    replay_detection=ReplayDetection(nonce="n", created="2026-11-23T08:00:00Z"),
    context="TESTING",
    timestamp="2026-11-23T08:00:00.000Z",
    source="grid-operator",
    async_reply_flag=True,
    reply_address="somewhere",
    ack_required=False,
    user=User(user_id="u", organization="o"),
    message_id="1",
    correlation_id="2",
    comment="c",
    properties=(
        Property("Destination", "ven-1"),
        Property("Destination", "ven-2"),
        Property("empty"),
        Property("", ""),
    ),
    extensions=(EXTENSION, EXTENSION),
    request=RequestPart(
        start_time="2026-11-23T08:00:00",
        end_time="2026-11-23T09:00:00+01:00",
        options=(Option("Node", "price.north"), Option("a")),
        ids=(IDENTIFIER, ID("2")),
        extensions=(EXTENSION,),
    ),
    payload=Payload(items=(ITEM, ITEM), format="XML"),
)
REPLY = ReplyPart(
    result=Result.PARTIAL,
    errors=(
        Error(
            code="2.9",
            level=Level.FATAL,
            reason="r",
            details="d",
            xpath="{urn:q}name",
            stack_trace="s\n t",
            location=Location(node="n", pipeline="p", stage="s"),
            id=IDENTIFIER,
            related_id=IDENTIFIER,
            operation_id=-7,
        ),
        Error(code="0.0"),
    ),
    ids=(IDENTIFIER,),
    extensions=(EXTENSION,),
    operation_id=10**30,
)
RESPONSE = Message(kind=Kind.RESPONSE, verb="reply", noun="DERGroups", reply=REPLY)
EVENT = Message(kind=Kind.EVENT, verb="created", noun="DERGroups", payload=Payload(items=(ITEM,)))
FAULT = Message(kind=Kind.FAULT, reply=ReplyPart(result=Result.FAILED))
SET = OperationSet(
    enforce_msg_sequence=True,
    enforce_transactional_integrity=False,
    operations=(
        Operation(operation_id=1, noun="DERGroups", verb="create", element_operation=True, item=ITEM),
        Operation(operation_id=2),
    ),
)
EVERYTHING = [
    FULL,
    RESPONSE,
    EVENT,
    FAULT,
    replace(FULL, payload=Payload(operation_set=SET, format="XML")),
    replace(FULL, payload=Payload(ids=(IDENTIFIER, ID("")))),
    replace(FULL, payload=Payload(compressed="no gzip")),
    replace(FULL, payload=Payload()),
    replace(EVENT, payload=None),
]


# ---------------------------------------------------------------- the generic form


@pytest.mark.requirement("R-5.4b")
@pytest.mark.parametrize("message", EVERYTHING)
def test_every_element_is_written_validly_and_read_back(message: Message) -> None:
    data = encode(message)

    assert schema().validate(etree.fromstring(data)), schema().error_log
    assert decode(data) == message


@pytest.mark.requirement("R-5.4")
def test_source_destinations_id_verb_and_payload_are_where_the_header_has_them() -> None:
    root = etree.fromstring(encode(FULL))
    texts = {child.tag: child.text for child in root[0]}

    destinations = root.findall(f".//{{{NAMESPACE}}}Property/{{{NAMESPACE}}}Value")
    assert texts[f"{{{NAMESPACE}}}Source"] == "grid-operator"
    assert texts[f"{{{NAMESPACE}}}MessageID"] == "1"
    assert texts[f"{{{NAMESPACE}}}Verb"] == "create"
    assert [one.text for one in destinations][:2] == list(FULL.destinations) == ["ven-1", "ven-2"]
    assert root[-1][0].tag == "{http://iec.ch/TC57/2016/DERGroups#}DERGroups"


def test_what_is_written_is_utf_8_without_a_byte_order_mark_and_without_soap() -> None:
    data = encode(replace(EVENT, comment="é"))

    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<EventMessage xmlns="')
    assert "é".encode() in data


@pytest.mark.parametrize(
    ("message", "kind"),
    [(FULL, Kind.REQUEST), (replace(FULL, request=None), Kind.REQUEST), (RESPONSE, Kind.RESPONSE), (EVENT, Kind.EVENT)],
)
def test_the_root_message_is_the_kind_that_its_parts_make_it(message: Message, kind: Kind) -> None:
    data = encode(message).replace(message.kind.encode(), b"Message")

    assert decode(data) == replace(message, kind=kind)


def test_attributes_of_the_root_are_dropped() -> None:
    data = encode(EVENT).replace(b"<EventMessage", b'<EventMessage a="b" xmlns:x="urn:x" x:c="d"')

    assert decode(data) == EVENT


@pytest.mark.parametrize("attribute", ['xsi:type="xs:string"', 'xsi:type="xs:token"', 'xsi:schemaLocation="a b"'])
def test_what_xml_schema_lets_stand_on_every_element_is_taken(attribute: str) -> None:
    spaces = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema"'

    assert decode(encode(EVENT).replace(b"<Noun", f"<Noun {spaces} {attribute}".encode())) == EVENT


@pytest.mark.parametrize(
    "attribute", ['xsi:nil="true"', 'xsi:type="xs:integer"', 'xml:lang="en"', 'xml:space="preserve"']
)
def test_what_it_does_not_is_refused(attribute: str) -> None:
    spaces = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema"'

    with pytest.raises(EnvelopeError):
        decode(encode(EVENT).replace(b"<Noun", f"<Noun {spaces} {attribute}".encode()))


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("a<!-- c -->b<?p i?>c", "abc"),
        ("<![CDATA[<a>]]>&amp;&#65;&#x42;", "<a>&AB"),
        ("a\r\nb\rc&#13;d", "a\nb\nc\rd"),
        (" a\t\n", " a\t\n"),
        ("<!-- only -->", ""),
        ("]]&gt;'\"", "]]>'\""),
    ],
)
def test_text_is_what_xml_says_it_is(xml: str, text: str) -> None:
    data = encode(replace(EVENT, comment="X")).replace(b">X<", f">{xml}<".encode())

    message = decode(data)

    assert message.comment == text
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    ("xml", "name"),
    [
        ('<xpath xmlns:q="urn:q"> q:a\n</xpath>', "{urn:q}a"),
        ("<xpath>a</xpath>", f"{{{NAMESPACE}}}a"),
        (f'<m:xpath xmlns:m="{NAMESPACE}" xmlns="">a</m:xpath>', "a"),
        (f'<m:xpath xmlns:m="{NAMESPACE}" xmlns="urn:q">a</m:xpath>', "{urn:q}a"),
        ("<xpath>xml:lang</xpath>", "{http://www.w3.org/XML/1998/namespace}lang"),
    ],
)
def test_a_qname_is_read_with_the_namespaces_in_scope(xml: str, name: str) -> None:
    error = Error(code="1", xpath=f"{{{NAMESPACE}}}X")
    data = encode(replace(FAULT, reply=ReplyPart(result=Result.OK, errors=(error,))))

    message = decode(data.replace(b"<xpath>X</xpath>", xml.encode()))

    assert message.reply is not None
    assert message.reply.errors[0].xpath == name
    assert decode(encode(message)) == message


# ---------------------------------------------------------------- the typed form


@pytest.mark.requirement("R-5.4b")
@pytest.mark.parametrize(
    ("message", "name"),
    [
        (FULL, "CreateDERGroups"),
        (RESPONSE, "DERGroupsResponseMessage"),
        (EVENT, "CreatedDERGroups"),
        (FAULT, "DERGroupsFaultMessage"),
    ],
)
def test_a_typed_message_is_written_typed_and_read_back(message: Message, name: str) -> None:
    typed = replace(message, form=TypedForm(name, PROFILE))

    root = etree.fromstring(encode(typed))

    assert [root.tag, root[0].tag] == [f"{{{PROFILE}}}{name}", f"{{{PROFILE}}}{etree.QName(root[0]).localname}"]
    assert etree.QName(root[0][0]).namespace == NAMESPACE
    assert decode(encode(typed)) == typed


def test_payloads_own_elements_are_recognised_in_the_profiles_namespace() -> None:
    data = f"""<CreateX xmlns="{PROFILE}" xmlns:m="{NAMESPACE}">
        <Header><m:Verb>create</m:Verb><m:Noun>X</m:Noun></Header>
        <Payload><ID kind="uuid">1</ID><Format>XML</Format></Payload></CreateX>"""

    message = decode(data.encode())

    assert message.form == TypedForm("CreateX", PROFILE)
    assert message.payload == Payload(ids=(ID("1", kind=IDKind.UUID),), format="XML")


def test_payloads_own_elements_are_recognised_in_any_namespace_of_the_generic_form_too() -> None:
    data = encode(EVENT).replace(bytes(ITEM), b'<ID xmlns="urn:x">1</ID>')

    assert decode(data).payload == Payload(ids=(ID("1"),))


def test_a_root_of_any_name_is_read_as_generic_where_its_parts_are_not_of_its_namespace() -> None:
    data = encode(EVENT).replace(b"EventMessage", b"whatever")

    assert decode(data) == EVENT
    assert decode(data.replace(b"<whatever xmlns=", b'<x:whatever xmlns:x="urn:x" xmlns=').replace(b"</", b"</x:", 0)
                  .replace(b"</whatever", b"</x:whatever")) == EVENT  # fmt: skip


def test_a_prefix_that_a_payload_seems_to_use_is_not_taken() -> None:
    item = element('<a xmlns="urn:a">t0: 5, t1:x</a>')
    message = replace(EVENT, payload=Payload(items=(item,)), form=TypedForm("CreatedX", PROFILE))

    data = encode(message)

    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<t2:CreatedX xmlns:t2=')
    assert decode(data) == message


@pytest.mark.parametrize(
    "form",
    [
        TypedForm("Create X", PROFILE),
        TypedForm("", PROFILE),
        TypedForm("a:b", PROFILE),
        TypedForm("CreateX", ""),
        TypedForm("CreateX", NAMESPACE),
        TypedForm("CreateX", "http://www.w3.org/XML/1998/namespace"),
        TypedForm("CreateX", "no uri {}"),
        TypedForm("EventMessage", PROFILE),
        TypedForm("Create\ud800", PROFILE),
        TypedForm("CreateX", "\ud800"),
    ],
)
def test_what_is_no_typed_form_is_not_written(form: TypedForm) -> None:
    with pytest.raises(InvalidMessage, match="no typed form"):
        encode(replace(EVENT, form=form))


def test_a_verb_that_would_make_a_typed_message_another_kind_is_not_written() -> None:
    with pytest.raises(InvalidMessage, match="makes it a RequestMessage"):
        encode(replace(EVENT, verb="create", form=TypedForm("CreateX", PROFILE)))


def test_a_reply_has_the_form_of_its_request() -> None:
    form = TypedForm("CreateDERGroups", PROFILE)

    assert reply_form(None, "DERGroups") is None
    assert reply_form(form, "DERGroups") == TypedForm("DERGroupsResponseMessage", PROFILE)
    assert reply_form(form, "DERGroups", Kind.FAULT) == TypedForm("DERGroupsFaultMessage", PROFILE)


# ---------------------------------------------------------------- SOAP


def soap(data: bytes, version: str = "http://www.w3.org/2003/05/soap-envelope", declared: str = "") -> bytes:
    text = data.decode().partition("?>")[2]
    return f'<s:Envelope xmlns:s="{version}" {declared}><s:Header/><s:Body>{text}</s:Body></s:Envelope>'.encode()


@pytest.mark.requirement("R-5.4b")
@pytest.mark.parametrize("form", [None, TypedForm("CreatedDERGroups", PROFILE)])
@pytest.mark.parametrize(
    "version", ["http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"]
)
def test_a_soap_wrapper_is_taken_off(version: str, form: TypedForm | None) -> None:
    message = replace(EVENT, form=form)

    assert decode(soap(encode(message), version)) == message


def test_a_prefix_that_only_the_wrapper_declares_is_kept_where_an_item_uses_it() -> None:
    xml = '<a xmlns="urn:a" x:b="1"><c y:type="z:T">v:w</c></a>'
    wrapped = soap(encode(EVENT).replace(bytes(ITEM), xml.encode()), declared=spaces("v", "w", "x", "y", "z"))

    message = decode(wrapped)

    [item] = payload_of(message).items
    assert c14n(item) == c14n(xml.replace("<a", f"<a {spaces('x', 'y')}").encode())
    assert etree.fromstring(item).nsmap == {None: "urn:a"} | {name: f"urn:{name}" for name in "vxyz"}
    assert decode(encode(message)) == message


def test_a_qname_whose_prefix_only_the_wrapper_declares_is_refused_as_by_the_reference() -> None:
    error = Error(code="1", xpath=f"{{{NAMESPACE}}}X")
    data = encode(replace(FAULT, reply=ReplyPart(result=Result.OK, errors=(error,))))

    with pytest.raises(EnvelopeError) as caught:
        decode(soap(data.replace(b">X<", b">q:X<"), declared=spaces("q")))

    assert caught.value.rule is Rule.QNAME


def spaces(*names: str) -> str:
    return " ".join(f'xmlns:{name}="urn:{name}"' for name in names)


def c14n(data: bytes) -> Any:
    return etree.tostring(etree.fromstring(data), method="c14n", exclusive=True)


# ---------------------------------------------------------------- items


@pytest.mark.requirement("R-5.3")
@pytest.mark.parametrize(
    "xml",
    [
        '<x:a xmlns:x="urn:x"><b/><c xmlns="urn:c"/></x:a>',
        '<x:a xmlns:x="urn:x" b=">" c=\'"\' d="&#10;&#9;&#13;&lt;"/>',
        '<a xmlns="urn:a"><!-- kept --><?kept too?><b xmlns=""/>&#13;</a>',
        '<a xmlns="urn:a" xml:space="preserve"> <b/> </a>',
        '<é xmlns="urn:a">\U0001f600</é>',
        '<a xmlns="urn:a" xmlns:idle="urn:idle"/>',
        '<m:a xmlns:m="urn:m"/>',
        '<a-b.c xmlns="urn:a"/>',
    ],
)
def test_an_item_means_the_same_standing_alone_and_in_any_envelope(xml: str) -> None:
    plain = replace(EVENT, payload=payload(xml))
    for message in (plain, replace(plain, form=TypedForm("CreatedX", PROFILE)), replace(plain, ack_required=True)):
        [item] = payload_of(decode(encode(message))).items
        [wrapped] = payload_of(decode(soap(encode(message)))).items

        assert c14n(item) == c14n(wrapped) == c14n(xml.encode())
        assert decode(encode(message)) == message


@pytest.mark.parametrize("prefix", ["", "m"])
def test_an_item_that_uses_the_namespace_of_the_envelope_around_it_keeps_it(prefix: str) -> None:
    mark = f"{prefix}:" if prefix else ""
    space = f"xmlns:{prefix}" if prefix else "xmlns"
    item = f'<x:a xmlns:x="urn:x" b="{mark}T"><{mark}Verb/></x:a>'
    names = "EventMessage Header Verb Noun Payload".split()
    parts = f"<Header><Verb>created</Verb><Noun></Noun></Header><Payload>{item}</Payload>"
    for name in names:
        parts = parts.replace(f"<{name}>", f"<{mark}{name}>").replace(f"</{name}>", f"</{mark}{name}>")
    data = f'<{mark}EventMessage {space}="{NAMESPACE}">{parts}</{mark}EventMessage>'

    message = decode(data.encode())

    root = etree.fromstring(payload_of(message).xml)
    assert root[0].tag == f"{{{NAMESPACE}}}Verb"
    assert root.nsmap[prefix or None] == NAMESPACE
    assert decode(encode(message)) == message


def payload_of(message: Message) -> Payload:
    assert message.payload is not None
    return message.payload


@pytest.mark.parametrize(
    "value", ['<a xmlns="urn:a"/>', b'<?xml version="1.0"?><a xmlns="urn:a"/>', etree.XML('<a xmlns="urn:a"/>')]
)
def test_an_item_may_be_given_as_text_octets_or_element(value: Any) -> None:
    assert element(value) == b'<a xmlns="urn:a"/>'


def test_the_declared_encoding_of_text_says_nothing() -> None:
    assert element('<?xml version="1.0" encoding="UTF-16"?><a xmlns="urn:a">é</a>') == '<a xmlns="urn:a">é</a>'.encode()


@pytest.mark.parametrize(
    "value",
    [
        "<a/>",
        f'<Verb xmlns="{NAMESPACE}"/>',
        "text",
        "",
        '<a xmlns="urn:a">',
        '<a xmlns="urn:a"/><b/>',
        '<!DOCTYPE a><a xmlns="urn:a"/>',
        '<a xmlns="urn:a">\ud800</a>',
        '<a xmlns="urn:a">\x00</a>',
    ],
)
def test_what_is_not_one_element_in_a_namespace_of_its_own_is_no_item(value: str) -> None:
    with pytest.raises(InvalidMessage):
        element(value)


# ---------------------------------------------------------------- what cannot be written


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (replace(EVENT, verb="fetch"), "no verb"),
        (replace(EVENT, verb=""), "no verb"),
        (replace(EVENT, noun="\x00"), r"U\+0000"),
        (replace(EVENT, source="\ud800"), r"U\+D800"),
        (replace(EVENT, timestamp="today"), "no xs:dateTime"),
        (replace(EVENT, request=RequestPart()), "has no Request"),
        (replace(EVENT, reply=REPLY), "has no Reply"),
        (replace(RESPONSE, reply=None), "has a Reply"),
        (replace(RESPONSE, request=RequestPart()), "has no Request"),
        (replace(FAULT, verb="reply"), "only a Reply"),
        (replace(FAULT, correlation_id="1"), "only a Reply"),
        (replace(FAULT, payload=Payload()), "only a Reply"),
        (replace(EVENT, payload=Payload(items=(b"<a/>",))), "namespace of its own"),
        (replace(EVENT, extensions=(b"no XML",)), "not well-formed"),
        (replace(EVENT, vendor=(b"<a/>",)), "vendor"),
        (replace(FAULT, reply=replace(REPLY, errors=(Error(code="1", xpath="a b"),))), "no QName"),
        (replace(FAULT, reply=replace(REPLY, errors=(Error(code="1", xpath="{urn:a"),))), "no QName"),
    ],
)
def test_what_the_schema_has_no_place_for_is_not_written(message: Message, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        encode(message)


def test_a_payload_has_one_kind_of_content() -> None:
    for other in (Payload(ids=(ID("1"),)), Payload(compressed=""), Payload(operation_set=SET)):
        with pytest.raises(InvalidMessage, match="give one of them"):
            replace(other, items=(ITEM,))


def test_the_codec_needs_no_io() -> None:
    assert not {"asyncio", "socket"} & set(vars(importlib.import_module("iec62746.envelope")))


class Site(str, Enum):  # noqa: UP042  # a StrEnum formats as its value, this one as its name
    """What an application may have for names."""

    NORTH = "north & south"
    EAST = "east"


def test_a_string_that_is_an_enum_is_written_by_its_value() -> None:
    message = Message(
        kind=Kind.REQUEST,
        verb="get",
        noun="MeterReadings",
        source=Site.EAST,
        comment=Site.NORTH,
        properties=(Property(Site.EAST, Site.EAST), Property(Site.EAST, Site.NORTH), Property(Site.EAST)),
        request=RequestPart(ids=(ID(Site.EAST),)),
    )

    read = decode(encode(message))

    assert read == message
    assert b"Site." not in encode(message)
