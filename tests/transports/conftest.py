"""Parties on RabbitMQ in the open way: on the machine's own broker, or on a private one that a test may hurt."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiormq
import pytest
import pytest_asyncio
from aiormq.abc import AbstractChannel

from iec62746 import Address, Config, Delivery, Inbox, Node, Outgoing, Presence, ReplyTo, Session, TransportError
from iec62746_rabbitmq import RabbitTransport
from iec62746_rabbitmq.private import NoBroker, PrivateBroker

VENS = ("ven-1", "ven-2", "ven-3")


@dataclass
class Seen:
    """An observer that notes."""

    losses: asyncio.Queue[TransportError] = field(default_factory=asyncio.Queue)
    gone_parties: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    blocks: asyncio.Queue[bool] = field(default_factory=asyncio.Queue)

    def lost(self, cause: TransportError) -> None:
        self.losses.put_nowait(cause)

    def gone(self, party: str) -> None:
        self.gone_parties.put_nowait(party)

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        raise AssertionError("what is returned is told by send")

    def blocked(self, is_blocked: bool) -> None:
        self.blocks.put_nowait(is_blocked)


class Party:
    """A session, its observer, and what it was delivered."""

    def __init__(self, session: Session, seen: Seen) -> None:
        self.session, self.seen = session, seen
        self.got: asyncio.Queue[Delivery] = asyncio.Queue()

    async def hear(self, *addresses: Address) -> "Party":
        for address in addresses:
            await self.session.subscribe(address, self.got.put)
        return self

    async def tell(self, to: Address | ReplyTo, body: bytes = b"<x/>", within: float = 30.0, **options: Any) -> Any:
        return await self.session.send(to, Outgoing(body=body, expires=time.time() + within, **options))

    async def next(self) -> Delivery:
        async with asyncio.timeout(10):
            return await self.got.get()

    async def loss(self) -> TransportError:
        async with asyncio.timeout(30):
            return await self.seen.losses.get()


@dataclass
class Meeting:
    """One domain of its own on one broker, in the open way, and a bare channel there."""

    base: str
    """URL up to the host and port."""
    domain: str
    stack: AsyncExitStack
    raw: AbstractChannel
    sessions: int = 0
    vhost: str = ""

    async def enter(self, party: str, query: str = "declare=true", **options: Any) -> Party:
        """Open a session of `party`, which is closed at the end."""
        seen = Seen()
        self.sessions += 1
        config = Config(
            urls=(f"{self.base}/{self.vhost}?{query}",),
            domain=self.domain,
            party=party,
            vtn="vtn",
            session=f"s{self.sessions}",
            account=party,
            **options,
        )
        session = await RabbitTransport().open(config, seen)
        self.stack.push_async_callback(session.aclose)
        return Party(session, seen)

    async def vtn(self, query: str = "declare=true") -> Party:
        """Open the VTN's session, and subscribe to what it subscribes to."""
        return await (await self.enter("vtn", query)).hear(Inbox("vtn"), Presence())

    async def ven(self, name: str = "ven-1", *nodes: str, query: str = "declare=true") -> Party:
        """Open a VEN's session, and subscribe to what it subscribes to."""
        party = await self.enter(name, query)
        return await party.hear(Inbox(name), Presence("vtn"), Presence(name), *map(Node, nodes))

    async def has_queue(self, name: str) -> bool:
        """Return whether the queue `name`, without the domain, is there."""
        channel = await self.raw.connection.channel()
        try:
            await channel.queue_declare(f"{self.domain}.{name}", passive=True)
        except aiormq.exceptions.ChannelNotFoundEntity:
            return False
        except aiormq.exceptions.ChannelLockedResource:
            return True
        return True

    async def until_gone(self, name: str, within: float = 10) -> None:
        """Wait until the queue `name` is not there."""
        async with asyncio.timeout(within):
            while await self.has_queue(name):  # noqa: ASYNC110 - only asking the broker tells
                await asyncio.sleep(0.02)


async def _meeting(base: str) -> AsyncIterator[Meeting]:
    """Meet on a domain of one's own; nothing of it is left behind where the broker still lives."""
    domain = f"t{secrets.token_hex(6)}"
    async with AsyncExitStack() as stack:
        connection = await aiormq.connect(f"{base}/")
        raw = await connection.channel()
        yield Meeting(base, domain, stack, raw)
        await stack.aclose()
        if not connection.is_closed:
            clean = await connection.channel()
            await clean.queue_delete(f"{domain}.vtn.in")
            for exchange in ("to.vtn", "to.ven", "event", "presence"):
                await clean.exchange_delete(f"{domain}.{exchange}")
            await connection.close()


@pytest_asyncio.fixture
async def enter_at() -> AsyncIterator[Callable[..., Any]]:
    """Return a function that opens a session of a party at a URL, subscribed to addresses; they are closed at last."""
    async with AsyncExitStack() as stack:

        async def enter(url: str, domain: str, party: str, *addresses: Address) -> Party:
            seen = Seen()
            config = Config(urls=(url,), domain=domain, party=party, vtn="vtn", session="s", account=party)
            session = await RabbitTransport().open(config, seen)
            stack.push_async_callback(session.aclose)
            return await Party(session, seen).hear(*addresses)

        yield enter


@pytest_asyncio.fixture
async def meeting(absent: Callable[[object], NoReturn]) -> AsyncIterator[Meeting]:
    """Return a domain of the test's own on the machine's RabbitMQ."""
    try:
        socket.create_connection(("127.0.0.1", 5672), timeout=2).close()
    except OSError:
        absent("no RabbitMQ at 127.0.0.1:5672: start one with user guest")
    async for one in _meeting("amqp://guest:guest@127.0.0.1:5672"):
        yield one


@pytest.fixture(scope="module")
def private(absent: Callable[[object], NoReturn]) -> Iterator[PrivateBroker]:
    """Return a RabbitMQ that the module's tests may hurt."""
    try:
        broker = PrivateBroker(plugins=("rabbitmq_event_exchange",))
        broker.start()
    except NoBroker as exc:
        absent(exc)
    yield broker
    broker.close()


@pytest_asyncio.fixture
async def hurt(private: PrivateBroker) -> AsyncIterator[Meeting]:
    """Return a domain of the test's own on the private RabbitMQ."""
    async for one in _meeting(f"amqp://guest:guest@127.0.0.1:{private.port}"):
        yield one


@pytest.fixture
def published(meeting: Meeting) -> Callable[..., Any]:
    """Return a function that publishes as anybody with a client could; the exchange is named without its domain."""

    async def publish(exchange: str, key: str, body: bytes = b"<x/>", **properties: Any) -> None:
        await meeting.raw.basic_publish(
            body,
            exchange=f"{meeting.domain}.{exchange}",
            routing_key=key,
            properties=aiormq.spec.Basic.Properties(**properties),
        )

    return publish
