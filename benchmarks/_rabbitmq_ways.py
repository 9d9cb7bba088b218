"""The ways of `bench_rabbitmq.py`: each side of each, as a context that yields what to do, or None for who waits.

A way's sides are `hear` and `tell` of an event, `serve` and `ask` of a request.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count as count_from
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.patterns import RPC

from iec62746 import (
    Config,
    Delivery,
    Domain,
    Inbox,
    Kind,
    Message,
    Outgoing,
    Overloaded,
    Property,
    ReplyPart,
    Result,
    TransportError,
    VirtualEndNode,
    VirtualTopNode,
    decode,
    encode,
    payload,
)
from iec62746.message import timestamp
from iec62746_rabbitmq._lane import PREFETCH
from iec62746_rabbitmq._session import RabbitSession
from iec62746_rabbitmq.transport import RabbitTransport

READINGS = "".join(
    f'<m:Reading timeStamp="2026-01-01T00:{one:02d}:00Z"><m:value>{one}.5</m:value></m:Reading>' for one in range(4)
)
PAYLOAD = f'<m:{{0}} xmlns:m="urn:bench:{{0}}">{READINGS}</m:{{0}}>'

Count = Callable[[], None]
Act = Callable[[], Awaitable[Any]]
Side = Callable[["Setting", Count], AbstractAsyncContextManager[Act | None]]


@dataclass
class Setting:
    """Where one way runs, and with which bytes."""

    url: str
    name: str
    body: bytes = b""


def domain(name: str) -> Domain:
    return Domain.parse(
        f'[domain]\nname = "{name}"\nvtn = "vtn"\n[limits]\nwaiting = 100000\n[nodes.price]\nnouns = ["MarketPrices"]\n'
        '[roles.ven]\nsubscribe = ["price"]\npublish = ["MeterReadings"]\nserve.create = ["EndDeviceControls"]\n'
        '[parties.ven-0]\nroles = ["ven"]\n'
    )


# -------------------------------------------------------------------- ours


def ours(lane: str) -> dict[str, Side]:
    def url(setting: Setting) -> str:
        return f"{setting.url}?declare=true&lane={lane}"

    @asynccontextmanager
    async def vtn_that_hears(setting: Setting, count: Count) -> AsyncIterator[None]:
        vtn = VirtualTopNode(domain(setting.name), url(setting))

        @vtn.on_event(noun="MeterReadings")
        async def readings(event: Message) -> None:
            count()

        async with vtn:
            yield None

    @asynccontextmanager
    async def ven_that_tells(setting: Setting, count: Count) -> AsyncIterator[Act]:
        readings = payload(PAYLOAD.format("MeterReadings"))
        async with VirtualEndNode(domain(setting.name), url(setting), "ven-0") as ven:

            async def tell() -> None:
                while True:
                    try:
                        return await ven.publish("MeterReadings", readings)
                    except Overloaded:  # faster than its receiver, until 10,000 wait
                        await asyncio.sleep(0.01)

            yield tell

    @asynccontextmanager
    async def ven_that_serves(setting: Setting, count: Count) -> AsyncIterator[None]:
        ven = VirtualEndNode(domain(setting.name), url(setting), "ven-0")

        @ven.on_request("create", "EndDeviceControls")
        async def control(request: Message) -> None:
            count()

        async with ven:
            yield None

    @asynccontextmanager
    async def vtn_that_asks(setting: Setting, count: Count) -> AsyncIterator[Act]:
        controls = payload(PAYLOAD.format("EndDeviceControls"))
        async with VirtualTopNode(domain(setting.name), url(setting)) as vtn:
            yield lambda: vtn.request("create", "EndDeviceControls", controls, to="ven-0")

    return {"hear": vtn_that_hears, "tell": ven_that_tells, "serve": ven_that_serves, "ask": vtn_that_asks}


# -------------------------------------------------------------------- ours, without a conversation


class _Nobody:
    """An observer that is not interested."""

    def lost(self, cause: TransportError) -> None: ...

    def gone(self, party: str) -> None: ...

    def bounced(self, correlation_id: str, cause: TransportError) -> None: ...

    def blocked(self, is_blocked: bool) -> None: ...


@asynccontextmanager
async def _session(setting: Setting, party: str) -> AsyncIterator[RabbitSession]:
    config = Config(
        urls=(f"{setting.url}?declare=true",), domain=setting.name, party=party, vtn="vtn", session="bench", account=""
    )
    async with aclosing(await RabbitTransport().open(config, _Nobody())) as session:
        yield session


def _written(kind: Kind, verb: str, noun: str, source: str, destination: str, **parts: Any) -> Message:
    """Return a message with the header that the conversation gives it."""
    now, number = datetime.now(UTC), str(uuid4())
    return Message(
        kind=kind, verb=verb, noun=noun, timestamp=timestamp(now), source=source, message_id=number,
        correlation_id=number,
        properties=(Property("Destination", destination), Property("Deadline", timestamp(now + timedelta(seconds=30)))),
        **parts,
    )  # fmt: skip


def _outgoing(message: Message, correlation_id: str = "", *, expects_reply: bool = False) -> Outgoing:
    return Outgoing(
        body=encode(message),
        expires=time.time() + 30.0,
        correlation_id=correlation_id,
        expects_reply=expects_reply,
        headers={"Verb": message.verb, "Noun": message.noun},
    )


@asynccontextmanager
async def floor_hear(setting: Setting, count: Count) -> AsyncIterator[None]:
    async def deliver(delivery: Delivery) -> None:
        decode(delivery.body)
        count()

    async with _session(setting, "vtn") as session:
        await session.subscribe(Inbox("vtn"), deliver)
        yield None


@asynccontextmanager
async def floor_tell(setting: Setting, count: Count) -> AsyncIterator[Act]:
    readings = payload(PAYLOAD.format("MeterReadings"))
    event = _written(Kind.EVENT, "created", "MeterReadings", "ven-0", "vtn", payload=readings)
    async with _session(setting, "ven-0") as session:
        yield lambda: session.send(Inbox("vtn"), _outgoing(event))


@asynccontextmanager
async def floor_serve(setting: Setting, count: Count) -> AsyncIterator[None]:
    reply = ReplyPart(result=Result.OK)
    answer = _written(Kind.RESPONSE, "reply", "EndDeviceControls", "ven-0", "vtn", reply=reply)
    async with _session(setting, "ven-0") as session, asyncio.TaskGroup() as group:

        async def deliver(delivery: Delivery) -> None:
            decode(delivery.body)
            count()
            assert delivery.reply_to is not None
            group.create_task(session.send(delivery.reply_to, _outgoing(answer, delivery.correlation_id)))

        await session.subscribe(Inbox("ven-0"), deliver)
        yield None


@asynccontextmanager
async def floor_ask(setting: Setting, count: Count) -> AsyncIterator[Act]:
    controls, loop = payload(PAYLOAD.format("EndDeviceControls")), asyncio.get_running_loop()
    request = _written(Kind.REQUEST, "create", "EndDeviceControls", "vtn", "ven-0", payload=controls)
    answers: dict[str, asyncio.Future[Message]] = {}
    numbers = count_from(1)

    async def deliver(delivery: Delivery) -> None:
        answers.pop(delivery.correlation_id).set_result(decode(delivery.body))

    async with _session(setting, "vtn") as session:
        await session.subscribe(Inbox("vtn"), deliver)

        async def ask() -> Message:
            key = str(next(numbers))
            answer: asyncio.Future[Message] = loop.create_future()
            answers[key] = answer
            await session.send(Inbox("ven-0"), _outgoing(request, key, expects_reply=True))
            return await answer

        yield ask


# -------------------------------------------------------------------- aio-pika


@asynccontextmanager
async def _channel(setting: Setting) -> AsyncIterator[Any]:
    async with await aio_pika.connect(setting.url) as connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.set_qos(prefetch_count=PREFETCH)
        yield channel


async def _exchange(channel: Any, setting: Setting) -> Any:
    return await channel.declare_exchange(setting.name, aio_pika.ExchangeType.TOPIC, auto_delete=True)


@asynccontextmanager
async def raw_hear(setting: Setting, count: Count) -> AsyncIterator[None]:
    async with _channel(setting) as channel:
        # Of the kind that the VTN's inbox is.
        queue = await channel.declare_queue(setting.name, durable=True, arguments={"x-expires": 10_000})
        await queue.bind(await _exchange(channel, setting), "ven-0.in")

        async def on_message(message: Any) -> None:
            await message.ack()
            count()

        await queue.consume(on_message)
        yield None


@asynccontextmanager
async def raw_tell(setting: Setting, count: Count) -> AsyncIterator[Act]:
    async with _channel(setting) as channel:
        exchange = await _exchange(channel, setting)

        async def tell() -> None:
            message = aio_pika.Message(
                setting.body,
                content_type="application/xml",
                delivery_mode=aio_pika.DeliveryMode.NOT_PERSISTENT,
            )
            await exchange.publish(message, "ven-0.in", mandatory=True)

        yield tell


@asynccontextmanager
async def rpc_serve(setting: Setting, count: Count) -> AsyncIterator[None]:
    async with _channel(setting) as channel:
        rpc = await RPC.create(channel)

        async def control(*, body: bytes) -> bytes:
            count()
            return body

        await rpc.register(setting.name, control, exclusive=True)
        yield None


@asynccontextmanager
async def rpc_ask(setting: Setting, count: Count) -> AsyncIterator[Act]:
    async with _channel(setting) as channel:
        rpc = await RPC.create(channel)
        yield lambda: rpc.call(setting.name, {"body": setting.body})


# -------------------------------------------------------------------- FastStream


def _faststream(setting: Setting) -> Any:
    from faststream.rabbit import Channel, RabbitBroker

    return RabbitBroker(setting.url, default_channel=Channel(prefetch_count=PREFETCH), logger=None)


@asynccontextmanager
async def faststream_hear(setting: Setting, count: Count) -> AsyncIterator[None]:
    from faststream.rabbit import ExchangeType, RabbitExchange, RabbitQueue

    broker = _faststream(setting)
    queue = RabbitQueue(setting.name, durable=True, routing_key="ven-0.in", arguments={"x-expires": 10_000})

    async def readings(body: bytes) -> None:
        count()

    broker.subscriber(queue, RabbitExchange(setting.name, type=ExchangeType.TOPIC, auto_delete=True))(readings)
    async with broker:
        await broker.start()
        yield None


@asynccontextmanager
async def faststream_tell(setting: Setting, count: Count) -> AsyncIterator[Act]:
    from faststream.rabbit import ExchangeType, RabbitExchange

    broker = _faststream(setting)
    exchange = RabbitExchange(setting.name, type=ExchangeType.TOPIC, auto_delete=True)
    async with broker:
        await broker.start()
        yield lambda: broker.publish(setting.body, exchange=exchange, routing_key="ven-0.in", mandatory=True)


@asynccontextmanager
async def faststream_serve(setting: Setting, count: Count) -> AsyncIterator[None]:
    from faststream.rabbit import RabbitQueue

    broker = _faststream(setting)

    async def control(body: bytes) -> bytes:
        count()
        return body

    broker.subscriber(RabbitQueue(setting.name, exclusive=True))(control)
    async with broker:
        await broker.start()
        yield None


@asynccontextmanager
async def faststream_ask(setting: Setting, count: Count) -> AsyncIterator[Act]:
    broker = _faststream(setting)
    async with broker:
        await broker.start()
        yield lambda: broker.request(setting.body, setting.name, timeout=30.0)


FLOOR = "ours, lane and codec alone"
RAW = "aio-pika"
PATTERNS = "aio-pika patterns.RPC"
FASTSTREAM = "FastStream"
WAYS: Mapping[str, Mapping[str, Side]] = {
    "ours, fast": ours("fast"),
    "ours, plain": ours("plain"),
    FLOOR: {"hear": floor_hear, "tell": floor_tell, "serve": floor_serve, "ask": floor_ask},
    RAW: {"hear": raw_hear, "tell": raw_tell},
    PATTERNS: {"serve": rpc_serve, "ask": rpc_ask},
    FASTSTREAM: {
        "hear": faststream_hear,
        "tell": faststream_tell,
        "serve": faststream_serve,
        "ask": faststream_ask,
    },
}
