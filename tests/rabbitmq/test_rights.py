"""What the provisioned rights keep an account from, tried by real clients on real brokers (62746-3, 6)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

VTN, VEN, OTHER = "grid-operator", "battery", "pv-roof"
Attack = Callable[["Stage"], Awaitable[object]]


@dataclass
class Stage:
    """A VEN's channel with its session's queues, the VTN's with its own, and another VEN's inbox."""

    domain: str
    accounts: dict[str, str]
    ven: AbstractChannel
    vtn: AbstractChannel

    def name(self, rest: str) -> str:
        return f"{self.domain}.{rest}"

    async def publish(self, exchange: str, key: str, by: str = VEN, **properties: Any) -> None:
        channel = self.vtn if by == VTN else self.ven
        name = self.name(exchange) if exchange else ""
        message = aio_pika.Message(b"x", user_id=properties.pop("user_id", self.accounts[by]), **properties)
        target = channel.default_exchange if not name else await channel.get_exchange(name, ensure=False)
        await target.publish(message, key, mandatory=False)

    async def declare(self, queue: str, dead_letter_to: str | None = None, is_durable: bool = False) -> None:
        arguments: dict[str, Any] = {"x-dead-letter-exchange": dead_letter_to} if dead_letter_to else {}
        name = self.name(queue)
        await self.ven.declare_queue(name, exclusive=not is_durable, durable=is_durable, arguments=arguments)

    async def bind(self, exchange: str, key: str, queue: str = f"ven.{VEN}.s1") -> None:
        underlay = await self.ven.get_underlay_channel()
        await underlay.queue_bind(self.name(queue), self.name(exchange), routing_key=key)

    async def join(self, source: str, key: str, destination: str) -> None:
        underlay = await self.ven.get_underlay_channel()
        await underlay.exchange_bind(self.name(destination), self.name(source), routing_key=key)

    async def consume(self, queue: str) -> None:
        underlay = await self.ven.get_underlay_channel()
        await underlay.basic_get(self.name(queue))


@pytest.fixture
async def stage(provisioned: Any) -> AsyncIterator[Stage]:
    """Set up what a VTN and two VENs declare; whatever of it is refused fails the test here."""
    d = provisioned.domain.name
    connections = {party: await aio_pika.connect(provisioned.url(party)) for party in (VTN, VEN, OTHER)}
    try:
        channels = {party: await one.channel(on_return_raises=True) for party, one in connections.items()}
        vtn = channels[VTN]
        inbox = await vtn.declare_queue(f"{d}.vtn.in", durable=True, arguments={"x-queue-type": "classic"})
        await inbox.bind(f"{d}.to.vtn", "*.in")
        await inbox.purge()
        replies = await vtn.declare_queue(f"{d}.vtn.re.v1", exclusive=True)
        await replies.bind(f"{d}.to.vtn", "*.re.v1")
        presence = await vtn.declare_queue(f"{d}.vtn.pr.v1", exclusive=True)
        await presence.bind(f"{d}.presence", "*")
        for party, session in ((VEN, "s1"), (OTHER, "s2")):
            own = await channels[party].declare_queue(f"{d}.ven.{party}.{session}", exclusive=True)
            await own.bind(f"{d}.to.ven", party)
            events = await channels[party].declare_queue(f"{d}.ven.{party}.{session}.ev", exclusive=True)
            for node in provisioned.domain.nodes_for(party):
                await events.bind(f"{d}.event", node)
            for announced in (VTN, party):
                await events.bind(f"{d}.presence", announced)
        accounts = {name: party.account for name, party in provisioned.domain.parties.items()}
        yield Stage(d, accounts, channels[VEN], vtn)
    finally:
        for one in connections.values():
            await one.close()


ALLOWED: dict[str, Attack] = {
    "a VEN asks the VTN": lambda on: on.publish("to.vtn", f"{VEN}.in"),
    "a VEN answers the VTN": lambda on: on.publish("to.vtn", f"{VEN}.re.v1"),
    "a VEN announces itself": lambda on: on.publish("presence", VEN),
    "the VTN asks a VEN": lambda on: on.publish("to.ven", VEN, VTN),
    "the VTN publishes on a node": lambda on: on.publish("event", "price.north", VTN),
    "the VTN announces itself": lambda on: on.publish("presence", VTN, VTN),
}

ATTACKS: dict[str, Attack] = {
    "publish as another VEN": lambda on: on.publish("to.vtn", f"{OTHER}.in"),
    "answer as another VEN": lambda on: on.publish("to.vtn", f"{OTHER}.re.v1"),
    "ask with a key of more words": lambda on: on.publish("to.vtn", f"{VEN}.in.x"),
    "ask with a key that begins alike": lambda on: on.publish("to.vtn", f"x{VEN}.in"),
    "ask with a line break behind the key": lambda on: on.publish("to.vtn", f"{VEN}.in\n\n"),
    "answer a session with a wildcard": lambda on: on.publish("to.vtn", f"{VEN}.re.*"),
    "publish without a key": lambda on: on.publish("to.vtn", ""),
    "forge user_id": lambda on: on.publish("to.vtn", f"{VEN}.in", user_id=on.accounts[OTHER]),
    "forge the VTN's user_id": lambda on: on.publish("to.vtn", f"{VEN}.in", user_id=on.accounts[VTN]),
    "write to another VEN": lambda on: on.publish("to.ven", OTHER),
    "write to oneself as the VTN would": lambda on: on.publish("to.ven", VEN),
    "publish an event": lambda on: on.publish("event", "price.north"),
    "announce another": lambda on: on.publish("presence", OTHER),
    "announce the VTN": lambda on: on.publish("presence", VTN),
    "publish to the default exchange": lambda on: on.publish("", on.name("vtn.in")),
    "publish to another's queue by the default exchange": lambda on: on.publish("", on.name(f"ven.{OTHER}.s2")),
    "publish to the dead": lambda on: on.publish("dead", ""),
    "consume the VTN's inbox": lambda on: on.consume("vtn.in"),
    "consume the VTN's replies": lambda on: on.consume("vtn.re.v1"),
    "consume another's inbox": lambda on: on.consume(f"ven.{OTHER}.s2"),
    "consume the dead": lambda on: on.consume("dead"),
    "bind another's inbox": lambda on: on.bind("to.ven", OTHER, f"ven.{OTHER}.s2"),
    "bind another's key": lambda on: on.bind("to.ven", OTHER),
    "bind every VEN's key by *": lambda on: on.bind("to.ven", "*"),
    "bind every VEN's key by #": lambda on: on.bind("to.ven", "#"),
    "bind what goes to the VTN": lambda on: on.bind("to.vtn", "*.in"),
    "bind everything to the VTN": lambda on: on.bind("to.vtn", "#"),
    "bind a foreign node": lambda on: on.bind("event", "secret.south"),
    "bind nodes by #": lambda on: on.bind("event", "price.#"),
    "bind nodes by *": lambda on: on.bind("event", "price.*"),
    "bind everybody's presence": lambda on: on.bind("presence", "*"),
    "bind another's presence": lambda on: on.bind("presence", OTHER),
    "join another's key to presence": lambda on: on.join("to.ven", OTHER, "presence"),
    "join all keys to presence": lambda on: on.join("to.ven", "#", "presence"),
    "join a foreign node to presence": lambda on: on.join("event", "secret.south", "presence"),
    "join everybody's presence to what goes to the VTN": lambda on: on.join("presence", "*", "to.vtn"),
    "join presence to the events": lambda on: on.join("presence", VEN, "event"),
    "bind the dead": lambda on: on.bind("dead", ""),
    "bind the VTN's inbox to what one may read": lambda on: on.bind("to.ven", VEN, "vtn.in"),
    "declare the VTN's inbox": lambda on: on.declare("vtn.in", is_durable=True),
    "declare a reply queue of the VTN": lambda on: on.declare("vtn.re.x"),
    "declare another's inbox": lambda on: on.declare(f"ven.{OTHER}.s9"),
    "declare a queue without a session": lambda on: on.declare(f"ven.{VEN}"),
    "declare a queue with a long session": lambda on: on.declare(f"ven.{VEN}.{'s' * 33}"),
    "declare a queue with more words": lambda on: on.declare(f"ven.{VEN}.s1.x"),
    "declare a queue elsewhere": lambda on: on.ven.declare_queue("elsewhere", exclusive=True),
    "declare an exchange": lambda on: on.ven.declare_exchange(on.name("own"), aio_pika.ExchangeType.TOPIC),
    "delete the VTN's inbox": lambda on: on.ven.queue_delete(on.name("vtn.in")),
    "delete an exchange": lambda on: on.ven.exchange_delete(on.name("event")),
    "dead-letter to the VTN's events": lambda on: on.declare(f"ven.{VEN}.s3", on.name("event")),
}

OF_THE_VTN: dict[str, Attack] = {
    "publish on a node that is not defined": lambda on: on.publish("event", "secret.south", VTN),
    "announce a VEN": lambda on: on.publish("presence", VEN, VTN),
    "ask itself": lambda on: on.publish("to.vtn", f"{VEN}.in", VTN),
    "forge a VEN's user_id": lambda on: on.publish("to.ven", VEN, VTN, user_id=on.accounts[OTHER]),
    "publish to the default exchange": lambda on: on.publish("", on.name(f"ven.{VEN}.s1"), VTN),
}

REFUSED = (ChannelAccessRefused, ChannelPreconditionFailed)


@pytest.mark.requirement("R-6b")
@pytest.mark.parametrize("what", ALLOWED)
async def test_what_the_roles_say_is_possible(stage: Stage, what: str) -> None:
    await ALLOWED[what](stage)


@pytest.mark.requirement("R-4.4b")
@pytest.mark.requirement("R-6d")
@pytest.mark.parametrize("what", ATTACKS)
async def test_a_ven_is_refused_to(stage: Stage, what: str) -> None:
    # A forged user_id is a failed precondition; nothing else may get as far as that.
    with pytest.raises(ChannelPreconditionFailed if "user_id" in what else ChannelAccessRefused):
        await ATTACKS[what](stage)


@pytest.mark.requirement("R-6d")
@pytest.mark.parametrize("what", OF_THE_VTN)
async def test_the_vtn_is_refused_to(stage: Stage, what: str) -> None:
    with pytest.raises(REFUSED):
        await OF_THE_VTN[what](stage)


@pytest.mark.requirement("R-6b")
async def test_an_account_of_one_domain_is_none_of_another(provisioned: Any) -> None:
    url = provisioned.url(VEN)

    with pytest.raises((ConnectionError, aiormq.exceptions.AMQPError)):
        await aio_pika.connect(url.replace(f"/{provisioned.domain.name}", "/%2F"))
    with pytest.raises(aiormq.exceptions.AMQPError):
        await aio_pika.connect(provisioned.broker.url(provisioned.domain.parties[VEN].account, "wrong"))


async def test_what_expires_in_the_inbox_of_the_vtn_is_dead_lettered(stage: Stage) -> None:
    dead = await stage.vtn.get_queue(stage.name("dead"), ensure=False)
    arrived: aio_pika.abc.AbstractIncomingMessage | None = None

    await stage.publish("to.vtn", f"{VEN}.in", expiration=0.001)
    async with dead.iterator(timeout=10) as messages:
        arrived = await anext(messages)

    assert arrived.user_id == stage.accounts[VEN]
    assert str(arrived.headers["x-first-death-reason"]) == "expired"
    await arrived.ack()
