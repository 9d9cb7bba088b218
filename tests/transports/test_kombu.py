"""Sessions over kombu: threads that never hold up the loop, nothing without a bound, and nothing left behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
import pytest_asyncio
from kombu.connection import Connection
from kombu.messaging import Producer

from iec62746 import (
    Address,
    AuthenticationFailed,
    Config,
    Delivery,
    Domain,
    Expired,
    Inbox,
    Message,
    MissingCapability,
    Node,
    NoReceiver,
    Outcome,
    Outgoing,
    Overloaded,
    Presence,
    ReplyTo,
    Session,
    SessionLost,
    TransportError,
    Unreachable,
    VirtualEndNode,
    VirtualTopNode,
)
from iec62746_kombu import KombuTransport, _consumer, _publisher, _session
from iec62746_kombu._consumer import Consumer
from iec62746_kombu._publisher import Publisher
from iec62746_kombu._topology import Binding, Route
from iec62746_kombu._wire import Incoming, Parcel, Settle, Take
from iec62746_kombu._worker import Messenger
from iec62746_kombu.harness import PrivateRedis
from iec62746_rabbitmq.private import PrivateBroker

DOMAIN = "kombu-test"
KOMBUS_OWN = pytest.mark.filterwarnings("ignore:.*noload")
"""kombu 5.7 uses what SQLAlchemy 2.1 will not have for ever."""
SOON = 5.0
LEASE = 8
"""Seconds: long enough for a machine that has much else to do."""
SWEPT = LEASE + LEASE / 3 + 3 * SOON
"""Seconds in which what the dead had is gone: the lease, and it is looked at each third."""
VENS = ("ven-1", "ven-2")


@dataclass
class Seen:
    """An observer that notes."""

    losses: asyncio.Queue[TransportError] = field(default_factory=asyncio.Queue)

    def lost(self, cause: TransportError) -> None:
        self.losses.put_nowait(cause)

    def gone(self, party: str) -> None:
        raise AssertionError("nobody tells")

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        raise AssertionError("what is returned is told by send")

    def blocked(self, is_blocked: bool) -> None:
        raise AssertionError("nobody tells")


class Party:
    """A session, its observer, and what it was delivered."""

    def __init__(self, session: Session, seen: Seen) -> None:
        self.session, self.seen = session, seen
        self.got: asyncio.Queue[Delivery] = asyncio.Queue()

    async def tell(self, to: Address | ReplyTo, body: bytes = b"<x/>", within: float = 30.0, **options: Any) -> Any:
        return await self.session.send(to, Outgoing(body=body, expires=time.time() + within, **options))

    async def next(self) -> Delivery:
        async with asyncio.timeout(10):
            return await self.got.get()


Enter = Callable[..., Any]


def config(url: str, party: str, session: str = "s") -> Config:
    return Config(
        urls=(url,), domain=DOMAIN, party=party, vtn="vtn", session=session, account=party, parties=("vtn", *VENS)
    )


@pytest_asyncio.fixture
async def enter() -> AsyncIterator[Enter]:
    """Return a function that opens a session of a party at a URL, subscribed to addresses; they are closed at last."""
    async with AsyncExitStack() as stack:

        async def enter(url: str, party: str, *addresses: Address, session: str = "s") -> Party:
            seen = Seen()
            opened = await KombuTransport().open(config(url, party, session), seen)
            stack.push_async_callback(opened.aclose)
            one = Party(opened, seen)
            for address in addresses:
                await opened.subscribe(address, one.got.put)
            return one

        yield enter


@pytest.fixture
def redis(absent: Callable[[object], NoReturn]) -> Iterator[PrivateRedis]:
    if shutil.which("redis-server") is None:
        absent("no redis-server: apt install redis-server")
    with PrivateRedis() as server:
        yield server


# ---------------------------------------------------------------- what a dead session leaves

KILLED = """
import asyncio, os, signal, sys
from iec62746 import Config, Inbox, Node
from iec62746_kombu import KombuTransport

