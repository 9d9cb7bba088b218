"""What the pattern of plain documents reads is what the walk of the tree reads, whatever the document."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from iec62746 import _forms, _plain, _read
from iec62746._parser import parse
from iec62746._schema import schema
from iec62746.envelope import decode, element, encode
from iec62746.errors import EnvelopeError
from iec62746.limits import Limits
from iec62746.message import NAMESPACE, Kind, Message, Payload, Property, Result

LIMITS = Limits()
ITEM = '<DERGroups xmlns="http://iec.ch/TC57/2016/DERGroups#"><mRID>1</mRID></DERGroups>'
HEADER = "<Header><Verb>created</Verb><Noun>DERGroups</Noun>%s</Header>"
PROPERTY = "<Property><Name>Destination</Name><Value>ven-1</Value></Property>"
PLAIN = f'<EventMessage xmlns="{NAMESPACE}">{HEADER % PROPERTY}<Payload>{ITEM}</Payload></EventMessage>'


def by_pattern(data: bytes) -> Message | None:
    return _plain.message(data, Limits())


def by_tree(data: bytes, limits: Limits = LIMITS) -> Message:
    root = parse(data, limits)
    return _read.message(root, Kind(etree.QName(root).localname))


def canonical(message: Message) -> Message:
    """Return `message` with its items in exclusive C14N: the pattern keeps their spelling, the tree does not."""
    items = [etree.tostring(etree.fromstring(item), method="c14n", exclusive=True) for item in items_of(message)]
    return replace(message, payload=replace(message.payload, items=tuple(items))) if message.payload else message


def items_of(message: Message) -> tuple[bytes, ...]:
    return message.payload.items if message.payload else ()


def event(header: str = "", payload: str = f"<Payload>{ITEM}</Payload>", before: str = "", after: str = "") -> str:
    return f'{before}<EventMessage xmlns="{NAMESPACE}">{HEADER % header}{payload}</EventMessage>{after}'


def reply(reason: str, payload: str = f"<Payload>{ITEM}</Payload>") -> str:
    header = "<Header><Verb>reply</Verb><Noun/></Header>".replace("<Noun/>", "<Noun></Noun>")
    error = f"<Error><code>0.0</code>{reason}</Error>"
    part = f"<Reply><Result>OK</Result>{error}</Reply>"
    return f'<ResponseMessage xmlns="{NAMESPACE}">{header}{part}{payload}</ResponseMessage>'


PLAIN_DOCUMENTS = [
    event(),
    event(before='<?xml version="1.0" encoding="UTF-8"?>\n', after="\n"),
    event(before='\ufeff<?xml version="1.0"?>'),
    event(PROPERTY * 3),
    event(payload=f"\n <Payload>\n  {ITEM}\n </Payload>\n"),
    event(payload='<Payload><a xmlns="urn:u"><![CDATA[</Payload>]]></a></Payload>'),
    event(payload='<Payload><a xmlns="urn:u"><Payload/><!-- </Payload> --></a></Payload>'),
    event(payload='<Payload><IDs xmlns="urn:u">&lt;</IDs></Payload>'),
    event(payload='<Payload><x:a xmlns:x="urn:u"><b/></x:a></Payload>'),
    event(payload='<Payload><x:a xmlns="" xmlns:x="urn:u"></x:a></Payload>'),
    event(payload='<Payload><x:a y:b="1" xmlns:x="urn:u" xmlns:y="urn:v" xmlns="urn:w"><b/></x:a></Payload>'),
    event(payload='<Payload><x:a b=" xmlns=" c="&gt;" xmlns:x="urn:u"><b/></x:a></Payload>'),
    event(payload=f'<Payload><x:a xmlns:x="urn:u" xmlns:m="{NAMESPACE}"><m:b/></x:a></Payload>'),
    event(payload=""),
    reply("<reason>what!? &lt;Reply&gt;</reason>"),
    reply("", payload=""),
    reply("<reason></reason>"),
    reply(" \n<reason>a\n</reason> \n", payload=""),
    reply("<level>FATAL</level>"),
    reply("<reason>a</reason><details>b</details>"),
    reply("<reason>a</reason></Error><Error><code>1</code>"),
    reply("").replace("<Error><code>0.0</code></Error>", ""),
    reply("").replace("OK", "PARTIAL"),
]
OTHER_DOCUMENTS = [
    event("<Source>a > b</Source>" + PROPERTY),
    event(before="<!-- c -->"),
    event(after="<!-- </Payload> -->"),
    event("<!-- <Property> -->" + PROPERTY),
    event(f"<!--{PROPERTY}-->" + PROPERTY),
    event("<Source>a&amp;b</Source>"),
    event("<Source>a\rb</Source>"),
    event("<Source><![CDATA[</Header>]]></Source>"),
    event("<Source>a<!-- c -->b<?p i?>c</Source>"),
    event("<AckRequired>true</AckRequired>" + PROPERTY),
    event("<Property><Name>a</Name></Property>" + PROPERTY),
    event('<a xmlns="urn:u"><Header></Header><Payload><b xmlns="urn:v"/></Payload></a>'),
    event(payload=f"<!-- <Payload> --><Payload>{ITEM}</Payload>"),
    event(payload=f"<Payload><!-- c -->{ITEM}</Payload>"),
    event(payload=f"<Payload>{ITEM}<?p i?></Payload>"),
    event(payload=f"<Payload><![CDATA[ ]]>{ITEM}</Payload>"),
    event(payload=f"<Payload>{ITEM}<![CDATA[ ]]></Payload>"),
    event(payload=f"<Payload>{ITEM}{ITEM}</Payload>"),
    event(payload=f"<Payload>{ITEM}<Format>XML</Format></Payload>"),
    event(payload='<Payload><x:a b="&gt; >" xmlns:x="urn:u" c=\' xmlns="urn:v"\'><b/></x:a></Payload>'),
    event(payload='<Payload><a\nxmlns="urn:u" b=">"/></Payload>'),
    event(payload="<Payload><a xmlns='urn:u'/></Payload>"),
    event(payload='<Payload><a xmlns = "urn:u"/></Payload>'),
    event(payload="<Payload><ID>1</ID></Payload>"),
    event(payload="<Payload><Compressed>1</Compressed></Payload>"),
    event(payload="<Payload/>"),
    event(payload='<Payload><x:a xmlns:x="urn:u" b=">"><b/></x:a></Payload>'),
    event(payload='<Payload><a xmlns="urn:u"/></Payload>'),
    event(payload=f"<Payload >{ITEM}</Payload >"),
    event(payload='<Payload><x:Compressed xmlns:x="urn:u">1</x:Compressed></Payload>'),
    event(payload='<Payload><x:ID xmlns:x="urn:u">1</x:ID></Payload>'),
    event(payload='<Payload><x:Format xmlns:x="urn:u">1</x:Format></Payload>'),
    reply('<reason>a</reason></Error><a xmlns="urn:u"><Reply></Reply></a><Error xmlns="urn:u">'),
    reply("<reason><![CDATA[</Reply>]]></reason>"),
    PLAIN.replace(f'xmlns="{NAMESPACE}"', f'xmlns="{NAMESPACE}" xmlns:x="urn:u"'),
    PLAIN.replace(f'xmlns="{NAMESPACE}"', f"xmlns='{NAMESPACE}'"),
    PLAIN.replace("><", ">\r\n<"),
]


@pytest.mark.parametrize("text", PLAIN_DOCUMENTS)
def test_a_plain_document_is_read_by_its_pattern_as_the_tree_would_be(text: str) -> None:
    data = text.encode()

    found = by_pattern(data)

    assert schema().validate(etree.fromstring(data)), schema().error_log
    assert found is not None
    assert canonical(found) == canonical(by_tree(data))


@pytest.mark.parametrize("text", OTHER_DOCUMENTS)
def test_a_document_that_is_not_plain_is_left_to_the_tree(text: str) -> None:
    data = text.encode()

    assert schema().validate(etree.fromstring(data)), schema().error_log
    assert by_pattern(data) is None


INVALID_DOCUMENTS = [
    event().replace("created", "Created"),
    event().replace("created", " created"),
    event("<Timestamp>today</Timestamp>"),
    event("text" + PROPERTY),
    event("<Source>]]></Source>"),
    event("<Source>\x01</Source>"),
    event("<Source>\ufffe</Source>"),
    event(before="\xa0"),
    event(after="\xa0"),
    event(payload="", after="\xa0"),
    event(payload="", after="\x0c"),
    event(payload="\xa0"),
    event(payload=f"<Payload>{ITEM}\xa0</Payload>"),
    event(payload=f"<Payload>{ITEM}</Payload>\u2003"),
    event(payload=f"<Payload>\xa0{ITEM}</Payload>"),
    event(before='<?xml version="1.0"\xa0?>'),
    event(PROPERTY + "text"),
    event(PROPERTY + "text" + PROPERTY),
    event(PROPERTY.replace("<Value>", "text<Value>")),
    event("<Source>a</Source>text"),
    event(f"{PROPERTY}<Source>a</Source>"),
    event(payload=f"text<Payload>{ITEM}</Payload>"),
    event(payload=f"<Payload>{ITEM}</Payload>text"),
    event(payload=f"<Payload>text{ITEM}</Payload>"),
    event(payload=f"<Payload>{ITEM}text</Payload>"),
    event(payload=f"<Payload>{ITEM}/></Payload>"),
    event(payload=f"<Payload>{ITEM}<![CDATA[</DERGroups>]]></Payload>"),
    event(payload='<Payload><a xmlns="urn:u"/>></Payload>'),
    event(payload=f"<Payload>{ITEM}</Payload><Payload>{ITEM}</Payload>"),
    event(payload=f"<Payload>{ITEM}</Payload>{ITEM}"),
    event(payload="text"),
    event(payload='<Payload><a xmlns=""></a></Payload>'),
    event(payload="<Payload><a></a></Payload>"),
    event(payload=f'<Payload><a xmlns="{NAMESPACE}"></a></Payload>'),
    event(payload=f'<Payload><a xmlns="{NAMESPACE.replace("/", "&#47;")}"></a></Payload>'),
    event(payload=f'<Payload><x:a xmlns="urn:u" xmlns:x="{NAMESPACE}"></x:a></Payload>'),
    event(payload="<Request></Request>"),
    reply("<Nothing/>"),
    reply("<reason>a</reason><level>FATAL</level>"),
    reply("text"),
    reply("").replace(">OK<", ">ok<"),
    event().replace("<Payload>", "<Reply><Result>OK</Result></Reply><Payload>"),
    event("<Timestamp>2026-01-01T00:00:59.99999999999999Z</Timestamp>"),
    event("<Timestamp>2026-01-31T00:00:59.99999999999999+01:00</Timestamp>"),
    *(PLAIN.replace("iec.ch", f"iec{one}ch") for one in 'x"<&>\x00\r'),
    PLAIN.replace("EventMessage", "ResponseMessage"),
    PLAIN.replace("EventMessage", "FaultMessage"),
]


def _is_valid(data: bytes) -> bool:
    try:
        return schema().validate(etree.fromstring(data))
    except etree.XMLSyntaxError:
        return False


@pytest.mark.parametrize("text", INVALID_DOCUMENTS)
def test_a_document_that_is_not_valid_never_fits_the_pattern(text: str) -> None:
    data = text.encode()

    assert not _is_valid(data)
    assert by_pattern(data) is None
    with pytest.raises(EnvelopeError):
        decode(data)


@pytest.mark.parametrize("text", [*PLAIN_DOCUMENTS, *OTHER_DOCUMENTS])
def test_what_is_read_either_way_is_written_and_read_as_the_same_octets(text: str) -> None:
    message = decode(text.encode())

    assert decode(encode(message)) == message


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"])
def test_the_encoding_makes_no_difference(codec: str) -> None:
    name = {"utf-8-sig": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}.get(codec, codec)
    text = event("<Source>Köln</Source>", before=f'<?xml version="1.0" encoding="{name}"?>\n')

    message = decode(text.encode(codec))

    assert message.source == "Köln"
    assert canonical(message) == canonical(decode(event("<Source>Köln</Source>").encode()))


def test_what_is_read_by_pattern_is_frozen_and_of_the_public_classes() -> None:
    message = by_pattern(PLAIN.encode())

    assert message == Message(
        kind=Kind.EVENT,
        verb="created",
        noun="DERGroups",
        properties=(Property("Destination", "ven-1"),),
        payload=Payload(items=(element(ITEM),)),
    )
    assert isinstance(message, Message)
    assert [type(message), type(message.payload), type(message.properties[0])] == [Message, Payload, Property]
    assert hash(message) == hash(replace(message))
    with pytest.raises(AttributeError):
        message.verb = "changed"  # type: ignore[misc]  # that is what is refused


def test_a_reply_is_read_with_its_part() -> None:
    message = by_pattern(reply("<reason>fine</reason>").encode())

    assert message is not None
    assert message.reply is not None
    assert (message.reply.result, message.reply.errors[0].reason) == (Result.OK, "fine")


def test_a_document_over_a_limit_never_fits_the_pattern() -> None:
    data = event(PROPERTY).encode()
    few = Limits(depth=3)

    assert _plain.message(data, Limits(message=len(data))) is not None
    assert _plain.message(data, Limits(message=len(data) - 1)) is None
    assert _plain.message(data, few) is None
    with pytest.raises(EnvelopeError, match="deeper than 3"):
        decode(data, limits=few)


@pytest.mark.parametrize("few", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("declared", range(9))
@pytest.mark.parametrize("own", ['xmlns="urn:u"', 'xmlns="" xmlns:x="urn:u"', 'xmlns:x="urn:u"'])
def test_namespaces_count_as_they_would_in_the_whole(few: int, declared: int, own: str) -> None:
    name = "a" if own == 'xmlns="urn:u"' else "x:a"
    more = "".join(f' xmlns:n{number}="urn:{number}"' for number in range(declared))
    data = event(payload=f"<Payload><{name} {own}{more}></{name}></Payload>").encode()
    limits = Limits(attributes=few)
    try:
        expected = by_tree(data, limits)
    except EnvelopeError:
        assert _plain.message(data, limits) is None
        with pytest.raises(EnvelopeError, match="declared in one place"):
            decode(data, limits=limits)
    else:
        assert canonical(expected) == canonical(decode(data, limits=limits))


def test_text_that_is_too_long_for_libxml2_never_fits_the_pattern() -> None:
    limits = Limits(message=30_000_000)
    for octets in (9_000_000, 10_000_001):
        data = event(f"<Source>{'a' * octets}</Source>").encode()
        try:
            parse(data, limits)
        except EnvelopeError:
            assert _plain.message(data, limits) is None
        else:
            assert _plain.message(data, limits) is not None


@pytest.mark.parametrize(
    "item",
    [
        '<x:OperationSet xmlns:x="urn:u">1</x:OperationSet>',
        '<x:ID xmlns:x="urn:u" foo="1"></x:ID>',
        '<x:ID xmlns:x="urn:u"><x:b></x:b></x:ID>',
    ],
)
def test_what_is_payloads_own_in_another_namespace_is_read_as_its_own(item: str) -> None:
    data = event(payload=f"<Payload>{item}</Payload>").encode()

    assert by_pattern(data) is None
    with pytest.raises(EnvelopeError):
        decode(data)


@pytest.mark.parametrize("nines", range(11, 40))
@pytest.mark.parametrize("zone", ["Z", "+01:00"])
def test_seconds_are_added_up_as_libxml2_does(nines: int, zone: str) -> None:
    data = event(f"<Timestamp>2026-01-31T00:00:59.{'9' * nines}{zone}</Timestamp>").encode()

    assert _is_valid(data) == (by_pattern(data) is not None)


def test_what_is_wrong_in_a_part_is_told_of_the_whole_document() -> None:
    data = reply("", payload="").replace("</Reply>", f"\n\n<operationId>{'1' * 5_000}</operationId></Reply>").encode()

    assert by_pattern(data) is None
    with pytest.raises(EnvelopeError) as told:
        decode(data)
    assert 3 == told.value.line


def test_what_is_in_payload_is_as_deep_as_in_the_whole() -> None:
    data = event(payload=f"<Payload><a xmlns='urn:u'>{'<b>' * 7}{'</b>' * 7}</a></Payload>".replace("'", '"')).encode()

    assert _plain.message(data, Limits(depth=10)) is not None
    assert decode(data, limits=Limits(depth=10)) == decode(data)
    assert _plain.message(data, Limits(depth=9)) is None
    with pytest.raises(EnvelopeError, match="deeper than 9"):
        decode(data, limits=Limits(depth=9))


PIECES = [
    "<!--", "-->", "<![CDATA[", "]]>", "<?p ", "?>", "&lt;", "&#33;", "<", ">", "\r\n", " ", "!", "?", '"', "'",
    "<Header>", "</Header>", "<Payload>", "</Payload>", "<Property><Name>a</Name>", "<Value>b</Value></Property>",
    "<Source>", "</Source>", '<a xmlns="urn:u">', "</a>", '<a xmlns="urn:u"/>', "<x:a xmlns:x='urn:u' b=\">\"/>",
    "<ID>", "</ID>", '<x:ID xmlns:x="urn:u">', "</x:ID>", '<x:Compressed xmlns:x="urn:u"></x:Compressed>',
    "</EventMessage>", "<Format/>", "a", "é", "\ufeff",
    "\xa0", "\x01", "\x0c", "\x85", "\uffff", "]", "]>",
]  # fmt: skip


@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data())
def test_both_ways_read_the_same_wherever_pieces_of_markup_are_strewn(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([*PLAIN_DOCUMENTS, *OTHER_DOCUMENTS, *INVALID_DOCUMENTS]))
    pieces = st.lists(st.sampled_from(PIECES), max_size=3)
    for _ in range(data.draw(st.integers(0, 3))):
        tags = [index for index, one in enumerate(text) if one in "<>"]
        at = data.draw(st.sampled_from(tags)) + data.draw(st.integers(0, 1))
        text = text[:at] + "".join(data.draw(pieces)) + text[at:]
    document = text.encode()
    try:
        root = parse(document, Limits())
        message = decode(document)
    except EnvelopeError:
        assert by_pattern(document) is None
        return
    assert by_pattern(document) is None or schema().validate(root), schema().error_log
    if schema().validate(root) and _forms.is_generic(root) and root.tag != f"{{{NAMESPACE}}}Message":
        assert canonical(message) == canonical(by_tree(document))
    assert decode(encode(message)) == message
