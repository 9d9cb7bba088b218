from collections.abc import Callable
from dataclasses import replace

import pytest

from iec62746.address import Inbox, Node
from iec62746.domain import Domain
from iec62746.envelope import decode, encode, payload
from iec62746.message import Kind, Message, Property, Result
from iec62746.outputs import Execute, Notice, Send, What
from iec62746.testing.pair import Conversation, Member
from iec62746.transport import Delivery, Proof

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[limits]
message = 4000
[nodes."price.north"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.north"]
publish = ["MeterReadings"]
request.create = ["DERGroups"]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = []
"""
THING = payload('<Thing xmlns="urn:x"/>')
CONTROL = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", payload=THING)
READINGS = Message(kind=Kind.EVENT, verb="created", noun="MeterReadings", payload=THING)


class Bench:
    """A VTN and a VEN, and a request of the VTN that is under way."""

    def __init__(self) -> None:
        self.north = Conversation(Domain.parse(NORTH))
        self.vtn, self.ven = self.north.join("vtn"), self.north.join("ven-1")
        self.north.run()
        self.key = self.vtn.request(CONTROL, "ven-1")
        self.delivery = self.north.wire.pop().delivery
        self.message = decode(self.delivery.body)

    def give(self, message: Message | None = None, **fields: object) -> list[What]:
        body = encode(message) if message is not None else self.delivery.body
        self.ven.receive(replace(self.delivery, body=body, **fields))  # type: ignore[arg-type]
        self.north.run()
        return self.ven.noticed

    @property
    def code(self) -> str | None:
        done = self.vtn.completed.get(self.key)
        part = done.reply.reply if done is not None else None
        return part.errors[0].code if part is not None and part.result is Result.FAILED else None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def with_properties(message: Message, **properties: str | None) -> Message:
    kept = [one for one in message.properties if one.name not in properties]
    added = [Property(name, value) for name, value in properties.items() if value is not None]
    return replace(message, properties=(*kept, *added))


def test_a_good_request_is_executed(bench: Bench) -> None:
    assert [] == bench.give()
    assert 1 == len(bench.ven.executed)


def test_headers_are_hints_and_a_difference_is_reported(bench: Bench) -> None:
    assert [What.HINT_DIFFERS, What.HINT_DIFFERS] == bench.give(headers={"Verb": 3, "Noun": "MarketPrices", "x": []})
    assert 1 == len(bench.ven.executed)


# ---------------------------------------------------------------- one rule each


REFUSALS: dict[str, tuple[What, str, Callable[[Message], Message]]] = {
    "another Source": (What.SOURCE_DIFFERS, "2.14", lambda m: replace(m, source="ven-2")),
    "an empty Source": (What.SOURCE_DIFFERS, "2.14", lambda m: replace(m, source="")),
    "another Destination": (What.DESTINATION_DIFFERS, "7.5", lambda m: with_properties(m, Destination="ven-2")),
    "a Deadline that passed": (What.EXPIRED, "4.1", lambda m: with_properties(m, Deadline="2026-01-01T00:00:00Z")),
    "the verb of an event": (What.WRONG_VERB, "2.9", lambda m: replace(m, verb="created")),
    "the verb reply": (What.WRONG_VERB, "2.9", lambda m: replace(m, verb="reply")),
    "an unknown noun": (What.UNKNOWN_NOUN, "2.5", lambda m: replace(m, noun="Unheard")),
    "what is not allowed": (What.NOT_ALLOWED, "7.5", lambda m: replace(m, verb="execute")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_request_is_refused_with_the_code_of_the_rule(bench: Bench, name: str) -> None:
    what, code, change = REFUSALS[name]

    assert [what] == bench.give(change(bench.message))
    assert code == bench.code
    assert [] == bench.ven.executed


@pytest.mark.parametrize("name", REFUSALS)
def test_an_event_is_dropped_and_told(bench: Bench, name: str) -> None:
    what, _, change = REFUSALS[name]
    bench.ven.publish(READINGS)
    delivery = bench.north.wire.pop().delivery
    changed = change(decode(delivery.body))
    if name == "another Source":
        changed = replace(changed, source="vtn")
    if name == "the verb of an event":
        changed = replace(changed, verb="create")
    if name == "what is not allowed":
        changed = replace(changed, noun="MarketPrices", verb="created")
    bench.vtn.receive(replace(delivery, body=encode(changed)))

    assert [what] == bench.vtn.noticed
    assert [] == bench.vtn.executed
    assert [] == bench.north.wire


ORDER = ["another Source", "another Destination", "a Deadline that passed", "the verb of an event", "an unknown noun"]


@pytest.mark.parametrize("index", range(len(ORDER) - 1))
def test_of_two_faults_the_first_in_order_decides(bench: Bench, index: int) -> None:
    first, second = REFUSALS[ORDER[index]], REFUSALS[ORDER[index + 1]]

    assert [first[0]] == bench.give(second[2](first[2](bench.message)))


def test_a_duplicate_is_found_before_access(bench: Bench) -> None:
    bench.give()
    bench.ven.notices.clear()

    assert [What.REUSED_ID] == bench.give(replace(bench.message, noun="Unheard"))


# ---------------------------------------------------------------- before the envelope


def test_what_is_too_large_is_not_read(bench: Bench) -> None:
    bench.ven.receive(replace(bench.delivery, body=b"<" * 4_001))
    bench.north.run()

    assert [What.TOO_LARGE] == bench.ven.noticed
    assert "3.1" == bench.code
    assert Kind.FAULT is bench.vtn.completed[bench.key].reply.kind


@pytest.mark.parametrize("body", [b"", b"<", b"garbage", b"<a/>", b"\xff\xfe"])
def test_what_cannot_be_read_is_answered_by_a_fault(bench: Bench, body: bytes) -> None:
    bench.ven.receive(replace(bench.delivery, body=body))
    bench.north.run()

    assert [What.UNREADABLE] == bench.ven.noticed
    assert "1.8" == bench.code
    assert [] == bench.ven.executed


@pytest.mark.parametrize("body", [None, b"garbage", b"<" * 4_001])
@pytest.mark.parametrize(
    ("sender", "proof"), [(None, Proof.BROKER), ("vtn", Proof.NONE), ("ven-2", Proof.BROKER), ("x", Proof.BROKER)]
)
def test_who_is_not_proven_to_be_a_peer_is_never_answered(
    bench: Bench, body: bytes | None, sender: str | None, proof: Proof
) -> None:
    given = replace(bench.delivery, body=body or bench.delivery.body, sender=sender, proof=proof)

    outputs = bench.ven.receive(given)
    assert [Notice] == [type(one) for one in outputs]
    assert [] == bench.ven.executed


@pytest.mark.requirement("R-4.4b")
def test_the_vtn_never_answers_an_address_that_is_not_proven(bench: Bench) -> None:
    outgoing = bench.ven.exchange.request(replace(CONTROL, noun="DERGroups"), "vtn", bench.north.now)
    given = Delivery(body=outgoing.body, address=Inbox("vtn"), sender="ven-1", proof=Proof.BROKER, reply_to=None)

    assert [What.NO_REPLY_ADDRESS] == [one.what for one in bench.vtn.receive(given) if isinstance(one, Notice)]
    assert [] == bench.north.wire


def test_the_envelopes_reply_address_is_kept_and_never_used(bench: Bench) -> None:
    bench.give(replace(bench.message, reply_address="urn:elsewhere"))
    bench.ven.refuse(bench.ven.executed[0], "6.1")

    assert "urn:elsewhere" == bench.ven.executed[0].message.reply_address
    assert ["vtn"] == [packet.to.party for packet in bench.north.wire]


def test_a_request_on_a_node_is_refused(bench: Bench) -> None:
    request = with_properties(bench.message, Destination="price.north")

    assert [What.WRONG_KIND] == bench.give(request, address=Node("price.north"))
    assert "1.8" == bench.code


def test_an_event_of_the_vtn_in_an_inbox_is_dropped(bench: Bench) -> None:
    event = replace(bench.message, kind=Kind.EVENT, verb="created", noun="MarketPrices")

    assert [What.WRONG_KIND] == bench.give(event, reply_to=None)


@pytest.mark.parametrize("field", ["source", "noun", "message_id", "verb", "correlation_id"])
def test_long_texts_of_a_peer_end_no_session(bench: Bench, field: str) -> None:
    value = "'" * 3_400
    body = encode(bench.message).replace(
        f"<{_TAGS[field]}>{getattr(bench.message, field)}<".encode(), f"<{_TAGS[field]}>{value}<".encode()
    )
    outputs = bench.ven.receive(replace(bench.delivery, body=body))

    assert 4_000 >= len(body)
    assert all(len(one.detail) < 1_000 for one in outputs if isinstance(one, Notice))
    assert any(isinstance(one, Send | Execute) for one in outputs)


_TAGS = {
    "source": "Source",
    "noun": "Noun",
    "message_id": "MessageID",
    "verb": "Verb",
    "correlation_id": "CorrelationID",
}


# ---------------------------------------------------------------- what is filled in


def test_an_absent_source_is_filled_in(bench: Bench) -> None:
    assert [What.SOURCE_FILLED] == bench.give(replace(bench.message, source=None))
    assert "vtn" == bench.ven.executed[0].message.source


def test_an_absent_destination_is_filled_in(bench: Bench) -> None:
    assert [What.DESTINATION_FILLED] == bench.give(with_properties(bench.message, Destination=None))
    assert "ven-1" == bench.ven.executed[0].message.destination


def test_one_of_several_destinations_is_enough(bench: Bench) -> None:
    several = replace(bench.message, properties=(Property("Destination", "ven-2"), *bench.message.properties))

    assert [] == bench.give(several)


def test_an_absent_source_of_a_reply_is_filled_in(bench: Bench) -> None:
    bench.ven.receive(bench.delivery)
    bench.ven.refuse(bench.ven.executed[0], "6.1")
    reply = bench.north.wire.pop().delivery
    bench.vtn.receive(replace(reply, body=encode(replace(decode(reply.body), source=None))))

    assert [What.SOURCE_FILLED] == bench.vtn.noticed
    assert "ven-1" == bench.vtn.completed[bench.key].reply.source


def test_no_message_id_is_told_once(bench: Bench) -> None:
    assert [What.NO_MESSAGE_ID] == bench.give(replace(bench.message, message_id=None))
    assert 1 == len(bench.ven.executed)


def test_findings_of_a_tolerant_reading_are_told() -> None:
    north = Conversation(Domain.parse(NORTH.replace('vtn = "vtn"', 'vtn = "vtn"\nreading = "tolerant"')))
    vtn, ven = north.join("vtn"), north.join("ven-1")
    vtn.request(CONTROL, "ven-1")
    delivery = north.wire.pop().delivery
    ven.receive(replace(delivery, body=delivery.body.replace(b"<Verb>create<", b"<Verb>Create<")))

    assert What.FINDING in ven.noticed


# ---------------------------------------------------------------- time


@pytest.mark.requirement("R-5.1d")
def test_nothing_is_executed_after_its_deadline_and_the_skew(bench: Bench) -> None:
    bench.north.pass_time(35.001)

    assert What.EXPIRED in bench.give()
    assert [] == bench.ven.executed


def test_within_the_skew_it_is_executed(bench: Bench) -> None:
    bench.north.pass_time(34.999)
    bench.give()

    assert 1 == len(bench.ven.executed)


def test_the_expiry_names_the_difference_of_the_clocks(bench: Bench) -> None:
    bench.north.pass_time(100.0)
    bench.give()

    assert any("100.0 s behind ours" in one.detail for one in bench.ven.notices if one.what is What.EXPIRED)


def test_no_deadline_means_the_limit_from_its_arrival(bench: Bench) -> None:
    bench.north.pass_time(1_000.0)
    bench.give(with_properties(bench.message, Deadline=None))

    assert bench.north.now + 30.0 == bench.ven.executed[0].deadline


def test_a_deadline_without_a_zone_is_told_and_not_believed(bench: Bench) -> None:
    assert [What.DEADLINE_UNREADABLE] == bench.give(with_properties(bench.message, Deadline="2026-01-01T00:00:00"))
    assert bench.north.now + 30.0 == bench.ven.executed[0].deadline


@pytest.mark.requirement("R-5.1d")
def test_a_deadline_in_the_far_future_is_capped(bench: Bench) -> None:
    bench.give(with_properties(bench.message, Deadline="9999-12-31T23:59:59Z"))

    assert bench.north.now + 35.0 == bench.ven.executed[0].deadline


@pytest.mark.requirement("R-5.1d")
def test_what_waited_too_long_for_its_handler_is_expired(bench: Bench) -> None:
    bench.give()
    ticket = bench.ven.executed[0]

    assert not bench.ven.exchange.is_expired(ticket, ticket.deadline + 5.0)
    assert bench.ven.exchange.is_expired(ticket, ticket.deadline + 5.1)


def a_readings_of(vtn: Member, ven: Member, ahead: float) -> None:
    north = vtn.conversation
    body = ven.exchange.publish(READINGS, None, north.now + ahead).message.body
    vtn.receive(Delivery(body=body, address=Inbox("vtn"), sender="ven-1", proof=Proof.BROKER))


@pytest.mark.parametrize(("ahead", "is_told"), [(4.9, False), (5.1, True), (-4.9, False), (-40.0, True)])
def test_a_clock_that_differs_by_more_than_the_skew_is_told(bench: Bench, ahead: float, is_told: bool) -> None:
    a_readings_of(bench.vtn, bench.ven, ahead)

    assert is_told == (What.CLOCK_DIFFERS in bench.vtn.noticed)


def test_a_clock_that_differs_is_told_once_per_session(bench: Bench) -> None:
    for _ in range(3):
        a_readings_of(bench.vtn, bench.ven, 10.0)
    once = bench.vtn.noticed.count(What.CLOCK_DIFFERS)
    bench.vtn.open()
    a_readings_of(bench.vtn, bench.ven, 10.0)
    after_ours = bench.vtn.noticed.count(What.CLOCK_DIFFERS)
    bench.ven.open()
    bench.north.run()
    a_readings_of(bench.vtn, bench.ven, 10.0)

    assert (1, 2, 3) == (once, after_ours, bench.vtn.noticed.count(What.CLOCK_DIFFERS))
