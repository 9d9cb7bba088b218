"""Bad input is an `EnvelopeError` with a rule of its own, a line, a path and the reply code: never a crash, never much
memory."""

import base64
import gzip
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iec62746._parser import MEMORY_MULTIPLE
from iec62746.envelope import Reading, decode, deflate, element, encode, inflate, payload
from iec62746.errors import EnvelopeError, InvalidMessage, Rule
from iec62746.limits import Limits
from iec62746.message import NAMESPACE, Kind, Message, Payload

EDITION_2 = "http://iec.ch/TC57/2021/schema/message"
HEADER = "<Header>\n<Verb>create</Verb><Noun>DERGroups</Noun>{}</Header>\n"
ITEM = element('<DERGroups xmlns="http://iec.ch/TC57/2016/DERGroups#"/>')


def request(header: str = "", rest: str = "", namespace: str = NAMESPACE) -> bytes:
    return f'<RequestMessage xmlns="{namespace}">\n{HEADER.format(header)}{rest}</RequestMessage>'.encode()


def reply(content: str, header: str = "<Header><Verb>reply</Verb><Noun/></Header>") -> bytes:
    return f'<ResponseMessage xmlns="{NAMESPACE}">\n{header}\n<Reply>\n{content}</Reply></ResponseMessage>'.encode()


def compressed(data: bytes) -> bytes:
    text = base64.b64encode(data).decode()
    return request(rest=f"<Payload><Compressed>{text}</Compressed></Payload>")


def refused(data: bytes, reading: str = Reading.STANDARD, limits: Limits | None = None) -> EnvelopeError:
    with pytest.raises(EnvelopeError) as caught:
        decode(data, reading=reading, limits=limits or Limits())
    return caught.value


# ---------------------------------------------------------------- what is no XML that we read

ATTRIBUTES = " ".join(f'a{number}="x"' for number in range(100_000))
MANY = Limits(message=4_194_304)


