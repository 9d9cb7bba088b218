"""On a real RabbitMQ, the fast lane tells the right outcome of every message, whatever happens to it."""

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn
from uuid import uuid4

import aiormq
import pytest
import pytest_asyncio
from yarl import URL

from iec62746_rabbitmq._consumer import Consumer, TooSlow
from iec62746_rabbitmq._demux import Demux, DemuxWire
from iec62746_rabbitmq._lane import Incoming, Parcel
from iec62746_rabbitmq._publisher import Lost, Nacked, Publish, Publisher, Returned

BROKER = URL(os.environ.get("IEC62746_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/"))
LIMIT = 20.0
"""Seconds in which everything has to be over."""


@pytest_asyncio.fixture(autouse=True)
async def _broker(absent: Callable[[object], NoReturn]) -> AsyncIterator[None]:
    try:
        with socket.create_connection((BROKER.host, BROKER.port), 2.0):
            pass
    except OSError as exc:
        absent(f"no RabbitMQ at {BROKER.host}:{BROKER.port}: {exc}")
    async with asyncio.timeout(LIMIT):
        yield


class Link:
    """A TCP proxy before the broker that can be frozen and cut."""

    def __init__(self) -> None:
        self.port = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(BROKER.host, BROKER.port)
        self._writers |= {writer, onward}
        for source, target in ((reader, onward), (there, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._flows.wait()
                target.write(data)
                await target.drain()
        target.close()

    def freeze(self) -> None:
        self._flows.clear()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def aclose(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()


class Line:
    """One fast connection, its plain channel for topology, and what came."""

    def __init__(self, connection: Any, demux: Demux, plain: Any) -> None:
        self.connection, self.demux, self.plain = connection, demux, plain
        self.got: list[Incoming] = []
        self.arrived = asyncio.Condition()
        self.ends: asyncio.Queue[BaseException | None] = asyncio.Queue()

    async def publisher(self, **options: Any) -> Publisher:
        channel, frame_max = await self.connection.channel(), self.connection.connection_tune.frame_max
        return Publisher(channel, self.demux, **{"frame_max": frame_max, "late": lambda: None, **options})

    async def queue(self, **arguments: Any) -> str:
        made = await self.plain.queue_declare(f"fast.{uuid4().hex}", exclusive=True, arguments=arguments)
        return str(made.queue)

    async def consume(
        self,
        queue: str,
        take: Callable[[Incoming], Awaitable[None]] | None = None,
        prefetch: int = 200,
        **options: Any,
    ) -> Consumer:
        channel = await self.connection.channel(publisher_confirms=False)
        consumer = Consumer(channel, self.demux, take or self.take, self.ends.put_nowait, **options)
        await channel.basic_qos(prefetch_count=prefetch)
        await channel.basic_consume(queue, self._never)
        return consumer

    async def _never(self, message: Any) -> None:
        raise AssertionError("aiormq was given a delivery of a fast channel")

    async def take(self, incoming: Incoming) -> None:
        async with self.arrived:
            self.got.append(incoming)
            self.arrived.notify_all()

    async def until(self, count: int) -> list[Incoming]:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def depth(self, queue: str) -> int:
        found = await self.plain.queue_declare(queue, passive=True)
        return int(found.message_count)


Open = Callable[..., Awaitable[Line]]


@pytest_asyncio.fixture
async def line() -> AsyncIterator[Open]:
    made: list[Line] = []

    async def opened(url: URL = BROKER, **options: Any) -> Line:
        wire = DemuxWire()
        connection = await aiormq.connect(url, transport_factory=wire, **options)
        wire.demux.agree(connection.connection_tune.frame_max)
        one = Line(connection, wire.demux, await connection.channel(publisher_confirms=False))
        made.append(one)
        return one

    yield opened
    for one in made:
        with suppress(Exception):
            await one.connection.close()


@pytest_asyncio.fixture
async def link() -> AsyncIterator[Link]:
    made = Link()
    await made.start()
    yield made
    await made.aclose()


def through(link: Link, **query: Any) -> URL:
    return BROKER.with_port(link.port).update_query(query)


async def outcomes(some: list[Publish]) -> list[BaseException | None]:
    await asyncio.wait([one.outcome for one in some])
    return [asyncio.CancelledError() if one.outcome.cancelled() else one.outcome.exception() for one in some]


def send(
    publisher: Publisher, key: str, body: bytes = b"x", exchange: str = "", *, within: float = 30.0, **options: Any
) -> Publish:
    return publisher.publish(Parcel(exchange, key, body, time.time() + within, is_mandatory=True, **options))


async def test_among_many_at_once_just_the_unroutable_come_back(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(window=7), await one.queue()

    sent = [send(publisher, f"{queue}-not" if number % 3 == 0 else queue) for number in range(300)]
    found = await outcomes(sent)

    assert [number % 3 == 0 for number in range(300)] == [isinstance(error, Returned) for error in found]
    assert 100 == len([error for error in found if error is not None])
    assert 200 == await one.depth(queue)
    assert (0, 0) == (publisher.unconfirmed, publisher.waiting)


async def test_a_full_queue_nacks_what_it_does_not_take(line: Open) -> None:
    one = await line()
    publisher = await one.publisher()
    queue = await one.queue(**{"x-max-length": 3, "x-overflow": "reject-publish"})

    found = await outcomes([send(publisher, queue) for _ in range(20)])

    assert (3, 17) == (found.count(None), sum(isinstance(error, Nacked) for error in found))
    assert 3 == await one.depth(queue)


async def test_a_frozen_and_cut_link_ends_all_and_says_what_was_written(line: Open, link: Link) -> None:
    one = await line(through(link))
    publisher, queue = await one.publisher(window=100), await one.queue()
    link.freeze()
    sent = [send(publisher, queue) for _ in range(150)]
    await asyncio.sleep(0)

    link.cut()
    found = await outcomes(sent)

    assert [Lost] * 150 == [type(error) for error in found]
    assert [True] * 100 + [False] * 50 == [error.is_sent for error in found if isinstance(error, Lost)]
    late = send(publisher, queue).outcome
    assert isinstance(late.exception(), Lost)


async def test_a_publish_to_an_exchange_that_is_not_there_ends_its_channel_and_no_other(line: Open) -> None:
    one = await line()
    first, second, queue = await one.publisher(), await one.publisher(), await one.queue()

    sent = [send(first, queue, exchange="" if number != 10 else f"no-{queue}") for number in range(20)]
    found = await outcomes(sent)

    assert all(error is None or isinstance(error, Lost) for error in found)
    assert isinstance(found[10], Lost)
    assert "no exchange" in str(found[10])
    assert [None] == await outcomes([send(second, queue)])


async def test_a_failure_to_encode_leaves_the_others_their_outcome(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(window=5), await one.queue()
    keys = [queue, "k" * 300, f"{queue}-not"]

    found = await outcomes([send(publisher, keys[number % 3]) for number in range(60)])

    assert [type(None), ValueError, Returned] * 20 == [type(error) for error in found]
    assert (0, 0) == (publisher.unconfirmed, publisher.waiting)


async def test_who_gives_up_keeps_the_place_until_the_broker_answers(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(window=50), await one.queue()
    sent = [send(publisher, queue) for _ in range(200)]
    for number in range(0, 200, 3):
        sent[number].outcome.cancel()

    assert 50 == publisher.unconfirmed
    await outcomes(sent)
    assert [None] == await outcomes([send(publisher, queue)])

    written = sum(one.is_sent for one in sent)
    assert 200 - len(range(51, 200, 3)) == written  # who gave up before the turn came was not sent
    assert written + 1 == await one.depth(queue)
    assert (0, 0) == (publisher.unconfirmed, publisher.waiting)


async def test_who_gave_up_and_is_not_answered_by_the_deadline_is_late_all_the_same(line: Open, link: Link) -> None:
    one, late = await line(through(link)), asyncio.Event()
    publisher, queue = await one.publisher(window=1, late=late.set), await one.queue()
    link.freeze()
    sent = [send(publisher, queue, within=0.2) for _ in range(100)]
    for publish in sent:
        publish.outcome.cancel()
        publisher.give_up(publish)

    assert (1, 0) == (publisher.unconfirmed, publisher.waiting)
    async with asyncio.timeout(10):
        await late.wait()


async def test_octets_that_are_unconfirmed_are_bounded(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(window_octets=10_000), await one.queue()

    sent = [send(publisher, queue, bytes(size)) for size in (4_000, 4_000, 4_000, 50_000, 1)]
    unconfirmed = publisher.unconfirmed
    found = await outcomes(sent)

    assert 2 == unconfirmed
    assert [None] * 5 == found


async def test_messages_go_in_the_order_in_which_they_were_given(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(window=3), await one.queue()
    await one.consume(queue)

    for number in range(100):
        send(publisher, queue, b"%d" % number)
        if number % 7 == 0:
            await asyncio.sleep(0)

    assert [b"%d" % number for number in range(100)] == [incoming.body for incoming in await one.until(100)]


async def test_bodies_of_every_size_come_as_they_went(line: Open) -> None:
    one = await line()
    most = one.connection.connection_tune.frame_max
    sizes = (0, 1, 255, 1_021, most - 9, most - 8, most - 7, 2 * most, 1_048_576, 0, 5)
    publisher, queue = await one.publisher(), await one.queue()
    await one.consume(queue)
    bodies = [random.Random(size).randbytes(size) for size in sizes]

    assert [None] * len(bodies) == await outcomes([send(publisher, queue, body) for body in bodies])

    assert bodies == [incoming.body for incoming in await one.until(len(bodies))]


async def test_properties_come_as_they_went(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(), await one.queue()
    await one.consume(queue)
    given: dict[str, Any] = {
        "correlation_id": "c-1",
        "reply_to": "reply.key",
        "user_id": BROKER.user,
        "headers": {"Verb": "get", "Noun": "Größe"},
    }

    assert [None] == await outcomes([send(publisher, queue, **given)])
    incoming = (await one.until(1))[0]

    assert given == {name: getattr(incoming, name) for name in given}
    assert ("application/xml", "", queue, False) == (
        incoming.content_type,
        incoming.exchange,
        incoming.key,
        incoming.redelivered,
    )


async def test_headers_of_foreign_kinds_are_read(line: Open) -> None:
    one = await line()
    queue = await one.queue()
    await one.consume(queue)
    nested: dict[str, Any] = {"table": {"list": [1, 2.5, {"deep": None}]}, "n": 2**40, "flag": True}

    await one.plain.basic_publish(
        b"x", routing_key=queue, properties=aiormq.spec.Basic.Properties(headers=nested, priority=3, app_id="a")
    )
    incoming = (await one.until(1))[0]

    assert nested == incoming.headers


async def test_acks_are_for_many_at_once_and_all_is_acked(line: Open) -> None:
    one, other = await line(), await line()
    publisher = await other.publisher()
    queue = f"fast.{uuid4().hex}"
    await other.plain.queue_declare(queue, durable=True, arguments={"x-expires": 60_000})
    consumer = await one.consume(queue, prefetch=60)
    for _ in range(500):
        send(publisher, queue)
    await one.until(500)

    await consumer.stop()
    await one.connection.close()

    assert 0 == await other.depth(queue)
    await other.plain.queue_delete(queue)


async def test_what_was_not_taken_goes_back(line: Open) -> None:
    one, other = await line(), await line()
    publisher = await other.publisher()
    queue = f"fast.{uuid4().hex}"
    await other.plain.queue_declare(queue, durable=True, arguments={"x-expires": 60_000})
    taken, stuck, forever = list[bytes | None](), asyncio.Event(), asyncio.Event()

    async def take(incoming: Incoming) -> None:
        if len(taken) == 10:
            stuck.set()
            await forever.wait()
        taken.append(incoming.body)

    for number in range(30):
        send(publisher, queue, b"%d" % number)
    consumer = await one.consume(queue, take)
    await stuck.wait()
    await consumer.stop()
    await one.connection.close()
    await other.consume(queue)

    again = await other.until(20)
    assert [b"%d" % number for number in range(10, 30)] == [incoming.body for incoming in again]
    assert all(incoming.redelivered for incoming in again)
    await other.plain.queue_delete(queue)


@pytest.mark.parametrize(("size", "most", "over"), [(1, 200, 0), (100_000, 10, 262_144 // 100_000 + 1)])
async def test_what_waits_is_bounded_and_nothing_is_lost(line: Open, size: int, most: int, over: int) -> None:
    one, other = await line(), await line()
    publisher, queue, gate = await other.publisher(), await one.queue(), asyncio.Event()

    async def take(incoming: Incoming) -> None:
        await gate.wait()
        await one.take(incoming)

    consumer = await one.consume(queue, take, 200, octets=1_000_000)
    await outcomes([send(publisher, queue, bytes(size)) for _ in range(500)])
    while consumer.waiting < most - 1:  # noqa: ASYNC110  # one more is being taken
        await asyncio.sleep(0.001)
    waiting = consumer.waiting
    gate.set()
    await one.until(500)

    # What one read of the socket brought with the message over the bound is there too: 256 KiB at most.
    assert most - 1 <= waiting <= most + over


async def test_a_consumer_that_takes_nothing_ends_the_connection(line: Open) -> None:
    one, other = await line(), await line()
    publisher, queue, forever = await other.publisher(), await one.queue(), asyncio.Event()

    async def take(incoming: Incoming) -> None:
        await forever.wait()

    await one.consume(queue, take, octets=10, held=0.05)
    for _ in range(50):
        send(publisher, queue)

    assert isinstance(await one.ends.get(), TooSlow)


async def test_what_take_raises_ends_the_consumer_and_is_told(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(), await one.queue()

    async def take(incoming: Incoming) -> None:
        raise RuntimeError("not taken")

    await one.consume(queue, take)
    send(publisher, queue)

    assert "not taken" == str(await one.ends.get())


async def test_a_cut_is_told_to_the_consumer_once(line: Open, link: Link) -> None:
    one = await line(through(link))
    await one.consume(await one.queue())

    link.cut()

    assert isinstance(await one.ends.get(), ConnectionError)
    with suppress(Exception):
        await one.connection.close()
    assert one.ends.empty()


async def test_a_queue_that_is_deleted_is_told_by_aiormq(line: Open) -> None:
    one = await line()
    queue, cancelled = await one.queue(), asyncio.Event()
    channel = await one.connection.channel(publisher_confirms=False)
    Consumer(channel, one.demux, one.take, one.ends.put_nowait)
    channel.on_consumer_cancel_callbacks.add(lambda frame: cancelled.set())
    await channel.basic_consume(queue, one._never, no_ack=True)

    await one.plain.queue_delete(queue)

    await cancelled.wait()


async def test_nothing_is_delivered_after_it_was_closed(line: Open) -> None:
    one = await line()
    publisher, queue = await one.publisher(), await one.queue()
    consumer = await one.consume(queue)
    send(publisher, queue)
    await one.until(1)

    await consumer.stop()
    await consumer.stop()
    assert [None] == await outcomes([send(publisher, queue)])
    await one.plain.queue_declare(queue, passive=True)  # a round trip: what was to come has come

    assert 1 == len(one.got)
    assert one.ends.empty()


async def test_traffic_on_fast_channels_only_keeps_the_connection_up_and_a_frozen_one_is_noticed(
    line: Open, link: Link
) -> None:
    one = await line(through(link, heartbeat=1))
    publisher, queue = await one.publisher(), await one.queue()
    loop = asyncio.get_running_loop()
    until = loop.time() + 7.0  # above the (1 + 1) * 3 s after which aiormq takes a peer for dead
    while loop.time() < until:
        assert [None] == await outcomes([send(publisher, queue)])
        await asyncio.sleep(0.02)

    link.freeze()
    pending = send(publisher, queue)
    async with asyncio.timeout(10.0):
        found = await outcomes([pending])

    assert isinstance(found[0], Lost)
