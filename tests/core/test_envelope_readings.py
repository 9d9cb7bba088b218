"""What the strict reading refuses, and what the tolerant reading takes and reports."""

import pytest

from iec62746.envelope import decode, encode
from iec62746.errors import EnvelopeError, InvalidMessage, Rule
from iec62746.message import NAMESPACE, Kind, Message, Result

ID = "0f2a6c1e-8d1b-4c7e-9a54-2f7f6f0f0a11"
TIME = "<Timestamp>2026-11-23T08:00:00Z</Timestamp>"
IDS = f"<MessageID>{ID}</MessageID><CorrelationID>{ID.upper()}</CorrelationID>"
WWW = NAMESPACE.replace("//", "//www.")


def request(header: str = "", rest: str = "", *, verb: str = "get", noun: str = "<Noun>DERGroups</Noun>") -> str:
    start = f'<RequestMessage xmlns="{NAMESPACE}">\n<Header>\n<Verb>{verb}</Verb>\n{noun}\n'
    return f"{start}{header}\n</Header>\n{rest}\n</RequestMessage>"


def reply(content: str) -> str:
    header = "<Header>\n<Verb>reply</Verb><Noun/></Header>"
    return f'<ResponseMessage xmlns="{NAMESPACE}">\n{header}\n<Reply>\n{content}\n</Reply></ResponseMessage>'


def findings(message: Message) -> list[tuple[Rule, str, int]]:
    return [(finding.rule, finding.element, finding.line) for finding in message.findings]


# ---------------------------------------------------------------- strict


@pytest.mark.requirement("R-5.4")
def test_strict_takes_a_header_with_timestamp_and_uuids() -> None:
    assert decode(request(TIME + IDS).encode(), reading="strict").message_id == ID


@pytest.mark.requirement("R-5.4")
@pytest.mark.parametrize(
    ("header", "rule", "path", "line", "code"),
    [
        (IDS, Rule.MISSING_ELEMENT, "Header/Timestamp", 2, "1.5"),
        (TIME + f"<CorrelationID>{ID}</CorrelationID>", Rule.MISSING_ELEMENT, "Header/MessageID", 2, "1.5"),
        (TIME + f"<MessageID>{ID}</MessageID>", Rule.MISSING_ELEMENT, "Header/CorrelationID", 2, "1.5"),
        (TIME + IDS.replace(ID, "1"), Rule.UUID, "Header/MessageID", 5, "1.8"),
        (TIME + IDS.replace(ID.upper(), ID + " "), Rule.UUID, "Header/CorrelationID", 5, "1.8"),
        (TIME.replace("Z", "") + IDS, Rule.NAIVE_TIME, "Header/Timestamp", 5, "1.8"),
    ],
)
def test_strict_refuses_what_lacks_one_of_them(header: str, rule: Rule, path: str, line: int, code: str) -> None:
    data = request(header).encode()

    with pytest.raises(EnvelopeError) as caught:
        decode(data, reading="strict")

    error = caught.value
    assert (error.rule, error.path, error.line, error.reply_code) == (rule, path, line, code)
    assert decode(data).findings == decode(data, reading="tolerant").findings == ()


@pytest.mark.parametrize("name", ["StartTime", "EndTime"])
def test_strict_refuses_a_naive_time_in_a_request(name: str) -> None:
    data = request(TIME + IDS, f"<Request>\n<{name}>2026-11-23T08:00:00</{name}></Request>").encode()

    with pytest.raises(EnvelopeError) as caught:
        decode(data, reading="strict")

    assert (caught.value.rule, caught.value.path, caught.value.line) == (Rule.NAIVE_TIME, f"Request/{name}", 8)


def test_strict_looks_only_at_the_envelopes_own_times() -> None:
    item = f'<a xmlns="urn:a"><Timestamp xmlns="{NAMESPACE}">2026-11-23T08:00:00</Timestamp></a>'

    assert decode(request(TIME + IDS, f"<Payload>{item}</Payload>").encode(), reading="strict").payload is not None


def test_strict_has_nothing_to_ask_of_a_fault() -> None:
    data = f'<FaultMessage xmlns="{NAMESPACE}"><Reply><Result>FAILED</Result></Reply></FaultMessage>'.encode()

    assert decode(data, reading="strict").kind is Kind.FAULT


# ---------------------------------------------------------------- tolerant: the deviations that were seen


@pytest.mark.parametrize("verb", ["Get", "GET", " get "])
def test_a_verb_in_other_letters_is_taken(verb: str) -> None:
    message = decode(request(verb=verb).encode(), reading="tolerant")

    assert message.verb == "get"
    assert findings(message) == [(Rule.VERB_CASE, "Verb", 3)]


def test_the_namespace_with_www_is_taken_and_reported_once() -> None:
    message = decode(request(IDS).replace(NAMESPACE, WWW).encode(), reading="tolerant")

    assert (message.verb, message.message_id) == ("get", ID)
    assert findings(message) == [(Rule.NAMESPACE, "Verb", 3)]


