from importlib import resources

import pytest
from lxml import etree

from iec62746.address import Inbox
from iec62746.domain import Domain
from iec62746.envelope import payload
from iec62746.errors import PermissionDenied
from iec62746.message import Kind, Message, Option, RequestPart, Result
from iec62746.outputs import Send, What
from iec62746.testing.pair import Conversation, Member
from iec62746.transport import Delivery, Proof, ReplyTo

NORTH = """\
[domain]
name = "north"
vtn = "vtn"
[nodes."price.north"]
nouns = ["MarketPrices", "Forecasts"]
current = true
[nodes."price.south"]
nouns = ["MarketPrices"]
current = true
[nodes."dispatch.north"]
nouns = ["EndDeviceControls"]
[roles.household]
subscribe = ["price.north", "dispatch.north"]
request.get = ["EndDeviceControls"]
[parties.ven-1]
roles = ["household"]
[parties.ven-2]
roles = []
"""
NODES = ("price.north", "dispatch.north")


def price(value: int, noun: str = "MarketPrices") -> Message:
    return Message(kind=Kind.EVENT, verb="changed", noun=noun, payload=payload(f'<Price xmlns="urn:x">{value}</Price>'))


def get(noun: str, node: str | None = None) -> Message:
    options = (Option("Node", node),) if node else ()
    return Message(kind=Kind.REQUEST, verb="get", noun=noun, request=RequestPart(options=options))


@pytest.fixture
def north() -> Conversation:
    return Conversation(Domain.parse(NORTH))


@pytest.fixture
def vtn(north: Conversation) -> Member:
    return north.join("vtn")


def values(member: Member) -> list[tuple[bytes, bool]]:
    return [(event.payload.xml if event.payload else b"", event.is_current) for event in member.events]


