"""Both lanes tell a session the same of every message, and of every end."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import uuid4

import pytest
import pytest_asyncio
from yarl import URL

from iec62746 import Expired, NoReceiver, Outcome, Overloaded, SessionLost, TooLarge, TransportError, Unreachable
from iec62746.testing.proxy import Link
from iec62746_rabbitmq._fast import open_fast
from iec62746_rabbitmq._lane import WINDOW, Incoming, Lane, Opener, Parcel, open_plain
from iec62746_rabbitmq._links import Target

BROKER = URL(os.environ.get("IEC62746_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/"))
LIMIT = 30.0


@dataclass
class Watch:
    """Who is told; it notes."""

    losses: asyncio.Queue[TransportError] = field(default_factory=asyncio.Queue)

    def lost(self, cause: TransportError) -> None:
        self.losses.put_nowait(cause)

    def blocked(self, is_blocked: bool) -> None:
        raise AssertionError("nobody raises an alarm here")


Open = Callable[..., Awaitable[tuple[Lane, Watch]]]


@pytest.fixture(params=[open_plain, open_fast], ids=["plain", "fast"])
def opener(request: pytest.FixtureRequest) -> Opener:
    found: Opener = request.param
    return found


@pytest_asyncio.fixture
async def lane(opener: Opener, absent: Callable[[object], NoReturn]) -> AsyncIterator[Open]:
    try:
        socket.create_connection((BROKER.host, BROKER.port), 2.0).close()
    except OSError as exc:
        absent(f"no RabbitMQ at {BROKER.host}:{BROKER.port}: {exc}")
    made: list[Lane] = []

    async def opened(via: Link | None = None) -> tuple[Lane, Watch]:
        host, port = via.endpoint if via is not None else (BROKER.host or "", BROKER.port or 0)
        target = Target(host=host, port=port, vhost="/", user=BROKER.user or "", password=BROKER.password)
        watch = Watch()
        made.append(await opener(target, watch))
        return made[-1], watch

    async with asyncio.timeout(LIMIT):
        yield opened
        for one in made:
            await one.aclose()


async def queue(lane: Lane, **arguments: Any) -> str:
    name = f"lane.{uuid4().hex}"
    await lane.ask("declare", lambda channel: channel.queue_declare(name, exclusive=True, arguments=arguments))
    return name


def parcel(key: str, body: bytes = b"x", within: float = 20.0, exchange: str = "", **options: Any) -> Parcel:
    return Parcel(exchange, key, body, time.time() + within, **{"is_mandatory": True, **options})


async def end(lane: Lane, one: Parcel) -> Exception | None:
    try:
        await lane.publish(one)
    except Exception as exc:
        return exc
    return None


def said(found: Exception | None) -> tuple[type[Any], Outcome | None]:
    return type(found), getattr(found, "outcome", None)


async def test_nobody_there_is_no_receiver_and_a_lane_of_events_does_not_mind(lane: Open) -> None:
    one, _ = await lane()

    assert (NoReceiver, Outcome.REFUSED) == said(await end(one, parcel("nobody")))
    assert await end(one, parcel("nobody", is_mandatory=False)) is None


@pytest.mark.parametrize(("is_mandatory", "outcome"), [(True, Outcome.REFUSED), (False, Outcome.UNKNOWN)])
async def test_a_full_queue_is_overloaded(lane: Open, is_mandatory: bool, outcome: Outcome) -> None:
    one, _ = await lane()
    name = await queue(one, **{"x-max-length": 1, "x-overflow": "reject-publish"})

    ends = [said(await end(one, parcel(name, is_mandatory=is_mandatory))) for _ in range(5)]

    assert (type(None), None) == ends[0]
    assert (Overloaded, outcome) == ends[-1]


async def test_what_has_no_room_in_a_frame_is_too_large(lane: Open) -> None:
    one, _ = await lane()
    name = await queue(one)

    assert isinstance(await end(one, parcel("k" * 256)), TooLarge)
    assert await end(one, parcel(name)) is None


async def test_an_exchange_that_is_not_there_is_unreachable_and_the_next_goes(lane: Open) -> None:
    one, watch = await lane()
    name = await queue(one)

    found = await end(one, parcel(name, exchange=f"no.{name}"))

    assert (Unreachable, Outcome.REFUSED) == said(found)
    assert await end(one, parcel(name)) is None
    assert watch.losses.empty()


async def test_of_many_at_once_none_is_said_to_be_refused_that_may_have_gone(lane: Open, opener: Opener) -> None:
    one, watch = await lane()
    name = await queue(one)
    some = [parcel(name, exchange=f"no.{name}" if number == 10 else "") for number in range(300)]

    ends = [said(found) for found in await asyncio.gather(*(end(one, each) for each in some))]

    assert Outcome.REFUSED not in {outcome for _, outcome in ends}
    if opener is open_fast:  # with aiormq's own channels the others' frames end the connection
        assert ends.count((type(None), None)) >= 300 - WINDOW
        assert watch.losses.empty()


async def test_past_the_deadline_what_was_sent_ends_the_session_and_what_was_not_expires(lane: Open) -> None:
    async with Link((BROKER.host or "", BROKER.port or 0)) as link:
        one, watch = await lane(link)
        name = await queue(one)
        link.freeze()
        sent = [asyncio.create_task(end(one, parcel(name, within=0.6))) for _ in range(WINDOW)]
        await asyncio.sleep(0)
        waits = asyncio.create_task(end(one, parcel(name, within=0.3)))

        assert (Expired, Outcome.NOT_SENT) == said(await waits)
        assert {(SessionLost, Outcome.UNKNOWN)} == {said(await each) for each in sent}
        assert isinstance(await watch.losses.get(), SessionLost)
        link.cut()


async def test_a_cut_ends_all_that_is_on_its_way(lane: Open) -> None:
    async with Link((BROKER.host or "", BROKER.port or 0)) as link:
        one, watch = await lane(link)
        name = await queue(one)
        link.freeze()
        sent = [asyncio.create_task(end(one, parcel(name))) for _ in range(3 * WINDOW)]
        await asyncio.sleep(0)

        link.cut()
        ends = [said(await each) for each in sent]

        assert {SessionLost} == {kind for kind, _ in ends}
        assert Outcome.REFUSED not in {outcome for _, outcome in ends}
        assert isinstance(await watch.losses.get(), SessionLost)
        assert (SessionLost, Outcome.NOT_SENT) == said(await end(one, parcel(name)))


async def test_messages_come_whole_and_in_order_until_it_is_cancelled(lane: Open) -> None:
    one, watch = await lane()
    name, got = await queue(one), asyncio.Queue[Incoming]()
    consumer = await one.consume(name, got.put)
    bodies = [b"", b"a", bytes(200_000), *(b"%d" % number for number in range(500))]

    await asyncio.gather(*(one.publish(parcel(name, body, headers={"Noun": "n"}, reply_to="r")) for body in bodies))
    found = [await got.get() for _ in bodies]
    await consumer.cancel()
    await consumer.cancel()
    await one.publish(parcel(name))

    assert bodies == [incoming.body for incoming in found]
    assert {("application/xml", "r", name, "n")} == {
        (incoming.content_type, incoming.reply_to, incoming.key, incoming.headers["Noun"]) for incoming in found
    }
    left = await one.ask("look", lambda channel: channel.queue_declare(name, passive=True))
    assert 1 == left.message_count
    assert got.empty()
    assert watch.losses.empty()


@pytest.mark.parametrize("end", ["cancel", "aclose"])
async def test_at_the_end_what_was_taken_is_acked_and_the_rest_goes_back(lane: Open, end: str) -> None:
    (one, _), (other, _) = await lane(), await lane()
    name, got = f"lane.{uuid4().hex}", asyncio.Queue[Incoming]()
    arguments: dict[str, Any] = {"x-expires": 60_000}
    await other.ask("declare", lambda channel: channel.queue_declare(name, durable=True, arguments=arguments))
    taken, stuck, forever = list[bytes](), asyncio.Event(), asyncio.Event()

    async def take(incoming: Incoming) -> None:
        if len(taken) == 10:
            stuck.set()
            await forever.wait()
        taken.append(incoming.body)

    await asyncio.gather(*(other.publish(parcel(name, b"%d" % number)) for number in range(30)))
    consumer = await one.consume(name, take)
    await stuck.wait()
    await (consumer.cancel() if end == "cancel" else one.aclose())
    await other.consume(name, got.put)

    again = [await got.get() for _ in range(20)]
    assert [b"%d" % number for number in range(10, 30)] == [incoming.body for incoming in again]
    assert all(incoming.redelivered for incoming in again)
    assert len(taken) == 10
    await other.ask("delete", lambda channel: channel.queue_delete(name))


async def test_a_queue_that_is_deleted_ends_the_session(lane: Open) -> None:
    one, watch = await lane()
    name, got = await queue(one), asyncio.Queue[Incoming]()
    await one.consume(name, got.put)

    await one.ask("delete", lambda channel: channel.queue_delete(name))

    assert "deleted" in str(await watch.losses.get())


async def test_what_take_raises_ends_the_session(lane: Open) -> None:
    one, watch = await lane()
    name = await queue(one)

    async def take(incoming: Incoming) -> None:
        raise ValueError("not taken")

    await one.consume(name, take)
    await one.publish(parcel(name))

    assert "ValueError: not taken" in str(await watch.losses.get())


async def test_a_delivery_may_close_its_own_session(lane: Open) -> None:
    one, _ = await lane()
    name, closed = await queue(one), asyncio.Event()

    async def take(incoming: Incoming) -> None:
        await one.aclose()
        closed.set()

    await one.consume(name, take)
    await one.publish(parcel(name))

    await closed.wait()