def test_the_result_error_is_taken_as_failed() -> None:
    message = decode(reply("<Result>ERROR</Result>").encode(), reading="tolerant")

    assert message.reply is not None
    assert message.reply.result is Result.FAILED
    assert findings(message) == [(Rule.RESULT, "Result", 5)]


def test_header_elements_out_of_order_are_sorted() -> None:
    message = decode(request(f"{IDS}\n<Source>a</Source>\n<Revision>2</Revision>").encode(), reading="tolerant")

    assert (message.source, message.revision, message.message_id) == ("a", "2", ID)
    assert findings(message) == [(Rule.ELEMENT_ORDER, "Source", 6), (Rule.ELEMENT_ORDER, "Revision", 7)]


def test_a_missing_noun_is_an_empty_one() -> None:
    message = decode(request(IDS, noun="").encode(), reading="tolerant")

    assert message.noun == ""
    assert findings(message) == [(Rule.MISSING_ELEMENT, "Noun", 2)]


def test_vendor_elements_are_kept_apart_and_never_written() -> None:
    message = decode(request("<Vendor>1</Vendor>", "<Request>\n<Page>2</Page></Request>").encode(), reading="tolerant")

    assert [b">1</Vendor>" in message.vendor[0], b">2</Page>" in message.vendor[1]] == [True, True]
    assert findings(message) == [(Rule.VENDOR_ELEMENT, "Vendor", 5), (Rule.VENDOR_ELEMENT, "Page", 8)]
    with pytest.raises(InvalidMessage, match="vendor"):
        encode(message)


def test_unqualified_header_elements_are_qualified() -> None:
    text = request("<Source>a</Source>").replace("<Verb>", '<Verb xmlns="">').replace("<Source>", '<Source xmlns="">')

    message = decode(text.encode(), reading="tolerant")

    assert (message.verb, message.source) == ("get", "a")
    assert findings(message) == [(Rule.UNQUALIFIED, "Verb", 3), (Rule.UNQUALIFIED, "Source", 5)]


def test_a_signature_before_the_ids_is_taken_as_an_extension() -> None:
    signature = '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>'

    message = decode(reply(f"<Result>OK</Result>{signature}\n<ID>1</ID>").encode(), reading="tolerant")

    assert message.reply is not None
    assert [identifier.value for identifier in message.reply.ids] == ["1"]
    assert message.reply.extensions == (signature.encode(),)
    assert findings(message) == [(Rule.ELEMENT_ORDER, "ID", 6)]


def test_a_payload_without_a_namespace_is_taken_and_not_written() -> None:
    message = decode(request(rest='<Payload><a xmlns="">1</a></Payload>').encode(), reading="tolerant")

    assert message.payload is not None
    assert message.payload.items == (b'<a xmlns="">1</a>',)
    assert findings(message) == [(Rule.PAYLOAD_NAMESPACE, "a", 7)]
    with pytest.raises(InvalidMessage, match="namespace of its own"):
        encode(message)


def test_several_deviations_are_all_reported() -> None:
    text = request("<Vendor/>", verb="Get", noun="").replace(NAMESPACE, WWW)

    rules = [finding.rule for finding in decode(text.encode(), reading="tolerant").findings]

    assert rules == [Rule.NAMESPACE, Rule.VENDOR_ELEMENT, Rule.MISSING_ELEMENT, Rule.VERB_CASE]


@pytest.mark.parametrize(
    "text",
    [
        request(TIME.replace("Z", "") + "<CorrelationID>1</CorrelationID>"),
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{request()}</s:Body></s:Envelope>',
        "\ufeff" + request(),
    ],
    ids=["naive time and an id that is no UUID", "SOAP", "byte order mark"],
)
def test_what_is_no_deviation_is_no_finding(text: str) -> None:
    assert decode(text.encode(), reading="tolerant").findings == decode(text.encode()).findings == ()


def test_what_cannot_be_mended_is_refused_under_its_own_rule_and_code() -> None:
    text = request("<Vendor/>", verb="fetch")

    with pytest.raises(EnvelopeError) as caught:
        decode(text.encode(), reading="tolerant")

    assert (caught.value.rule, caught.value.reply_code) == (Rule.VERB, "2.9")


def test_more_than_a_thousand_deviations_are_refused() -> None:
    assert len(decode(request("<Vendor/>" * 1000).encode(), reading="tolerant").findings) == 1000
    with pytest.raises(EnvelopeError):
        decode(request("<Vendor/>" * 1001).encode(), reading="tolerant")


def test_a_value_that_is_wrong_stays_wrong_after_the_mending() -> None:
    text = request("<Revision/><Timestamp>today</Timestamp>", verb="Get")

    with pytest.raises(EnvelopeError) as caught:
        decode(text.encode(), reading="tolerant")

    assert (caught.value.rule, caught.value.path) == (Rule.VALUE, "RequestMessage/Header/Timestamp")