@pytest.mark.requirement("R-7c")
def test_a_late_subscriber_gets_the_current_value(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.north")
    vtn.publish(price(2), "price.north")
    north.pass_time(3_600.0)
    ven = north.join("ven-1", nodes=NODES)
    north.run()

    assert [(b'<Price xmlns="urn:x">2</Price>', True)] == values(ven)
    assert ("changed", "price.north", "vtn") == (ven.events[0].verb, ven.events[0].destination, ven.events[0].source)


def test_each_noun_of_a_node_has_its_own(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.north")
    vtn.publish(price(2, "Forecasts"), "price.north")
    ven = north.join("ven-1", nodes=NODES)
    north.run()

    assert {"MarketPrices", "Forecasts"} == {event.noun for event in ven.events}


def test_before_the_first_event_there_is_none(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()

    assert [] == ven.executed
    assert What.UNANSWERED not in ven.noticed


def test_nothing_kept_is_answered_ok_without_payload(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1")
    key = ven.request(get("MarketPrices", "price.north"), "vtn")
    north.run()
    reply = ven.completed[key].reply

    assert (Result.OK, None) == (reply.reply.result if reply.reply else None, reply.payload)


@pytest.mark.requirement("R-7c")
def test_the_reply_says_which_event_it_was(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.north")
    ven = north.join("ven-1")
    key = ven.request(get("MarketPrices", "price.north"), "vtn")
    north.run()
    reply = ven.completed[key].reply

    assert {"Node": "price.north", "EventVerb": "changed"}.items() <= {
        one.name: one.value for one in reply.properties
    }.items()
    assert reply.property_value("EventID")
    assert reply.property_value("EventTimestamp")


def test_nothing_is_kept_of_a_node_without_a_current_value(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1, "EndDeviceControls"), "dispatch.north")
    ven = north.join("ven-1", nodes=NODES)
    north.run()

    assert [] == ven.executed


@pytest.mark.requirement("R-7c")
def test_who_may_not_subscribe_gets_no_current_value(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.south")
    ven = north.join("ven-1")

    with pytest.raises(PermissionDenied):
        ven.request(get("MarketPrices", "price.south"), "vtn")


def test_a_current_value_older_than_what_was_delivered_is_dropped(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.north")
    ven = north.join("ven-1", nodes=NODES)
    for _ in range(len(north.wire)):
        north.deliver(0)
    replies = list(north.wire)
    north.pass_time(1.0)
    vtn.publish(price(2), "price.north")
    north.wire[:] = [*north.wire[len(replies) :], *replies]
    north.run()

    assert [(b'<Price xmlns="urn:x">2</Price>', False)] == values(ven)
    assert What.OUTDATED in ven.noticed


def test_what_is_asked_of_a_node_without_a_current_value_is_for_the_handler(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1, "EndDeviceControls"), "dispatch.north")
    ven = north.join("ven-1")
    ven.request(get("EndDeviceControls", "dispatch.north"), "vtn")
    north.run()

    assert ["EndDeviceControls"] == [ticket.message.noun for ticket in vtn.executed]


def test_a_current_value_that_was_delivered_as_an_event_is_not_delivered_again(
    north: Conversation, vtn: Member
) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(1), "price.north")
    north.run()
    ven.take(ven.exchange.current_requests(NODES, north.now))
    north.run()

    assert [(b'<Price xmlns="urn:x">1</Price>', False)] == values(ven)


def test_an_event_that_was_got_as_current_value_is_not_delivered_again(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(1), "price.north")
    event = north.wire.pop()
    ven.take(ven.exchange.current_requests(NODES, north.now))
    north.run()
    ven.receive(event.delivery)

    assert [(b'<Price xmlns="urn:x">1</Price>', True)] == values(ven)
    assert What.DUPLICATE in ven.noticed


def test_of_two_events_in_one_millisecond_the_missed_one_is_got(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(1), "price.north")
    north.run()
    vtn.publish(price(2), "price.north")
    north.wire.clear()
    ven.take(ven.exchange.current_requests(NODES, north.now))
    north.run()

    assert [b'<Price xmlns="urn:x">1</Price>', b'<Price xmlns="urn:x">2</Price>'] == [one for one, _ in values(ven)]


@pytest.mark.requirement("R-7c")
def test_a_value_published_while_the_connection_was_lost_is_got_on_reconnect(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    vtn.publish(price(1), "price.north")
    north.run()
    ven.lose()
    north.pass_time(5.0)
    vtn.publish(price(2), "price.north")
    ven.open()
    north.run()

    assert [(b'<Price xmlns="urn:x">1</Price>', False), (b'<Price xmlns="urn:x">2</Price>', True)] == values(ven)


def many_nodes() -> Conversation:
    nodes = "".join(f'[nodes."n.{number}"]\nnouns = ["MarketPrices"]\ncurrent = true\n' for number in range(100))
    text = NORTH.replace("[roles", nodes + "[roles").replace('["price.north", "dispatch.north"]', '["n.#"]')
    return Conversation(Domain.parse(text.replace('[nodes."price.south"]', '[nodes."n"]')))


MANY = tuple(f"n.{number}" for number in range(100))


def test_only_some_current_values_are_asked_for_at_once() -> None:
    north = many_nodes()
    vtn = north.join("vtn")
    for node in MANY:
        vtn.publish(price(1), node)
    north.wire.clear()
    ven = north.join("ven-1", nodes=MANY)
    under_way = ven.exchange.pending
    north.run()

    assert 16 == under_way
    assert 100 == len(ven.executed)
    assert 0 == ven.exchange.pending


def test_those_that_are_not_answered_do_not_hold_up_the_others() -> None:
    north = many_nodes()
    north.join("vtn")
    ven = north.join("ven-1", nodes=MANY)
    north.wire.clear()
    north.pass_time(31.0)

    assert 16 == ven.noticed.count(What.UNANSWERED)
    assert 16 == ven.exchange.pending


def test_in_a_session_that_was_lost_nothing_more_is_asked_for() -> None:
    north = many_nodes()
    north.join("vtn")
    ven = north.join("ven-1", nodes=MANY)
    ven.lose()
    ven.exchange.request(get("Nodes"), "vtn", north.now)
    north.wire.clear()
    north.pass_time(31.0)

    assert 1 == len(ven.failed)
    assert 0 == ven.exchange.pending


def test_who_is_told_that_nobody_is_there_asks_for_no_more(north: Conversation) -> None:
    ven = north.join("ven-1", nodes=NODES)

    assert 0 == ven.exchange.pending
    assert {What.UNANSWERED} == set(ven.noticed)


def test_to_ask_anew_forgets_what_was_asked_before(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.north")
    ven = north.join("ven-1", nodes=NODES)
    ven.take(ven.exchange.current_requests(NODES, north.now))
    under_way = ven.exchange.pending
    north.run()

    assert 2 == under_way
    assert 1 == len(ven.events)


def test_to_ask_anew_asks_as_many_at_once() -> None:
    north = many_nodes()
    north.join("vtn")
    ven = north.join("ven-1", nodes=MANY)
    ven.take(ven.exchange.current_requests(MANY, north.now))

    assert 16 == ven.exchange.pending


def test_a_current_value_that_is_not_answered_is_told(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.wire.clear()
    north.pass_time(31.0)

    assert [What.UNANSWERED, What.UNANSWERED] == ven.noticed
    assert {} == ven.failed


@pytest.mark.requirement("R-7c")
def test_get_nodes_tells_what_the_asker_may_subscribe_to(north: Conversation, vtn: Member) -> None:
    ven, roleless = north.join("ven-1"), north.join("ven-2")
    one, none = ven.request(get("Nodes"), "vtn"), roleless.request(get("Nodes"), "vtn")
    north.run()
    found, nothing = ven.completed[one].reply.payload, roleless.completed[none].reply.payload

    assert found is not None
    assert nothing is not None
    names = [name.text for name in etree.fromstring(found.xml).iter("{*}name")]
    assert ["price.north", "dispatch.north"] == names
    assert [] == list(etree.fromstring(nothing.xml))
    assert [] == vtn.executed


def test_get_nodes_is_valid_by_its_schema(north: Conversation, vtn: Member) -> None:
    schema = etree.XMLSchema(etree.fromstring(resources.files("iec62746").joinpath("schema/nodes.xsd").read_bytes()))
    ven = north.join("ven-1")
    key = ven.request(get("Nodes"), "vtn")
    north.run()
    found = ven.completed[key].reply.payload

    assert found is not None
    schema.assertValid(etree.fromstring(found.xml))


def test_what_the_core_answers_itself_is_told(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1")
    ven.request(get("Nodes"), "vtn")
    north.run()

    assert What.ANSWERED in vtn.noticed


def test_a_list_of_nodes_that_is_too_long_is_refused_and_hurts_nobody() -> None:
    nodes = "".join(f'[nodes."{"n" * 60}.{number}"]\nnouns = ["MarketPrices"]\n' for number in range(40))
    small = "[limits]\nmessage = 3000\n" + nodes + "[roles"
    north = Conversation(
        Domain.parse(
            NORTH.replace("[roles", small, 1).replace('["price.north", "dispatch.north"]', f'["{"n" * 60}.#"]')
        )
    )
    vtn, ven = north.join("vtn"), north.join("ven-1")
    key = ven.request(get("Nodes"), "vtn")
    north.run()
    reply = ven.completed[key].reply.reply

    assert reply is not None
    assert "3.1" == reply.errors[0].code
    assert What.UNANSWERABLE in vtn.noticed


def test_an_event_that_a_later_current_value_overtook_is_dropped(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(1), "price.north")
    north.pass_time(1.0)
    vtn.publish(price(2), "price.north")
    live = [packet.delivery for packet in north.wire]
    north.wire.clear()
    ven.take(ven.exchange.current_requests(NODES, north.now))
    north.run()
    for delivery in live:
        ven.receive(delivery)

    assert [(b'<Price xmlns="urn:x">2</Price>', True)] == values(ven)
    assert [What.OUTDATED, What.DUPLICATE] == ven.noticed


def test_what_comes_after_a_current_value_is_delivered(north: Conversation, vtn: Member) -> None:
    vtn.publish(price(1), "price.north")
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(2), "price.north")
    north.run()

    assert [b'<Price xmlns="urn:x">1</Price>', b'<Price xmlns="urn:x">2</Price>'] == [one for one, _ in values(ven)]


@pytest.mark.requirement("R-7b")
@pytest.mark.parametrize("put_back", [20.0, 600.0])
def test_a_current_value_is_taken_though_the_clock_of_the_vtn_was_put_back(
    put_back: float, north: Conversation, vtn: Member
) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(1), "price.north")
    north.run()
    ven.lose()
    north.pass_time(1.0)
    here, north.now = north.now, north.now - put_back
    vtn.publish(price(2), "price.north")
    north.now = here
    for _ in range(2):
        ven.open()
        north.run()
        ven.lose()
        north.pass_time(200.0)

    assert [b'<Price xmlns="urn:x">1</Price>', b'<Price xmlns="urn:x">2</Price>'] == [one for one, _ in values(ven)]


def test_after_our_clock_was_put_back_a_current_value_is_taken(north: Conversation, vtn: Member) -> None:
    ven = north.join("ven-1", nodes=NODES)
    north.run()
    vtn.publish(price(1), "price.north")
    north.run()
    ven.lose()
    north.pass_time(1.0)
    north.now -= 600.0
    ven.exchange.clock_put(-600.0)
    vtn.publish(price(2), "price.north")
    north.run()
    ven.open()
    north.run()

    assert b'<Price xmlns="urn:x">2</Price>' == values(ven)[-1][0]


@pytest.mark.requirement("R-7c")
def test_a_current_value_is_checked_as_every_payload_is(north: Conversation) -> None:
    strict = Conversation(
        Domain.parse(NORTH.replace('vtn = "vtn"', 'vtn = "vtn"\npayloads = "known"', 1)), now=north.now
    )
    vtn, ven = north.join("vtn"), strict.join("ven-1")
    vtn.publish(price(1), "price.north")
    for send in ven.exchange.current_requests(["price.north"], north.now):
        request = Delivery(
            body=send.message.body,
            address=Inbox("vtn"),
            sender="ven-1",
            proof=Proof.BROKER,
            reply_to=ReplyTo(None),
            correlation_id=send.message.correlation_id,
        )
        for answer in vtn.exchange.receive(request, north.now):
            if isinstance(answer, Send):
                body, key = answer.message.body, answer.message.correlation_id
                ven.receive(
                    Delivery(body=body, address=Inbox("ven-1"), sender="vtn", proof=Proof.BROKER, correlation_id=key)
                )

    assert [] == values(ven)
    assert What.INVALID_PAYLOAD in ven.noticed
    assert 0 == ven.exchange.pending