@pytest.mark.parametrize("reading", Reading)
@pytest.mark.parametrize(
    ("data", "rule", "line", "path", "code"),
    [
        (b"", Rule.NOT_XML, 1, "", "1.8"),
        (b"hello", Rule.NOT_XML, 1, "", "1.8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", Rule.NOT_XML, 0, "", "1.8"),
        (b"<a>\n</b>", Rule.NOT_XML, 2, "", "1.8"),
        (b"<a/>\n<b/>", Rule.NOT_XML, 2, "", "1.8"),
        (b"<a>\n&#0;</a>", Rule.NOT_XML, 2, "", "1.8"),
        (b"<a><b></b>\n", Rule.TRUNCATED, 2, "", "1.8"),
        (b"<a>\n<b", Rule.TRUNCATED, 2, "", "1.8"),
        (b'<a>\n<b c="', Rule.TRUNCATED, 2, "", "1.8"),
        (b"<a>\xff</a>", Rule.ENCODING, 1, "", "1.8"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', Rule.ENCODING, 1, "", "1.8"),
        (b"\xff\xfe<\0a\0", Rule.TRUNCATED, 1, "", "1.8"),
        (b"\xff\xfe<\0a\0/", Rule.ENCODING, 0, "", "1.8"),
        (b"<!-- <!DOCTYPE -->\n<!DOCTYPE a><a/>", Rule.DTD, 2, "", "1.8"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', Rule.ENTITY, 1, "", "1.8"),
        (b"<a>\n&b;</a>", Rule.ENTITY, 2, "", "1.8"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>', Rule.EXTERNAL, 1, "", "1.8"),
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', Rule.EXTERNAL, 1, "", "1.8"),
        ("<!DOCTYPE a><a/>".encode("utf-16"), Rule.DTD, 1, "", "1.8"),
        (b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4APA-a/+AD4-', Rule.DTD, 1, "", "1.8"),
        (b"<a:b:c xmlns:a='urn:a'/>", Rule.QNAME, 1, "", "1.8"),
        (b"<a>\n<b:c/></a>", Rule.QNAME, 2, "", "1.8"),
        (b" " * 1_048_577, Rule.TOO_LONG, 0, "", "3.1"),
        (b"<a>\n" + b"<a>" * 100 + b"</a>" * 101, Rule.TOO_DEEP, 2, "/".join("a" * 32), "3.1"),
        (b"<a>\n" * 300 + b"</a>" * 300, Rule.TOO_DEEP, 257, "", "3.1"),
        (b'<a>\n<b c="" ' + b" ".join(b'a%d=""' % n for n in range(256)) + b"/></a>", Rule.ATTRIBUTES, 2, "a/b", "3.1"),
        (b"<a " + b" ".join(b'xmlns:a%d="urn:a"' % n for n in range(257)) + b"/>", Rule.ATTRIBUTES, 1, "a", "3.1"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_what_is_no_xml_that_we_read_has_a_rule_of_its_own(
    data: bytes, rule: Rule, line: int, path: str, code: str, reading: str
) -> None:
    error = refused(data, reading)

    assert (error.rule, error.line, error.path, error.reply_code) == (rule, line, path, code)


def test_a_hundred_thousand_attributes_are_refused_by_their_number() -> None:
    error = refused(f"<a>\n<b {ATTRIBUTES}/></a>".encode(), limits=MANY)

    assert (error.rule, error.line, error.path, error.reply_code) == (Rule.ATTRIBUTES, 2, "a/b", "3.1")


def test_an_external_reference_is_not_followed(tmp_path: object) -> None:
    data = f'<!DOCTYPE a [<!ENTITY % p SYSTEM "file://{tmp_path}/none">%p;]><a/>'.encode()

    assert refused(data).rule is Rule.EXTERNAL


@pytest.mark.parametrize("words", ["<!-- <!DOCTYPE a> -->", "<![CDATA[<!DOCTYPE a>]]>"])
def test_the_words_of_a_dtd_may_stand_in_comments_and_in_text(words: str) -> None:
    message = decode(request(rest=f'<Payload><a xmlns="urn:a">{words}</a></Payload>'))

    assert message.payload is not None
    assert words.encode() in message.payload.xml


def test_a_limit_is_of_what_is_over_it() -> None:
    data = b"<a>" * 100 + b"</a>" * 100

    assert refused(data).rule is Rule.NO_ENVELOPE
    assert refused(data, limits=Limits(message=len(data))).rule is Rule.NO_ENVELOPE
    assert refused(data, limits=Limits(message=len(data) - 1)).rule is Rule.TOO_LONG
    assert refused(data, limits=Limits(depth=99)).rule is Rule.TOO_DEEP


# ---------------------------------------------------------------- what is no envelope that we read

SOAP = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">\n<s:Header/><s:Body>%s</s:Body></s:Envelope>'


@pytest.mark.parametrize(
    ("data", "rule", "line", "path", "code"),
    [
        (b"<a>\n<b/></a>", Rule.NO_ENVELOPE, 1, "a", "1.8"),
        (SOAP.replace("%s", "").encode(), Rule.NO_ENVELOPE, 1, "Envelope", "1.8"),
        (request().replace(b"Verb", b"verb"), Rule.MISSING_ELEMENT, 2, "RequestMessage/Header", "1.5"),
        (request(namespace=EDITION_2), Rule.EDITION, 1, "RequestMessage", "1.9"),
        (f'<RequestMessage xmlns="{EDITION_2}"/>'.encode(), Rule.EDITION, 1, "RequestMessage", "1.9"),
        (request(namespace="urn:wrong"), Rule.NAMESPACE, 3, "RequestMessage/Header/Verb", "1.8"),
        (request().replace(b"create", b"fetch"), Rule.VERB, 3, "RequestMessage/Header/Verb", "2.9"),
        (request().replace(b"create", b"Create"), Rule.VERB_CASE, 3, "RequestMessage/Header/Verb", "2.9"),
        (request().replace(b"<Noun>DERGroups</Noun>", b""), Rule.MISSING_ELEMENT, 2, "RequestMessage/Header", "1.5"),
        (reply("<Result>OK</Result>", header=""), Rule.MISSING_ELEMENT, 1, "ResponseMessage", "1.5"),
        (reply("<Result>ERROR</Result>"), Rule.RESULT, 4, "ResponseMessage/Reply/Result", "1.8"),
        (
            reply("<Result>OK</Result><Error>\n<reason/></Error>"),
            Rule.MISSING_ELEMENT,
            4,
            "ResponseMessage/Reply/Error",
            "1.8",
        ),
        (
            request(rest="<Request><Option>\n<value/></Option></Request>"),
            Rule.MISSING_ELEMENT,
            4,
            "RequestMessage/Request/Option",
            "1.6",
        ),
        (
            request(rest="<Payload><OperationSet><Operation/></OperationSet></Payload>"),
            Rule.MISSING_ELEMENT,
            4,
            "RequestMessage/Payload/OperationSet/Operation",
            "1.7",
        ),
        (request("\n<Noun/>"), Rule.REPEATED_ELEMENT, 2, "RequestMessage/Header", "1.8"),
        (request("<Source/>\n<Revision/>"), Rule.ELEMENT_ORDER, 4, "RequestMessage/Header/Revision", "1.8"),
        (request("\n<Vendor/>"), Rule.VENDOR_ELEMENT, 4, "RequestMessage/Header/Vendor", "1.8"),
        (request('\n<Source xmlns=""/>'), Rule.UNQUALIFIED, 4, "RequestMessage/Header/Source", "1.8"),
        (
            request('\n<User><UserID/><a xmlns="urn:a"/></User>'),
            Rule.VENDOR_ELEMENT,
            4,
            "RequestMessage/Header/User/a",
            "1.8",
        ),
        (request("\n<Timestamp>today</Timestamp>"), Rule.VALUE, 4, "RequestMessage/Header/Timestamp", "1.8"),
        (request("\n<AckRequired>yes</AckRequired>"), Rule.VALUE, 4, "RequestMessage/Header/AckRequired", "1.8"),
        (request('\n<Source a=""/>'), Rule.ATTRIBUTE, 4, "RequestMessage/Header/Source", "1.8"),
        (request(rest='<Request>\n<ID kind="a"/></Request>'), Rule.VALUE, 5, "RequestMessage/Request/ID", "1.8"),
        (
            reply("<Result>OK</Result><Error><code/>\n<xpath>a:b</xpath></Error>"),
            Rule.QNAME,
            5,
            "ResponseMessage/Reply/Error/xpath",
            "1.8",
        ),
        (
            reply("<Result>OK</Result><Error><code/><level>\nHIGH</level></Error>"),
            Rule.VALUE,
            4,
            "ResponseMessage/Reply/Error/level",
            "1.8",
        ),
        (
            request(rest="<Payload>\n<Nothing/></Payload>"),
            Rule.PAYLOAD_NAMESPACE,
            5,
            "RequestMessage/Payload/Nothing",
            "1.8",
        ),
        (
            request(rest=f"<Payload>{ITEM.decode()}<ID/></Payload>"),
            Rule.PAYLOAD_CHOICE,
            4,
            "RequestMessage/Payload",
            "1.8",
        ),
        (request(rest="<Reply><Result>OK</Result></Reply>"), Rule.SCHEMA, 4, "RequestMessage/Reply", "1.8"),
        (request("text"), Rule.SCHEMA, 2, "RequestMessage/Header", "1.8"),
    ],
)
def test_what_is_no_valid_envelope_has_a_rule_line_path_and_reply_code(
    data: bytes, rule: Rule, line: int, path: str, code: str
) -> None:
    error = refused(data)

    assert (error.rule, error.line, error.path, error.reply_code) == (rule, line, path, code), error


def test_the_path_begins_at_the_envelope_under_its_own_name() -> None:
    typed = f'<t:CreateX xmlns:t="urn:t" xmlns="{NAMESPACE}"><t:Header><Verb>a</Verb><Noun/></t:Header></t:CreateX>'

    assert refused(typed.encode()).path == "CreateX/Header/Verb"
    assert refused((SOAP % typed).encode()).path == "CreateX/Header/Verb"


def test_an_integer_longer_than_python_reads_is_refused() -> None:
    error = refused(reply("<Result>OK</Result>\n<operationId>" + "9" * 5000 + "</operationId>"))

    assert (error.rule, error.path, error.reply_code) == (Rule.VALUE, "ResponseMessage/Reply/operationId", "3.1")


def test_the_message_of_the_error_says_all_of_it() -> None:
    error = refused(request().replace(b"create", b"fetch"))

    assert str(error) == "verb: 'fetch' is no verb of IEC 61968-100 (line 3, RequestMessage/Header/Verb)"


# ---------------------------------------------------------------- Compressed


def test_a_gzip_bomb_is_refused_by_what_would_come_out() -> None:
    bomb = compressed(gzip.compress(b" " * 10_485_761))

    error = refused(bomb)

    assert (error.rule, error.reply_code) == (Rule.INFLATED, "3.1")
    assert len(bomb) < 20_000


def test_what_is_deflated_is_inflated() -> None:
    packed = deflate(replace(payload(ITEM), format="XML"))

    message = decode(encode(Message(kind=Kind.EVENT, verb="created", payload=packed)))

    assert message.findings == ()
    assert message.payload is not None
    assert inflate(message.payload) == Payload(items=(ITEM,), format="XML")
    assert inflate(payload(ITEM)) == payload(ITEM)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(ITEM)[:-5],
        gzip.compress(b"no XML"),
        gzip.compress(b"<a xmlns='urn:a'>"),
        gzip.compress(b"<a/>"),
        gzip.compress(f"<Verb xmlns='{NAMESPACE}'/>".encode()),
        gzip.compress(b"<!DOCTYPE a><a xmlns='urn:a'/>"),
        gzip.compress(b""),
        gzip.compress(ITEM) + b"rest",
    ],
    ids=range(10),  # gzip writes the time
)
def test_what_is_no_gzip_of_an_element_is_a_finding_and_no_payload(data: bytes) -> None:
    message = decode(compressed(data))

    assert [finding.rule for finding in message.findings] == [Rule.COMPRESSED]
    assert message.payload is not None
    with pytest.raises(InvalidMessage):
        inflate(message.payload)


def test_inflate_has_a_limit_of_its_own() -> None:
    packed = deflate(payload(ITEM))

    with pytest.raises(EnvelopeError) as caught:
        inflate(packed, Limits(inflated=len(ITEM) - 1))

    assert caught.value.rule is Rule.INFLATED
    assert inflate(packed, Limits(inflated=len(ITEM))).xml == ITEM


# ---------------------------------------------------------------- never a crash, never much memory or time


@given(st.binary(max_size=60) | st.text("<>/!?[]-&;#x =\"':a\n", max_size=60).map(str.encode))
def test_whatever_comes_is_refused_and_nothing_else(data: bytes) -> None:
    for reading in Reading:
        assert isinstance(refused(data, reading), EnvelopeError)


@given(st.data())
def test_a_message_that_is_cut_or_damaged_is_read_or_refused(data: st.DataObject) -> None:
    whole = request(
        "<Source>a</Source>", f"<Request><ID kind='name'>1</ID></Request><Payload>{ITEM.decode()}</Payload>"
    )
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 20)) :]
    for reading in Reading:
        with suppress(EnvelopeError):
            assert decode(damaged, reading=reading).kind


def filled(head: str, unit: str, tail: str, size: int = 1_048_576) -> bytes:
    return (head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail).encode()


START = request().decode().removesuffix("</Header>\n</RequestMessage>")
END = "</RequestMessage>"
ITEMS = f"""<m:RequestMessage xmlns="u" xmlns:m="{NAMESPACE}">
<m:Header><m:Verb>get</m:Verb><m:Noun/></m:Header><m:Payload>"""
LARGE = {
    "elements without an envelope": filled("<a>", "<a/>", "</a>"),
    "one large item": filled(f'{START}</Header><Payload><a xmlns="u">', "<b/>", f"</a></Payload>{END}"),
    "one large item, not plain": filled(
        f'{START}<!----></Header><Payload><a xmlns="u">', "<b/>", f"</a></Payload>{END}"
    ),
    "many items": filled(ITEMS, "<a/>", "</m:Payload></m:RequestMessage>"),
    "many IDs": filled(f"{START}</Header><Request>", "<ID/>", f"</Request>{END}"),
    "many IDs with a wrong attribute": filled(f"{START}</Header><Request>", '<ID a=""/>', f"</Request>{END}"),
    "nothing but < in a part": filled(f"{START}</Header><Request>", "<", f"</Request>{END}"),
    "nothing but < in a part without an end": filled(f"{START}</Header><Request>", "<", ""),
    "nothing but white space in the header": filled(START, " ", f"</Header>{END}"),
    "properties without an end": filled(START, "<Property><Name>", ""),
    "many properties": filled(START, "<Property><Name>a</Name></Property>", f"</Header>{END}"),
    "many vendor elements": filled(START, "<a/>", f"</Header>{END}"),
    "many elements out of order": filled(START, "<Source/><Noun/>", f"</Header>{END}"),
    "many comments": filled(f"{START}<Source>", "a<!---->", f"</Source></Header>{END}"),
    "many processing instructions": filled(START, "<?a?>", f"</Header>{END}"),
    "the www namespace": filled(
        f"{START}</Header><Request>".replace("//iec", "//www.iec"), "<ID/>", f"</Request>{END}"
    ),
    "a SOAP wrapper": filled(f'<a>{START}</Header><Payload><a xmlns="u">', "<b/>", f"</a></Payload>{END}</a>"),
    "many declarations": b"<a " + b" ".join(b'xmlns:a%d="u"' % number for number in range(60_000)) + b"/>",
    "a bomb": compressed(gzip.compress(b"<a xmlns='u'>" + b"<b/>" * 2_500_000 + b"</a>")),
}
MEASURE = """
import sys, time
from iec62746.envelope import decode
from iec62746.errors import EnvelopeError

def read(data, reading):
    try:
        decode(data, reading=reading)
    except EnvelopeError:
        return False
    return True

def most():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

data = sys.stdin.buffer.read()
read(b"<a/>", "tolerant")
before, begin = most(), time.process_time()
read(data, "standard") or read(data, "tolerant")
print(most() - before, time.process_time() - begin)
"""


@cache
def measured(name: str) -> tuple[int, float]:
    """Return octets and seconds that a fresh process takes to read what is called `name`."""
    done = subprocess.run([sys.executable, "-c", MEASURE], input=LARGE[name], capture_output=True, check=True)
    octets, seconds = done.stdout.split()
    return int(octets), float(seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is asked of Linux")
@pytest.mark.parametrize("name", LARGE)
def test_reading_takes_no_more_memory_than_its_multiple_of_the_limit(name: str) -> None:
    limit = Limits().message

    assert len(LARGE[name]) <= limit
    assert measured(name)[0] <= MEMORY_MULTIPLE * limit


@pytest.mark.skipif(sys.platform != "linux", reason="measured with the memory")
@pytest.mark.parametrize("name", LARGE)
def test_reading_never_takes_time_by_the_square(name: str) -> None:
    # By the square, these took from half a minute to two.
    assert measured(name)[1] < 15
