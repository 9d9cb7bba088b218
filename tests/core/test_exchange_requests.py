from dataclasses import replace

import pytest

from iec62746.address import Inbox
from iec62746.domain import Domain
from iec62746.envelope import decode, encode, payload
from iec62746.errors import (
    EnvelopeError,
    InvalidMessage,
    NoReceiver,
    NoReply,
    Outcome,
    Overloaded,
    PermissionDenied,
    SessionLost,
    Superseded,
    TooLarge,
)
from iec62746.message import Error, Kind, Message, ReplyPart, RequestPart, Result, TypedForm
from iec62746.outputs import Execute, What
from iec62746.testing.pair import Conversation, Member
from iec62746.transport import Delivery, Proof

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[limits]
pending = 3
message = 4000
[nodes."price.north"]
nouns = ["MarketPrices"]
[nodes."price.south"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.north"]
publish = ["MeterReadings"]
request.create = ["DERGroups"]
request.get = ["EndDeviceControls"]
serve.create = ["EndDeviceControls"]
serve.change = ["EndDeviceControls"]
serve.cancel = ["EndDeviceControls"]
serve.delete = ["EndDeviceControls"]
serve.get = ["MeterReadings"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = ["household"]
"""
THING = payload('<Thing xmlns="urn:x"/>')


def asking(verb: str = "create", noun: str = "EndDeviceControls", **fields: object) -> Message:
    return replace(Message(kind=Kind.REQUEST, verb=verb, noun=noun, payload=THING), **fields)  # type: ignore[arg-type]


def ok(noun: str = "EndDeviceControls") -> Message:
    part = ReplyPart(result=Result.OK, errors=(Error(code="0.0"),))
    return Message(kind=Kind.RESPONSE, verb="reply", noun=noun, reply=part)


def event(noun: str = "MarketPrices", verb: str = "created") -> Message:
    return Message(kind=Kind.EVENT, verb=verb, noun=noun, payload=THING)


@pytest.fixture
def north() -> Conversation:
    return Conversation(Domain.parse(NORTH))


@pytest.fixture
def vtn(north: Conversation) -> Member:
    return north.join("vtn")


@pytest.fixture
def ven(north: Conversation, vtn: Member) -> Member:
    ven = north.join("ven-1", nodes=["price.north"])
    north.run()
    return ven


def codes(message: Message) -> list[str]:
    return [error.code for error in message.reply.errors] if message.reply else []


# ---------------------------------------------------------------- the five patterns


@pytest.mark.requirement("R-5.5.2")
@pytest.mark.requirement("R-4.4a")
@pytest.mark.parametrize("verb", ["create", "change", "cancel", "delete"])
def test_the_vtn_gets_the_answer_of_the_ven_that_it_asked(
    north: Conversation, vtn: Member, ven: Member, verb: str
) -> None:
    key = vtn.request(asking(verb), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    north.run()

    assert (verb, THING) == (ven.executed[0].message.verb, ven.executed[0].message.payload)
    assert ["0.0"] == codes(vtn.completed[key].reply)


@pytest.mark.requirement("R-5.5.2")
def test_a_ven_gets_the_answer_of_the_vtn(north: Conversation, vtn: Member, ven: Member) -> None:
    key = ven.request(asking("create", "DERGroups"), "vtn")
    north.run()
    vtn.answer(vtn.executed[0], ok("DERGroups"))
    north.run()

    assert "vtn" == ven.completed[key].reply.source


@pytest.mark.requirement("R-5.5.3")
@pytest.mark.parametrize(
    ("asker", "asked", "noun"), [("vtn", "ven", "MeterReadings"), ("ven", "vtn", "EndDeviceControls")]
)
def test_a_query_is_answered_with_a_payload_both_ways(
    north: Conversation, vtn: Member, ven: Member, asker: str, asked: str, noun: str
) -> None:
    parties = {"vtn": vtn, "ven": ven}
    key = parties[asker].request(asking("get", noun, payload=None), parties[asked].party)
    north.run()
    parties[asked].answer(parties[asked].executed[0], replace(ok(noun), payload=THING))
    north.run()

    assert THING == parties[asker].completed[key].reply.payload


@pytest.mark.requirement("R-5.5.4a")
@pytest.mark.requirement("R-5.6c")
def test_an_event_reaches_who_subscribed_and_nobody_else(north: Conversation, vtn: Member, ven: Member) -> None:
    other = north.join("ven-2")
    vtn.publish(event(), "price.north")
    north.run()

    assert ["price.north"] == [one.destination for one in ven.events]
    assert [] == other.events


@pytest.mark.requirement("R-5.1a")
def test_an_event_is_delivered_for_thirty_seconds(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.publish(event(), "price.north")
    north.pass_time(29.9)
    north.run()

    assert 1 == len(ven.events)


@pytest.mark.requirement("R-5.6c")
def test_an_event_without_subscribers_is_no_error(vtn: Member) -> None:
    vtn.publish(event(), "price.south")

    assert [] == vtn.notices


@pytest.mark.requirement("R-5.6a")
def test_a_node_that_is_not_defined_cannot_be_published_on(vtn: Member) -> None:
    with pytest.raises(PermissionDenied, match="not defined"):
        vtn.publish(event(), "price.west")


def test_an_event_on_a_node_that_we_may_not_subscribe_to_is_not_executed(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=["price.north", "price.south"])
    vtn.publish(event(), "price.south")
    north.run()

    assert [] == ven.events
    assert What.NOT_ALLOWED in ven.noticed


@pytest.mark.requirement("R-5.5.4b")
def test_a_ven_sends_an_event_to_the_vtn(north: Conversation, vtn: Member, ven: Member) -> None:
    ven.publish(event("MeterReadings"))
    north.run()

    assert [("ven-1", "vtn")] == [(one.source, one.destination) for one in vtn.events]


@pytest.mark.requirement("R-5.4")
def test_every_message_says_who_to_whom_what_and_which(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1")
    vtn.publish(event(), "price.north")
    north.run()
    ven.answer(ven.executed[0], ok())
    ven.publish(event("MeterReadings"))
    north.run()
    messages = [ticket.message for ticket in (*ven.executed, *vtn.executed)] + [
        one.reply for one in vtn.completed.values()
    ]

    assert 4 == len(messages)
    for message in messages:
        assert message.source
        assert message.destination
        assert message.verb
        assert message.noun
        assert message.timestamp
        assert message.deadline
    assert 4 == len({message.message_id for message in messages})


@pytest.mark.requirement("R-3.1.17")
def test_vtn_and_ven_are_the_same_kind_of_party(north: Conversation, vtn: Member, ven: Member) -> None:
    assert type(vtn.exchange) is type(ven.exchange)


@pytest.mark.requirement("R-3.1.3")
@pytest.mark.requirement("R-3.1.3b")
@pytest.mark.requirement("R-4.4c")
def test_one_actor_is_the_vtn_of_one_domain_and_a_ven_of_another(north: Conversation, vtn: Member, ven: Member) -> None:
    south = Conversation(
        Domain.parse(NORTH.replace('name = "north"', 'name = "south"').replace('"vtn"', '"south-vtn"'))
    )
    above, as_ven = south.join("south-vtn"), south.join("ven-1")
    above.request(asking(), "ven-1")
    south.run()
    key = vtn.request(replace(as_ven.executed[0].message, payload=THING), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    north.run()
    as_ven.answer(as_ven.executed[0], ok())
    south.run()

    assert ["0.0"] == codes(vtn.completed[key].reply)
    assert 1 == len(above.completed)


@pytest.mark.requirement("R-4.4b")
def test_a_ven_cannot_ask_another_ven(ven: Member) -> None:
    with pytest.raises(PermissionDenied, match="VENs"):
        ven.request(asking(), "ven-2")


@pytest.mark.requirement("R-4.4b")
def test_a_ven_takes_nothing_from_another_ven(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1")
    request = north.wire.pop().delivery
    ven.receive(replace(request, sender="ven-2"))

    assert [] == ven.executed
    assert [] == north.wire
    assert [What.STRANGER] == ven.noticed


def test_a_ven_takes_no_event_from_itself(north: Conversation, vtn: Member, ven: Member) -> None:
    ven.publish(event("MeterReadings"))
    ven.receive(replace(north.wire.pop().delivery, address=Inbox("ven-1")))

    assert [] == ven.executed


# ---------------------------------------------------------------- what cannot be sent


def test_a_request_that_is_not_allowed_names_the_rule(vtn: Member) -> None:
    with pytest.raises(PermissionDenied, match=r"serve.execute") as caught:
        vtn.request(asking("execute"), "ven-1")

    assert Outcome.NOT_SENT is caught.value.outcome


@pytest.mark.parametrize("template", [asking("created"), replace(ok(), verb="get")])
def test_only_requests_are_requests(vtn: Member, template: Message) -> None:
    with pytest.raises(InvalidMessage, match="is no request"):
        vtn.request(template, "ven-1")


@pytest.mark.parametrize("template", [event(verb="create"), replace(asking(), verb="created")])
def test_only_events_are_events(vtn: Member, template: Message) -> None:
    with pytest.raises(InvalidMessage, match="is no event"):
        vtn.publish(template, "price.north")


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -1.0])
def test_a_timeout_is_a_number_of_seconds(vtn: Member, timeout: float) -> None:
    with pytest.raises(InvalidMessage, match="timeout"):
        vtn.request(asking(), "ven-1", timeout=timeout)


def test_a_message_over_the_limit_is_not_sent(vtn: Member, ven: Member) -> None:
    with pytest.raises(TooLarge, match="4000"):
        vtn.request(asking(comment="x" * 4_000), "ven-1")

    assert 0 == vtn.exchange.pending


def test_one_request_too_many_is_not_sent(vtn: Member, ven: Member) -> None:
    for _ in range(3):
        vtn.request(asking(), "ven-1")

    with pytest.raises(Overloaded) as caught:
        vtn.request(asking(), "ven-1")
    assert Outcome.NOT_SENT is caught.value.outcome
    assert 3 == vtn.exchange.pending


def test_who_owes_many_answers_does_not_hinder_another(north: Conversation, vtn: Member, ven: Member) -> None:
    north.join("ven-2")
    for _ in range(3):
        vtn.request(asking(), "ven-1")
    vtn.request(asking(), "ven-2")

    assert 4 == vtn.exchange.pending


def test_a_correlation_id_that_is_in_use_is_not_used_again(vtn: Member, ven: Member) -> None:
    vtn.request(asking(correlation_id="a"), "ven-1")

    with pytest.raises(InvalidMessage, match="unanswered"):
        vtn.request(asking(correlation_id="a"), "ven-1")


# ---------------------------------------------------------------- how a request ends


def test_a_request_ends_when_the_callers_patience_does(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1", timeout=2.0)
    north.pass_time(1.9)
    before = vtn.exchange.pending
    north.pass_time(0.2)

    assert 1 == before
    error = vtn.failed[key]
    assert isinstance(error, NoReply)
    assert Outcome.UNKNOWN is error.outcome


def test_no_patience_is_no_patience(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1", timeout=0)
    north.pass_time(0.1)

    assert isinstance(vtn.failed[key], NoReply)


def test_patience_may_be_longer_than_the_message_is_deliverable(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1", timeout=300.0)
    north.run()
    north.pass_time(200.0)
    ven.answer(ven.executed[0], ok())
    north.run()

    assert key in vtn.completed


def test_a_reply_after_the_end_is_late(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1", timeout=2.0)
    north.run()
    north.pass_time(3.0)
    ven.answer(ven.executed[0], ok())
    north.run()

    assert {} == vtn.completed
    assert [What.LATE_REPLY] == vtn.noticed


def test_a_request_that_was_abandoned_does_not_end(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.exchange.abandon(vtn.request(asking(), "ven-1"))
    north.pass_time(60.0)

    assert {} == vtn.failed
    assert 0 == vtn.exchange.pending


def test_a_request_to_nobody_bounces(vtn: Member) -> None:
    key = vtn.request(asking(), "ven-2")

    assert isinstance(vtn.failed[key], NoReceiver)


def test_only_the_party_that_was_asked_can_answer(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    reply = north.wire.pop().delivery
    forged = encode(replace(decode(reply.body), source="ven-2"))
    vtn.receive(replace(reply, sender="ven-2", body=forged))
    before = dict(vtn.completed)
    vtn.receive(reply)

    assert {} == before
    assert [What.WRONG_REPLIER] == vtn.noticed
    assert key in vtn.completed


def test_a_fault_of_another_party_ends_nothing(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1")
    fault = encode(Message(kind=Kind.FAULT, reply=ReplyPart(result=Result.FAILED, errors=(Error(code="1.8"),))))
    vtn.receive(Delivery(body=fault, address=Inbox("vtn"), sender="ven-2", proof=Proof.BROKER, correlation_id=key))

    assert {} == vtn.completed
    assert 1 == vtn.exchange.pending


def test_a_fault_is_known_by_the_transports_correlation_id(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1")
    ven.receive(replace(north.wire.pop().delivery, body=b"garbage"))
    north.run()

    assert Kind.FAULT is vtn.completed[key].reply.kind
    assert ["1.8"] == codes(vtn.completed[key].reply)


def test_a_reply_without_proof_ends_nothing(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    vtn.receive(replace(north.wire.pop().delivery, proof=Proof.NONE))

    assert {} == vtn.completed
    assert [What.UNPROVEN] == vtn.noticed


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"source": "vtn"}, What.SOURCE_DIFFERS),
        ({"verb": "created"}, What.WRONG_VERB),
        ({"correlation_id": "another"}, What.LATE_REPLY),
        ({"correlation_id": None}, What.LATE_REPLY),
    ],
)
def test_a_reply_that_is_wrong_ends_nothing(
    north: Conversation, vtn: Member, ven: Member, fields: dict[str, str], what: What
) -> None:
    vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    reply = north.wire.pop().delivery
    vtn.receive(replace(reply, body=encode(replace(decode(reply.body), **fields))))  # type: ignore[arg-type]

    assert {} == vtn.completed
    assert [what] == vtn.noticed


def test_a_reply_with_another_verb_is_taken_in_tolerant_mode() -> None:
    north = Conversation(Domain.parse(NORTH.replace('vtn = "vtn"', 'vtn = "vtn"\nreading = "tolerant"')))
    vtn, ven = north.join("vtn"), north.join("ven-1")
    key = vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    reply = north.wire.pop().delivery
    vtn.receive(replace(reply, body=encode(replace(decode(reply.body), verb="created"))))

    assert key in vtn.completed


@pytest.mark.requirement("R-5.1d")
def test_a_reply_past_its_deadline_ends_nothing(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1", timeout=300.0)
    north.run()
    ven.answer(ven.executed[0], ok())
    north.pass_time(35.1)
    north.run()

    assert {} == vtn.completed
    assert What.EXPIRED in vtn.noticed


def test_a_reply_that_cannot_be_read_ends_its_request(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    vtn.receive(replace(north.wire.pop().delivery, body=b"garbage"))

    assert isinstance(vtn.failed[key], EnvelopeError)
    assert 0 == vtn.exchange.pending


@pytest.mark.parametrize("cause", [SessionLost("cut"), Overloaded("too slow"), Superseded("newer")])
def test_what_was_under_way_when_the_session_was_lost_may_have_been_executed(
    north: Conversation, vtn: Member, ven: Member, cause: SessionLost
) -> None:
    key = vtn.request(asking(), "ven-1")
    vtn.take(vtn.exchange.lost(cause))

    error = vtn.failed[key]
    assert isinstance(error, SessionLost)
    assert Outcome.UNKNOWN is error.outcome
    assert 0 == vtn.exchange.pending


# ---------------------------------------------------------------- answers


def test_typed_in_typed_out(north: Conversation, vtn: Member, ven: Member) -> None:
    form = TypedForm("CreateEndDeviceControls", "urn:typed")
    key = vtn.request(asking(form=form, request=RequestPart()), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    body = north.wire[-1].delivery.body
    north.run()

    assert b"EndDeviceControlsResponseMessage" in body
    assert TypedForm("EndDeviceControlsResponseMessage", "urn:typed") == vtn.completed[key].reply.form


def test_a_refusal_is_typed_too(north: Conversation, vtn: Member, ven: Member) -> None:
    key = vtn.request(asking(form=TypedForm("CreateEndDeviceControls", "urn:typed")), "ven-1")
    north.run()
    ven.refuse(ven.executed[0], "6.1", "battery is empty")
    north.run()

    assert TypedForm("EndDeviceControlsResponseMessage", "urn:typed") == vtn.completed[key].reply.form
    assert ["6.1"] == codes(vtn.completed[key].reply)


def test_a_request_is_answered_once(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    ven.answer(ven.executed[0], ok())

    assert 1 == len(north.wire)


def test_an_event_is_never_answered(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.publish(event(), "price.north")
    north.run()
    ven.refuse(ven.executed[0], "5.3", "")

    assert [] == north.wire


def test_an_answer_that_cannot_be_written_leaves_the_request_open(
    north: Conversation, vtn: Member, ven: Member
) -> None:
    key = vtn.request(asking(), "ven-1")
    north.run()
    with pytest.raises(TooLarge):
        ven.answer(ven.executed[0], replace(ok(), comment="x" * 4_000))
    ven.refuse(ven.executed[0], "5.3", "too long")
    north.run()

    assert ["5.3"] == codes(vtn.completed[key].reply)


@pytest.mark.parametrize(
    ("code", "reason"), [("6.1", "a\x00b"), ("\x01", ""), ("6.1", "x" * 10_000), ("6" * 5_000, "")]
)
def test_a_refusal_is_sent_whatever_its_text(
    north: Conversation, vtn: Member, ven: Member, code: str, reason: str
) -> None:
    key = vtn.request(asking(), "ven-1")
    north.run()
    ven.refuse(ven.executed[0], code, reason)
    north.run()

    part = vtn.completed[key].reply.reply
    assert part is not None
    assert Result.FAILED is part.result


def test_one_open_request_too_many_is_refused(north: Conversation, vtn: Member, ven: Member) -> None:
    for _ in range(3):
        vtn.exchange.abandon(vtn.request(asking(), "ven-1"))
    north.run()
    key = vtn.request(asking(), "ven-1")
    north.run()

    assert ["3.2"] == codes(vtn.completed[key].reply)
    assert 3 == len(ven.executed)
    assert What.TOO_MANY_PENDING in ven.noticed


def test_an_answered_request_makes_room_for_another(north: Conversation, vtn: Member, ven: Member) -> None:
    for _ in range(3):
        vtn.request(asking(), "ven-1")
    north.run()
    ven.answer(ven.executed[0], ok())
    north.run()
    vtn.request(asking(), "ven-1")
    north.run()

    assert 4 == len(ven.executed)


def test_next_is_when_the_first_patience_ends(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1", timeout=5.0)
    at = vtn.exchange.next()

    assert at is not None
    assert north.now + 5.0 <= at <= north.now + 5.1


def test_what_a_handler_gets_says_where_it_came(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.request(asking(), "ven-1")
    outputs = ven.receive(north.wire.pop().delivery)

    assert [Execute] == [type(one) for one in outputs]
    assert (Inbox("ven-1"), north.now) == (ven.executed[0].address, ven.executed[0].arrived)