URL, DOMAIN, FIRST, LAST = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

class Deaf:
    lost = gone = bounced = blocked = lambda *_: None

async def deliver(delivery):
    pass

async def live(number):
    party = f"dead-{number}"
    config = Config(urls=(URL,), domain=DOMAIN, party=party, vtn="vtn", session="s", account=party)
    session = await KombuTransport().open(config, Deaf())
    await session.subscribe(Inbox(party), deliver)
    await session.subscribe(Node("price"), deliver)

async def main():
    await asyncio.gather(*map(live, range(FIRST, LAST)))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def kill_sessions(url: str, number: int, in_each: int = 20) -> None:
    """Open so many sessions, and kill the processes that have them."""
    for first in range(0, number, in_each):
        command = [sys.executable, "-c", KILLED, url, DOMAIN, str(first), str(first + in_each)]
        killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        assert -signal.SIGKILL == killed.returncode, killed.stderr


async def until(is_so: Callable[[], object], within: float) -> float:
    """Wait until the server says so; returns the seconds that it took."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110 - only asking the server tells
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_after_a_hundred_kills_redis_has_the_keys_that_it_had(redis: PrivateRedis, enter: Enter) -> None:
    url = f"{redis.url}?lease={LEASE}"
    vtn = await enter(url, "vtn", Inbox("vtn"), Presence())
    before = {f"{DOMAIN}.lease.vtn.s", *(f"_kombu.{name}" for name in bindings("to.vtn", "presence"))}
    assert before == redis_keys(redis) - {f"{DOMAIN}.sweep"}

    await kill_sessions(url, 100)
    for number in range(100):
        await vtn.tell(Inbox(f"dead-{number}"))
    await vtn.tell(Node("price"))
    try:
        await until(lambda: before == redis_keys(redis) - {f"{DOMAIN}.sweep"}, SWEPT)
    except TimeoutError:
        pytest.fail(f"{sorted(before ^ redis_keys(redis))[:5]} differ, {vtn.seen.losses}")


def bindings(*exchanges: str) -> list[str]:
    return [f"{kind}.{DOMAIN}.{one}" for one in exchanges for kind in ("binding", "binding_permanent")]


def redis_keys(server: PrivateRedis) -> set[str]:
    from redis import Redis

    client: Any = Redis(port=server.port, decode_responses=True)
    with client:
        return set(client.keys("*"))


async def test_redis_is_empty_when_all_were_killed(redis: PrivateRedis) -> None:
    await kill_sessions(f"{redis.url}?lease=3", 5, in_each=5)

    await until(lambda: not redis_keys(redis), SWEPT)


async def test_lists_of_the_dead_end_though_nobody_is_left_to_remove_them(redis: PrivateRedis, enter: Enter) -> None:
    url = f"{redis.url}?lease=3"
    vtn = await enter(url, "vtn")
    await kill_sessions(url, 3)
    for number in range(3):
        await vtn.tell(Inbox(f"dead-{number}"))
    assert f"{DOMAIN}.ven.dead-0.s" in redis_keys(redis)
    await vtn.session.aclose()

    await until(lambda: not redis_keys(redis), SWEPT)


async def test_what_waits_for_one_that_is_alive_stays(redis: PrivateRedis, enter: Enter) -> None:
    from redis import Redis

    url, queue, has_begun, may_go_on = f"{redis.url}?lease=3", f"{DOMAIN}.ven.ven-1.s", asyncio.Event(), asyncio.Event()
    vtn, ven, got = await enter(url, "vtn"), await enter(url, "ven-1"), list[bytes]()

    async def slowly(delivery: Delivery) -> None:
        has_begun.set()
        await may_go_on.wait()
        got.append(delivery.body)

    await ven.session.subscribe(Inbox("ven-1"), slowly)
    await vtn.tell(Inbox("ven-1"), b"<first/>")
    await has_begun.wait()
    bodies = [b"<x>%d</x>" % number for number in range(500)]
    for body in bodies:
        await vtn.tell(Inbox("ven-1"), body)
    client: Any = Redis(port=redis.port, decode_responses=True)
    with client:
        assert client.pexpire(queue, 1_500)
        await until(lambda: client.pttl(queue) > 1_500, SOON)
    may_go_on.set()

    await until(lambda: got == [b"<first/>", *bodies], SOON)


async def test_a_folder_has_the_files_that_it_had_when_others_were_killed(tmp_path: Path, enter: Enter) -> None:
    url = f"kombu+filesystem://{tmp_path}?lease={LEASE}"
    vtn = await enter(url, "vtn", Inbox("vtn"), Presence())

    await kill_sessions(url, 10, in_each=10)
    await vtn.tell(Inbox("dead-1"))
    await vtn.tell(Node("price"))
    assert any((tmp_path / "data").iterdir())
    await until(lambda: not any((tmp_path / "data").iterdir()), SWEPT)
    leases = [file.name for file in (tmp_path / "control").glob("*.lease")]
    assert [f"{DOMAIN}.vtn.s.lease"] == leases
    assert "dead" not in (tmp_path / "control" / f"{DOMAIN}.event.exchange").read_text()


async def test_a_session_that_was_taken_for_dead_is_lost(tmp_path: Path, enter: Enter) -> None:
    vtn = await enter(f"kombu+filesystem://{tmp_path}?lease=3", "vtn", Inbox("vtn"))
    (tmp_path / "control" / f"{DOMAIN}.vtn.s.lease").unlink()

    async with asyncio.timeout(SOON):
        cause = await vtn.seen.losses.get()
    assert "taken for dead" in str(cause)


# ---------------------------------------------------------------- the loop is never blocked


@dataclass
class Gaps:
    """How long the loop stood still, at most."""

    longest: float = 0.0

    async def watch(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now


@pytest.fixture(params=["redis", "pyamqp"])
def freezable(request: pytest.FixtureRequest) -> tuple[str, int]:
    """Return the URL of a server, and its process."""
    if request.param == "redis":
        server: PrivateRedis = request.getfixturevalue("redis")
        return server.url, server.pid
    broker: PrivateBroker = request.getfixturevalue("private")
    return f"kombu+pyamqp://guest:guest@127.0.0.1:{broker.port}//", broker.pid


async def test_a_frozen_server_does_not_hold_up_the_loop(freezable: tuple[str, int], enter: Enter) -> None:
    url, pid = freezable
    vtn = await enter(url, "vtn", Inbox("vtn"))
    ven = await enter(url, "ven-1", Inbox("ven-1"))
    gaps = Gaps()
    watching = asyncio.create_task(gaps.watch())
    os.kill(pid, signal.SIGSTOP)
    try:
        outcomes = await asyncio.gather(
            *(vtn.tell(Inbox("ven-1"), within=1.0) for _ in range(100)), return_exceptions=True
        )
        began = time.monotonic()
        await asyncio.gather(vtn.session.aclose(), ven.session.aclose())
        took = time.monotonic() - began
    finally:
        os.kill(pid, signal.SIGCONT)
        watching.cancel()

    # A window was on its way, and the others waited behind it.
    assert {Expired} == {type(one) for one in outcomes}
    assert {Outcome.UNKNOWN, Outcome.NOT_SENT} == {one.outcome for one in outcomes if isinstance(one, Expired)}
    assert took < 2.0
    assert gaps.longest < 0.5


@pytest.mark.parametrize("name", ["redis", "pyamqp"])
async def test_a_server_that_is_away_is_unreachable_and_not_tried_for_ever(name: str) -> None:
    began = time.monotonic()

    with pytest.raises(Unreachable) as caught:
        await KombuTransport().open(config(f"kombu+{name}://127.0.0.1:9/0", "vtn"), Seen())
    assert caught.value.is_retryable
    assert time.monotonic() - began < SOON


# ---------------------------------------------------------------- threads, and bounds


class FakeWire:
    """A connection that notes which threads used it, publishes when it may, and has something to deliver for ever."""

    window = 1

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.is_publishing, self.may_publish = threading.Event(), threading.Event()
        self.published: list[Parcel] = []
        self.handed = 0
        self._take: Take | None = None

    def _note(self) -> None:
        self.threads.add(threading.get_ident())

    def open(self) -> None:
        self._note()

    def publish(self, parcels: Sequence[Parcel], settle: Settle) -> None:
        self._note()
        self.is_publishing.set()
        self.may_publish.wait(SOON)
        self.published += parcels
        for index in range(len(parcels)):
            settle(index, None)

    def bind(self, binding: Binding) -> None:
        self._note()

    def unbind(self, binding: Binding) -> None:
        self._note()

    def consume(self, queue: str, take: Take) -> None:
        self._note()
        self._take = take

    def drain(self, seconds: float) -> None:
        self._note()
        assert self._take is not None
        self.handed += 1
        incoming = Incoming(
            body=b"",
            exchange=f"{DOMAIN}.to.ven",
            key="ven-1",
            content_type="",
            correlation_id="",
            reply_to="",
            redelivered=False,
            headers={},
        )
        self._take(incoming, self.handed)

    def ack(self, tag: Any) -> None:
        self._note()

    def tick(self) -> None:
        self._note()

    def close(self, *, is_lost: bool) -> None:
        self._note()


def parcel(within: float = 30.0, octets: int = 0) -> Parcel:
    return Parcel(route=Route("x", "y"), body=bytes(octets), expires=time.time() + within, is_mandatory=False)


async def test_each_connection_is_one_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wires: list[FakeWire] = []

    def wire(*_: Any, **__: Any) -> FakeWire:
        wires.append(FakeWire())
        wires[-1].may_publish.set()
        return wires[-1]

    monkeypatch.setattr(_session, "wire", wire)
    session = await KombuTransport().open(config(f"kombu+filesystem://{tmp_path}", "ven-1"), Seen())
    enough = asyncio.Event()
    count = 0

    async def deliver(delivery: Delivery) -> None:
        nonlocal count
        count += 1
        if count == 200:
            enough.set()

    subscription = await session.subscribe(Inbox("ven-1"), deliver)
    await session.send(Inbox("vtn"), Outgoing(body=b"", expires=time.time() + 30))
    async with asyncio.timeout(SOON):
        await enough.wait()
    await subscription.cancel()
    await session.aclose()

    assert [1, 1] == [len(one.threads) for one in wires]
    assert 3 == len({threading.get_ident()}.union(*(one.threads for one in wires)))


@pytest_asyncio.fixture
async def publisher() -> AsyncIterator[tuple[Publisher, FakeWire]]:
    wire = FakeWire()
    made = Publisher("publishes", wire, Messenger(asyncio.get_running_loop()), lambda exc: None)
    made.start()
    yield made, wire
    wire.may_publish.set()
    made.stop()
    await made.ended


async def test_messages_that_wait_to_be_published_are_bounded_in_number(
    publisher: tuple[Publisher, FakeWire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_publisher, "WAITING", 10)
    made, wire = publisher
    waiting = [asyncio.create_task(made.publish(parcel())) for _ in range(10)]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as caught:
        await made.publish(parcel())
    assert Outcome.NOT_SENT is caught.value.outcome
    wire.may_publish.set()
    await asyncio.gather(*waiting)
    await made.publish(parcel())
    assert 11 == len(wire.published)


async def test_messages_that_wait_to_be_published_are_bounded_in_octets(
    publisher: tuple[Publisher, FakeWire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_publisher, "WAITING_OCTETS", 1_000)
    made, wire = publisher
    first = asyncio.create_task(made.publish(parcel(octets=900)))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await made.publish(parcel(octets=101))
    wire.may_publish.set()
    await first
    await made.publish(parcel(octets=2_000))
    assert [900, 2_000] == [len(one.body) for one in wire.published]


async def test_who_waits_longer_than_the_deadline_is_not_sent(publisher: tuple[Publisher, FakeWire]) -> None:
    made, wire = publisher
    first = asyncio.create_task(made.publish(parcel()))
    await asyncio.sleep(0)

    with pytest.raises(Expired) as caught:
        await made.publish(parcel(within=0.1))
    assert Outcome.NOT_SENT is caught.value.outcome
    wire.may_publish.set()
    await first
    await made.publish(parcel())
    assert 2 == len(wire.published)


async def test_what_is_under_way_when_it_ends_is_told_truly(publisher: tuple[Publisher, FakeWire]) -> None:
    made, wire = publisher
    waiting = [asyncio.create_task(made.publish(parcel())) for _ in range(3)]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(wire.is_publishing.wait, SOON)
    made.end_all(None)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert {SessionLost} == {type(one) for one in outcomes}
    assert [Outcome.UNKNOWN, Outcome.NOT_SENT, Outcome.NOT_SENT] == [
        one.outcome for one in outcomes if isinstance(one, SessionLost)
    ]


async def test_deliveries_that_nobody_takes_are_bounded() -> None:
    wire, got = FakeWire(), list[Incoming]()
    full, more = asyncio.Event(), asyncio.Event()

    def take(incoming: Incoming) -> None:
        got.append(incoming)
        if len(got) == _consumer.ROOM:
            full.set()
        if len(got) > _consumer.ROOM:
            more.set()

    made = Consumer("consumes", wire, Messenger(asyncio.get_running_loop()), lambda exc: None, take)
    made.start()
    async with asyncio.timeout(SOON):
        await made.do(lambda its: made.consume("queue", its))
        await full.wait()
    # It looks up each DRAIN: whatever it would do wrong it has done by then.
    await asyncio.sleep(4 * _consumer.DRAIN)
    held = wire.handed
    for _ in range(_consumer.ROOM):
        made.taken()
    async with asyncio.timeout(SOON):
        await more.wait()
    made.stop()
    await made.ended

    assert _consumer.ROOM == held


# ---------------------------------------------------------------- AMQP, and point to point


async def test_amqp_tells_who_is_not_there_and_goes_on(private: PrivateBroker, enter: Enter) -> None:
    url = f"kombu+pyamqp://guest:guest@127.0.0.1:{private.port}//"
    vtn = await enter(url, "vtn")
    ven = await enter(url, "ven-1", Inbox("ven-1"))

    for _ in range(3):
        with pytest.raises(NoReceiver):
            await vtn.tell(Inbox("ven-2"))
        await vtn.tell(Inbox("ven-1"), b"there")
        assert b"there" == (await ven.next()).body


async def test_a_body_is_octets_whatever_it_says_of_itself(private: PrivateBroker, enter: Enter) -> None:
    ven = await enter(f"kombu+pyamqp://guest:guest@127.0.0.1:{private.port}//", "ven-1", Inbox("ven-1"))
    body = "<ä/>".encode("utf-16")
    with Connection(f"pyamqp://guest:guest@127.0.0.1:{private.port}//") as connection, connection.channel() as channel:
        Producer(channel).publish(
            body,
            exchange=f"{DOMAIN}.to.ven",
            routing_key="ven-1",
            content_type="application/xml",
            content_encoding="utf-16",
        )

    assert body == (await ven.next()).body


async def test_a_loop_that_is_closed_ends_the_threads(tmp_path: Path) -> None:
    before = threading.active_count()

    def live() -> None:
        loop = asyncio.new_event_loop()
        url = f"kombu+filesystem://{tmp_path}"
        loop.run_until_complete(KombuTransport().open(config(url, "vtn"), Seen()))
        loop.close()

    await asyncio.to_thread(live)
    # The thread that ran `live` stays in its pool.
    await until(lambda: threading.active_count() <= before + 1, SOON)


@pytest.mark.parametrize("is_vtn_kombus", [True, False])
async def test_parties_over_kombu_and_over_amqp_understand_one_another(
    private: PrivateBroker, is_vtn_kombus: bool
) -> None:
    kombus = f"kombu+pyamqp://guest:guest@127.0.0.1:{private.port}//"
    urls = (kombus, private.url(query="declare=true"))
    domain = Domain.parse(
        f'[domain]\nname = "mixed-{is_vtn_kombus}"\nvtn = "vtn"\n[nodes.price]\nnouns = ["MarketPrices"]\n'
        '[roles.ven]\nsubscribe = ["price"]\nrequest.get = ["MarketPrices"]\nserve.create = ["EndDeviceControls"]\n'
        '[parties.ven-1]\nroles = ["ven"]\n'
    )
    vtn = VirtualTopNode(domain, urls[not is_vtn_kombus])
    ven = VirtualEndNode(domain, urls[is_vtn_kombus], "ven-1")
    event = asyncio.Event()

    @ven.on_request("create", "EndDeviceControls")
    async def control(request: Message) -> None:
        return None

    @vtn.on_request("get", "MarketPrices")
    async def prices(request: Message) -> None:
        return None

    @ven.on_event(node="price")
    async def price(message: Message) -> None:
        event.set()

    async with vtn, ven:
        down = await vtn.request("create", "EndDeviceControls", "<x xmlns='urn:x'/>", to="ven-1")
        up = await ven.request("get", "MarketPrices")
        await vtn.publish("MarketPrices", "<x xmlns='urn:x'/>", node="price")
        async with asyncio.timeout(SOON):
            await event.wait()
        presence = vtn.presence["ven-1"].state

    assert ["OK", "OK", "online"] == [down.result, up.result, presence]


async def test_a_wrong_password_is_told(private: PrivateBroker) -> None:
    with pytest.raises(AuthenticationFailed):
        await KombuTransport().open(config(f"kombu+pyamqp://guest:wrong@127.0.0.1:{private.port}//", "vtn"), Seen())


@KOMBUS_OWN
async def test_point_to_point_carries_requests_replies_and_presence(tmp_path: Path, enter: Enter) -> None:
    url = f"kombu+sqla+sqlite:///{tmp_path}/kombu.db"
    vtn = await enter(url, "vtn", Inbox("vtn"), Presence())
    ven = await enter(url, "ven-1", Inbox("ven-1"), Presence("vtn"))

    await vtn.tell(Inbox("ven-1"), b"request", expects_reply=True)
    request = await ven.next()
    assert ("vtn", Inbox("ven-1")) == (request.sender, request.address)
    assert request.reply_to is not None
    await ven.tell(request.reply_to, b"reply")
    reply = await vtn.next()
    assert (b"reply", "ven-1", Inbox("vtn")) == (reply.body, reply.sender, reply.address)
    await ven.tell(Presence("ven-1"), b"here")
    assert Presence("ven-1") == (await vtn.next()).address
    await vtn.tell(Presence("vtn"), b"here")
    assert Presence("vtn") == (await ven.next()).address
    with pytest.raises(MissingCapability):
        await vtn.tell(Node("price"))


@KOMBUS_OWN
async def test_a_domain_without_nodes_talks_point_to_point(tmp_path: Path) -> None:
    url = f"kombu+sqla+sqlite:///{tmp_path}/kombu.db"
    domain = Domain.parse(
        '[domain]\nname = "north"\nvtn = "vtn"\n[roles.ven]\nserve.create = ["EndDeviceControls"]\n'
        '[parties.ven-1]\nroles = ["ven"]\n'
    )
    vtn, ven = VirtualTopNode(domain, url), VirtualEndNode(domain, url, "ven-1")

    @ven.on_request("create", "EndDeviceControls")
    async def control(request: Message) -> None:
        return None

    async with vtn, ven:
        reply = await vtn.request("create", "EndDeviceControls", "<x xmlns='urn:x'/>", to="ven-1")

    assert "OK" == reply.result
