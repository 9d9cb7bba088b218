"""What RabbitMQ adds to a message, counted: one that is small travels in one packet (62746-3, 5.1)."""

import time
from typing import Any

import pytest
from pamqp import frame as pamqp_frame

from iec62746 import Domain, Inbox, Kind, Message, Outgoing, State, payload
from iec62746._ids import message_id
from iec62746.exchange import Exchange
from iec62746_rabbitmq._frames import Encoder
from iec62746_rabbitmq._lane import CONTENT_TYPE
from iec62746_rabbitmq._topology import Topology

PACKET = 1_280
"""Octets that every IPv6 network carries in one packet."""
HEADERS = 40 + 20 + 12 + 29
"""Octets of IPv6, of TCP with time stamps, and of a TLS record around them."""
FRAME_MAX, LONGEST_ID = 131_072, "18446744073709551615"
SESSION = "0123456789abcdef"
DOMAIN = Domain.parse(
    '[domain]\nname = "north"\nvtn = "grid-operator"\n[nodes."price.north"]\nnouns = ["MarketPrices"]\n'
    '[roles.ven]\nsubscribe = ["#"]\npublish = ["MeterReadings"]\nrequest.get = ["MarketPrices"]\n'
    'serve.create = ["EndDeviceControls"]\n[parties.heat-pump]\nroles = ["ven"]\n'
)


@pytest.fixture(params=["grid-operator", "heat-pump"])
def party(request: pytest.FixtureRequest) -> Exchange:
    made = Exchange(DOMAIN, request.param, now=time.time(), new_id=message_id)
    made.opened(SESSION, time.time())
    return made


def of(octets: int) -> Any:
    """Return a payload of so many octets."""
    bare = '<c:Controls xmlns:c="http://iec.ch/TC57/2016/Controls#"></c:Controls>'
    return payload(bare.replace("><", f">{'x' * (octets - len(bare))}<"))


def messages(party: Exchange, octets: int) -> list[tuple[Any, Outgoing]]:
    """Return one message of each pattern that `party` begins, and where it goes."""
    now, other = time.time(), "heat-pump" if party.is_vtn else "grid-operator"
    verb, noun = ("create", "EndDeviceControls") if party.is_vtn else ("get", "MarketPrices")
    asked = Message(kind=Kind.REQUEST, verb=verb, noun=noun, payload=of(octets) if party.is_vtn else None)
    noun, node = ("MarketPrices", "price.north") if party.is_vtn else ("MeterReadings", None)
    said = party.publish(Message(kind=Kind.EVENT, verb="created", noun=noun, payload=of(octets)), node, now)
    here = party.announce(State.ONLINE, now)
    return [(Inbox(other), party.request(asked, other, now)), (said.to, said.message), (here.to, here.message)]


def on_the_wire(party: Exchange, to: Any, message: Outgoing) -> bytes:
    """Return the frames of `message`, with the longest that each property can be."""
    names, encoder = Topology(DOMAIN.name, party.party, DOMAIN.vtn, SESSION), Encoder(1, FRAME_MAX)
    block = encoder.properties(
        LONGEST_ID,
        correlation_id=message.correlation_id,
        reply_to=names.reply_key(to) if message.expects_reply else "",
        expiration="30000",
        user_id=party.party,
        content_type=CONTENT_TYPE,
        headers=message.headers,
    )
    route = names.route(to)
    return encoder.publish(route.exchange, route.key, message.body, block, mandatory=True)


@pytest.mark.requirement("R-5.1f")
def test_a_message_of_each_pattern_with_200_octets_of_payload_fits_one_packet(party: Exchange) -> None:
    for to, message in messages(party, 200):
        octets = on_the_wire(party, to, message)

        assert len(octets) + HEADERS <= PACKET, (to, len(octets))
        assert len(octets) - len(message.body) <= 250, (to, "what RabbitMQ adds")


@pytest.mark.requirement("R-5.1f")
def test_a_long_message_goes_in_as_many_frames_as_it_needs(party: Exchange) -> None:
    to, message = messages(party, 500_000)[1]

    octets, bodies = on_the_wire(party, to, message), list[int]()
    while octets:
        size, _, one = pamqp_frame.unmarshal(octets)
        octets = octets[size:]
        bodies.append(len(getattr(one, "value", b"")))

    assert len(message.body) == sum(bodies)
    assert 4 == sum(size > 0 for size in bodies)
