from dataclasses import replace

import pytest

from iec62746.domain import Domain
from iec62746.envelope import decode, encode, payload
from iec62746.message import Error, Kind, Message, Property, ReplyPart, Result
from iec62746.outputs import What
from iec62746.testing.pair import Conversation, Member, redelivered
from iec62746.transport import Delivery

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[limits]
remembered = 20
answers = 100000
[nodes."price.north"]
nouns = ["MarketPrices"]
[roles.household]
subscribe = ["price.north"]
serve.create = ["EndDeviceControls"]
[parties.ven-1]
roles = ["household"]
"""
THING = payload('<Thing xmlns="urn:x"/>')
CONTROL = Message(kind=Kind.REQUEST, verb="create", noun="EndDeviceControls", payload=THING)
PRICE = Message(kind=Kind.EVENT, verb="created", noun="MarketPrices", payload=THING)
OK = Message(
    kind=Kind.RESPONSE,
    verb="reply",
    noun="EndDeviceControls",
    reply=ReplyPart(result=Result.OK, errors=(Error(code="0.0"),)),
)


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


def control(vtn: Member) -> Delivery:
    vtn.request(CONTROL, "ven-1", timeout=600.0)
    return vtn.conversation.wire.pop().delivery


def bodies(north: Conversation) -> list[bytes]:
    return [packet.delivery.body for packet in north.wire]


def test_a_request_is_executed_once(vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.receive(request)

    assert 1 == len(ven.executed)
    assert [What.DUPLICATE] == ven.noticed


def test_an_event_is_executed_once(north: Conversation, vtn: Member, ven: Member) -> None:
    vtn.publish(PRICE, "price.north")
    event = north.wire.pop().delivery
    ven.receive(event)
    ven.receive(event)

    assert 1 == len(ven.events)


def test_a_request_is_executed_once_across_sessions(vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.lose()
    ven.open()
    ven.receive(redelivered(request))

    assert 1 == len(ven.executed)


def test_while_the_first_runs_the_second_waits_for_its_answer(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.receive(request)
    before = bodies(north)
    ven.answer(ven.executed[0], OK)

    assert [] == before
    assert 2 == len(bodies(north))
    assert 1 == len(set(bodies(north)))


def test_only_so_many_duplicates_wait(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    for _ in range(100):
        ven.receive(request)
    ven.answer(ven.executed[0], OK)

    assert 9 == len(north.wire)
    assert 99 == ven.noticed.count(What.DUPLICATE)


def test_what_was_answered_gets_the_same_answer_again(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.answer(ven.executed[0], OK)
    north.pass_time(10.0)
    ven.receive(request)

    assert 2 == len(bodies(north))
    assert 1 == len(set(bodies(north)))


def test_what_was_refused_gets_the_same_refusal_again(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    unheard = replace(request, body=encode(replace(decode(request.body), noun="Unheard")))
    ven.receive(unheard)
    ven.receive(unheard)

    assert 2 == len(bodies(north))
    assert 1 == len(set(bodies(north)))
    assert [] == ven.executed


def test_an_answer_that_is_not_kept_is_not_given_and_nothing_is_executed() -> None:
    north = Conversation(Domain.parse(NORTH.replace("100000", "10")))
    vtn, ven = north.join("vtn"), north.join("ven-1")
    north.run()
    request = control(vtn)
    ven.receive(request)
    ven.answer(ven.executed[0], OK)
    north.wire.clear()
    ven.receive(request)

    assert [] == north.wire
    assert 1 == len(ven.executed)


def test_the_same_id_with_another_body_is_refused(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.receive(replace(request, body=encode(replace(decode(request.body), comment="other"))))
    reply = decode(north.wire[-1].delivery.body)

    assert [What.REUSED_ID] == ven.noticed
    assert "2.15" == (reply.reply.errors[0].code if reply.reply else "")
    assert 1 == len(ven.executed)


def test_the_answer_after_a_reused_id_is_that_of_the_first(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.receive(replace(request, body=encode(replace(decode(request.body), comment="other"))))
    north.wire.clear()
    ven.answer(ven.executed[0], OK)

    assert b"0.0" in bodies(north)[0]


def test_what_can_come_no_more_is_forgotten(north: Conversation, vtn: Member, ven: Member) -> None:
    ven.receive(control(vtn))
    kept = ven.exchange.remembered
    north.pass_time(37.0)

    assert (1, 0) == (kept, ven.exchange.remembered)


def test_a_far_deadline_is_remembered_as_long(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    message = decode(request.body)
    far = replace(message, properties=(message.properties[0], Property("Deadline", "2030-01-01T00:00:00Z")))
    again = replace(request, body=encode(far))
    ven.receive(again)
    north.pass_time(10_000.0)
    ven.receive(again)

    assert 1 == len(ven.executed)


def test_at_the_bound_the_oldest_is_forgotten_and_told(north: Conversation, vtn: Member, ven: Member) -> None:
    for _ in range(25):
        vtn.publish(PRICE, "price.north")
    north.run()

    assert 20 == ven.exchange.remembered
    assert 5 == ven.noticed.count(What.FORGOTTEN)
    assert 25 == len(ven.events)


def test_those_who_wait_are_answered_even_if_the_first_was_forgotten(
    north: Conversation, vtn: Member, ven: Member
) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.receive(request)
    for _ in range(25):
        vtn.publish(PRICE, "price.north")
    north.run()
    ven.answer(ven.executed[0], OK)

    assert 2 == len(north.wire)


# ---------------------------------------------------------------- what a communication server gives again


def test_what_is_given_again_is_taken_if_it_was_not_taken_before(north: Conversation, vtn: Member, ven: Member) -> None:
    north.pass_time(10.0)
    ven.receive(redelivered(control(vtn)))

    assert 1 == len(ven.executed)


def test_what_is_given_again_from_before_we_remember_is_dropped(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    north.pass_time(10.0)
    restarted = north.join("ven-1")
    restarted.receive(redelivered(request))

    assert [What.REDELIVERED] == restarted.noticed
    assert [] == restarted.executed


def test_a_sender_whose_clock_is_a_little_ahead_is_not_believed_to_be_new(
    north: Conversation, vtn: Member, ven: Member
) -> None:
    before = north.now
    north.now += 4.0
    request = control(vtn)  # written at the time `before`, by a clock that is 4 s ahead
    north.now = before + 1.0
    restarted = north.join("ven-1")
    restarted.receive(redelivered(request))

    assert [] == restarted.executed


@pytest.mark.parametrize("field", ["timestamp", "message_id"])
def test_what_is_given_again_and_cannot_be_known_is_dropped(
    north: Conversation, vtn: Member, ven: Member, field: str
) -> None:
    north.pass_time(10.0)
    request = control(vtn)
    ven.receive(redelivered(replace(request, body=encode(replace(decode(request.body), **{field: None})))))  # type: ignore[arg-type]

    assert What.REDELIVERED in ven.noticed
    assert [] == ven.executed


def test_what_is_given_again_without_a_deadline_is_dropped_when_it_is_forgotten(
    north: Conversation, vtn: Member, ven: Member
) -> None:
    north.pass_time(10.0)
    request = control(vtn)
    body = encode(replace(decode(request.body), properties=(Property("Destination", "ven-1"),)))
    endless = replace(request, body=body)
    ven.receive(endless)
    north.pass_time(40.0)
    ven.receive(redelivered(endless))

    assert 1 == len(ven.executed)
    assert What.REDELIVERED in ven.noticed


def test_what_is_given_again_and_was_answered_gets_its_answer(north: Conversation, vtn: Member, ven: Member) -> None:
    request = control(vtn)
    ven.receive(request)
    ven.answer(ven.executed[0], OK)
    ven.receive(redelivered(request))

    assert 2 == len(north.wire)


@pytest.mark.requirement("R-5.1d")
def test_a_late_copy_of_what_was_executed_is_not_reported_as_refused(
    north: Conversation, vtn: Member, ven: Member
) -> None:
    request = control(vtn)
    ven.receive(request)
    north.pass_time(100.0)
    ven.receive(redelivered(request))

    assert [] == bodies(north)
    assert What.EXPIRED in ven.noticed
    assert 1 == len(ven.executed)
