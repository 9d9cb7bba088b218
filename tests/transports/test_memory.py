"""The memory transport keeps the contract of the six methods, and promises no more than it keeps."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from iec62746 import (
    Address,
    Closed,
    Config,
    Delivery,
    Expired,
    Inbox,
    InvalidAddress,
    Node,
    NoReceiver,
    Outcome,
    Outgoing,
    Overloaded,
    PermissionDenied,
    Presence,
    Proof,
    ReceiptLevel,
    ReplyTo,
    SessionLost,
    TooLarge,
    TransportError,
)
from iec62746_memory import MemorySession, MemoryTransport, broker

_numbers = count()


@dataclass
class Seen:
    """An observer that notes."""

    losses: list[TransportError] = field(default_factory=list)
    gone_parties: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    blocks: list[bool] = field(default_factory=list)

    def lost(self, cause: TransportError) -> None:
        self.losses.append(cause)

    def gone(self, party: str) -> None:
        self.gone_parties.put_nowait(party)

    def bounced(self, correlation_id: str, cause: TransportError) -> None:
        raise AssertionError("memory never returns what it took")

    def blocked(self, is_blocked: bool) -> None:
        self.blocks.append(is_blocked)


class Party:
    """A session, its observer, and what it was delivered."""

    def __init__(self, session: MemorySession, seen: Seen) -> None:
        self.session, self.seen = session, seen
        self.got: asyncio.Queue[Delivery] = asyncio.Queue()

    async def hear(self, *addresses: Address) -> "Party":
        for address in addresses:
            await self.session.subscribe(address, self.got.put)
        return self

    async def tell(self, to: Address | ReplyTo, body: bytes = b"x", **options: Any) -> Any:
        return await self.session.send(to, out(body, **options))


def out(body: bytes = b"x", expires: float | None = None, **options: Any) -> Outgoing:
    return Outgoing(body=body, expires=time.time() + 30 if expires is None else expires, **options)


Open = Callable[..., Any]


@pytest_asyncio.fixture
async def enter() -> AsyncIterator[Open]:
    """Return a function that opens a session on the test's own broker; all are closed afterwards."""
    name, before = f"own-{next(_numbers)}", asyncio.all_tasks()
    async with AsyncExitStack() as stack:

        async def open_one(
            party: str, query: str = "", *, domain: str = "north", will: Outgoing | None = None
        ) -> Party:
            seen = Seen()
            config = Config(
                urls=(f"memory://{name}{query}",),
                domain=domain,
                party=party,
                vtn="vtn",
                session="s",
                account=party,
                will=will,
            )
            session = await MemoryTransport().open(config, seen)
            stack.push_async_callback(session.aclose)
            return Party(session, seen)

        yield open_one
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not left


class Gate:
    """A delivery function that holds what it gets until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened, self._passed = asyncio.Event(), asyncio.Event(), asyncio.Queue[bytes]()

    async def deliver(self, delivery: Delivery) -> None:
        self.entered.set()
        await self.opened.wait()
        self._passed.put_nowait(delivery.body)

    async def bodies(self, number: int) -> list[bytes]:
        """Wait for so many; there are no more."""
        bodies = [await self._passed.get() for _ in range(number)]
        assert self._passed.empty()
        return bodies


async def test_bytes_go_through_as_they_are_with_sender_and_receipt(enter: Open) -> None:
    vtn, ven = await enter("vtn"), await (await enter("ven")).hear(Inbox("ven"))
    bodies = [b"", bytes(range(256)), b"\xff" * 1_048_576]

    receipts = [await vtn.tell(Inbox("ven"), body, correlation_id="c") for body in bodies]
    got = [await ven.got.get() for _ in bodies]

    assert bodies == [one.body for one in got]
    assert ("vtn", Proof.CLAIMED, "c", Inbox("ven"), None) == (
        got[0].sender,
        got[0].proof,
        got[0].correlation_id,
        got[0].address,
        got[0].reply_to,
    )
    assert {ReceiptLevel.ROUTED} == {one.level for one in receipts}


async def test_nobody_there_is_told_at_once_and_a_node_without_subscribers_is_no_error(enter: Open) -> None:
    vtn = await enter("vtn")
    ven = await enter("ven")  # there, but its inbox is not
    for to in (Inbox("stranger"), Inbox("ven")):
        with pytest.raises(NoReceiver, match="is not there") as caught:
            await vtn.tell(to)
        assert Outcome.REFUSED is caught.value.outcome
    await vtn.tell(Node("price"))
    await vtn.tell(Presence("vtn"))

    assert ven.got.empty()


async def test_a_subscription_is_live_when_it_returns(enter: Open) -> None:
    vtn, ven = await enter("vtn"), await enter("ven")
    for number in range(200):
        await ven.hear(Node(f"n{number}"))
        await vtn.tell(Node(f"n{number}"))
    assert 200 == len([await ven.got.get() for _ in range(200)])


async def test_an_event_reaches_each_subscriber_of_just_that_node(enter: Open) -> None:
    vtn = await enter("vtn")
    first, second = await (await enter("a")).hear(Node("a.b")), await (await enter("b")).hear(Node("a.b"), Node("a.bc"))
    await vtn.tell(Node("a.b"), b"1")
    await vtn.tell(Node("a.bc"), b"2")

    assert [b"1", b"1", b"2"] == [(await one.got.get()).body for one in (first, second, second)]
    assert first.got.empty()


async def test_presence_reaches_who_asked_for_the_party_or_for_everybody(enter: Open) -> None:
    one, all_, ven = (
        await (await enter("a")).hear(Presence("ven")),
        await (await enter("vtn")).hear(Presence()),
        await enter("ven"),
    )
    await ven.tell(Presence("ven"), b"here")
    await all_.tell(Presence("vtn"), b"me too")

    assert Presence("ven") == (await one.got.get()).address
    assert [Presence("ven"), Presence("vtn")] == [(await all_.got.get()).address for _ in range(2)]
    assert one.got.empty()


async def test_domains_and_brokers_do_not_mix(enter: Open) -> None:
    here, there = await enter("vtn"), await (await enter("ven", domain="south")).hear(Inbox("ven"), Node("n"))
    with pytest.raises(NoReceiver):
        await here.tell(Inbox("ven"))
    await here.tell(Node("n"))
    token = ReplyTo(there.session)

    with pytest.raises(PermissionDenied, match="another transport, broker or domain"):
        await here.tell(token)
    with pytest.raises(PermissionDenied):
        await here.tell(ReplyTo("made up"))
    with pytest.raises(PermissionDenied, match="may not read the inbox of vtn"):
        await there.hear(Inbox("vtn"))
    assert there.got.empty()


async def test_a_reply_reaches_just_the_session_that_asked(enter: Open) -> None:
    first, second = await (await enter("vtn")).hear(Inbox("vtn")), await (await enter("vtn")).hear(Inbox("vtn"))
    ven = await (await enter("ven")).hear(Inbox("ven"))

    await second.tell(Inbox("ven"), expects_reply=True)
    asked = await ven.got.get()
    await ven.tell(asked.reply_to, b"answer")

    assert b"answer" == (await second.got.get()).body
    assert first.got.empty()
    await second.session.aclose()
    with pytest.raises(NoReceiver):
        await ven.tell(asked.reply_to)


async def test_every_session_of_an_account_gets_a_copy(enter: Open) -> None:
    vtn, vens = await enter("vtn"), [await (await enter("ven")).hear(Inbox("ven")) for _ in range(2)]
    await vtn.tell(Inbox("ven"))
    assert [b"x", b"x"] == [(await one.got.get()).body for one in vens]


async def test_order_is_kept_also_for_those_who_had_to_wait_for_room(enter: Open) -> None:
    vtn, ven, gate = await enter("vtn"), await enter("ven", "?queue=2"), Gate()
    await ven.session.subscribe(Inbox("ven"), gate.deliver)
    bodies = [bytes([number]) for number in range(20)]
    sending = [asyncio.create_task(vtn.tell(Inbox("ven"), body)) for body in bodies]
    await gate.entered.wait()
    gate.opened.set()
    await asyncio.gather(*sending)

    assert bodies == await gate.bodies(20)


@pytest.mark.requirement("R-5.1d")
async def test_a_full_inbox_holds_the_sender_until_its_deadline_and_never_gets_the_message(enter: Open) -> None:
    vtn, ven, gate = await enter("vtn"), await enter("ven", "?queue=1"), Gate()
    await ven.session.subscribe(Inbox("ven"), gate.deliver)
    await vtn.tell(Inbox("ven"), b"1")
    await gate.entered.wait()
    await vtn.tell(Inbox("ven"), b"2")
    with pytest.raises(Overloaded, match="ven takes no more: 1 deliveries wait") as caught:
        await vtn.tell(Inbox("ven"), b"late", expires=time.time() + 0.05)
    gate.opened.set()
    await vtn.tell(Inbox("ven"), b"3")

    assert [b"1", b"2", b"3"] == await gate.bodies(3)
    assert Outcome.REFUSED is caught.value.outcome
    assert [True, False] == vtn.seen.blocks[:2]


async def test_a_sender_that_gives_up_leaves_no_message(enter: Open) -> None:
    vtn, ven, gate = await enter("vtn"), await enter("ven", "?queue=1"), Gate()
    await ven.session.subscribe(Inbox("ven"), gate.deliver)
    await vtn.tell(Inbox("ven"), b"1")
    await gate.entered.wait()
    await vtn.tell(Inbox("ven"), b"2")
    sending = asyncio.create_task(vtn.tell(Inbox("ven"), b"given up"))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    gate.opened.set()
    await vtn.tell(Inbox("ven"), b"3")

    assert [b"1", b"2", b"3"] == await gate.bodies(3)


@pytest.mark.parametrize("end", ["closes", "is lost"])
async def test_who_waits_for_room_at_a_party_that_ends_is_told(end: str, enter: Open) -> None:
    vtn, ven, gate = await enter("vtn"), await enter("ven", "?queue=1"), Gate()
    await ven.session.subscribe(Inbox("ven"), gate.deliver)
    await vtn.tell(Inbox("ven"))
    await gate.entered.wait()
    await vtn.tell(Inbox("ven"))
    sending = asyncio.create_task(vtn.tell(Inbox("ven")))
    await asyncio.sleep(0)
    if end == "closes":
        await ven.session.aclose()
    else:
        ven.session.lose(SessionLost("cut"))
    with pytest.raises(NoReceiver):
        await sending


async def test_who_waits_for_room_and_is_lost_itself_is_told(enter: Open) -> None:
    vtn, ven, gate = await enter("vtn"), await enter("ven", "?queue=1"), Gate()
    await ven.session.subscribe(Inbox("ven"), gate.deliver)
    await vtn.tell(Inbox("ven"))
    await gate.entered.wait()
    await vtn.tell(Inbox("ven"))
    sending = asyncio.create_task(vtn.tell(Inbox("ven")))
    await asyncio.sleep(0)
    vtn.session.lose(SessionLost("cut"))
    with pytest.raises(SessionLost) as caught:
        await sending

    assert Outcome.NOT_SENT is caught.value.outcome


@pytest.mark.requirement("R-5.1a")
async def test_a_slow_subscriber_of_an_event_loses_its_session_and_holds_up_nobody(enter: Open) -> None:
    vtn, slow, quick, gate = await enter("vtn"), await enter("slow", "?queue=3"), await enter("quick"), Gate()
    await slow.session.subscribe(Node("n"), gate.deliver)
    await quick.hear(Node("n"))
    for number in range(10):
        await vtn.tell(Node("n"), bytes([number]))
        assert bytes([number]) == (await quick.got.get()).body

    (cause,) = slow.seen.losses
    assert isinstance(cause, Overloaded)
    assert [] == vtn.seen.losses


async def test_the_last_session_of_a_party_that_ends_is_told_behind_what_it_sent(enter: Open) -> None:
    vtn = await (await enter("vtn")).hear(Presence(), Inbox("vtn"))
    other = await (await enter("other")).hear(Presence("vtn"))
    first, second = await enter("ven"), await enter("ven")
    await first.session.aclose()
    await second.tell(Inbox("vtn"), b"last words")
    await second.session.aclose()

    assert "ven" == await vtn.seen.gone_parties.get()
    assert b"last words" == vtn.got.get_nowait().body
    assert vtn.seen.gone_parties.empty()
    assert other.seen.gone_parties.empty()


async def test_the_will_is_published_on_an_unclean_end_only(enter: Open) -> None:
    vtn = await (await enter("vtn")).hear(Presence())
    clean, unclean = await enter("clean", will=out(b"will 1")), await enter("unclean", will=out(b"will 2"))
    await clean.session.aclose()
    unclean.session.lose(SessionLost("cut"))
    unclean.session.lose(SessionLost("twice"))

    got = await vtn.got.get()
    assert (b"will 2", "unclean", Presence("unclean")) == (got.body, got.sender, got.address)
    assert vtn.got.empty()
    assert ["cut"] == [str(one) for one in unclean.seen.losses]
    assert [] == clean.seen.losses


async def test_after_a_cancel_nothing_more_is_delivered_not_even_what_waited(enter: Open) -> None:
    vtn, ven, gate = await enter("vtn"), await enter("ven"), Gate()
    await ven.session.subscribe(Inbox("ven"), gate.deliver)
    subscription = await ven.session.subscribe(Node("n"), ven.got.put)
    await vtn.tell(Inbox("ven"))
    await gate.entered.wait()
    await vtn.tell(Node("n"))
    await subscription.cancel()
    await subscription.cancel()
    gate.opened.set()
    await vtn.tell(Inbox("ven"))
    await gate.bodies(2)

    assert ven.got.empty()


async def test_closing_is_safe_many_times_at_once_and_every_later_call_says_so(enter: Open) -> None:
    vtn, ven = await enter("vtn"), await (await enter("ven")).hear(Inbox("ven"))
    await asyncio.gather(*(ven.session.aclose() for _ in range(10)))

    with pytest.raises(Closed):
        await ven.tell(Inbox("vtn"))
    with pytest.raises(Closed):
        await ven.hear(Node("n"))
    with pytest.raises(NoReceiver):
        await vtn.tell(Inbox("ven"))
    ven.session.lose(SessionLost("too late"))
    assert [] == ven.seen.losses


async def test_a_lost_session_says_so_to_every_later_call(enter: Open) -> None:
    ven = await enter("ven")
    ven.session.lose(SessionLost("cut"))
    for call in (ven.tell(Inbox("vtn")), ven.hear(Node("n"))):
        with pytest.raises(SessionLost, match="cut") as caught:
            await call
        assert Outcome.NOT_SENT is caught.value.outcome
    await ven.session.aclose()


async def test_a_delivery_may_close_its_own_session(enter: Open) -> None:
    vtn, ven, done = await enter("vtn"), await enter("ven"), asyncio.Event()

    async def close(delivery: Delivery) -> None:
        await ven.session.aclose()
        await asyncio.sleep(0)
        done.set()

    await ven.session.subscribe(Inbox("ven"), close)
    await vtn.tell(Inbox("ven"))
    await done.wait()

    assert [] == ven.seen.losses


async def test_a_delivery_that_raises_ends_the_session(enter: Open) -> None:
    vtn, ven = await (await enter("vtn")).hear(Presence()), await enter("ven")

    async def fail(delivery: Delivery) -> None:
        raise ValueError("no")

    await ven.session.subscribe(Inbox("ven"), fail)
    await vtn.tell(Inbox("ven"))
    assert "ven" == await vtn.seen.gone_parties.get()

    assert ["a delivery was not taken: ValueError: no"] == [str(one) for one in ven.seen.losses]


async def test_what_is_too_large_or_too_late_is_not_sent(enter: Open) -> None:
    vtn, ven = await enter("vtn", "?max_message=3"), await (await enter("ven")).hear(Inbox("ven"))
    with pytest.raises(TooLarge, match="4 octets: this memory transport takes 3"):
        await vtn.tell(Inbox("ven"), b"1234")
    with pytest.raises(Expired):
        await vtn.tell(Inbox("ven"), expires=time.time() - 0.001)
    await vtn.tell(Inbox("ven"), b"123")

    assert b"123" == (await ven.got.get()).body
    assert ven.got.empty()


async def test_one_session_with_much_to_take_lets_others_have_their_turn(enter: Open) -> None:
    vtn, ven, turns = await enter("vtn"), await enter("ven"), 0

    async def quick(delivery: Delivery) -> None:
        if delivery.body == b"last":
            done.set()

    done = asyncio.Event()
    await ven.session.subscribe(Inbox("ven"), quick)
    for _ in range(200):
        await vtn.tell(Inbox("ven"))
    await vtn.tell(Inbox("ven"), b"last")
    while not done.is_set():  # the turns are what is counted
        await asyncio.sleep(0)
        turns += 1

    assert turns > 5


async def test_a_publisher_that_never_rests_does_not_cost_the_subscribers_their_sessions(enter: Open) -> None:
    vtn, ven = await enter("vtn"), await (await enter("ven", "?queue=100")).hear(Node("n"))
    for _ in range(1_000):
        await vtn.tell(Node("n"))
    assert 1_000 == len([await ven.got.get() for _ in range(1_000)])

    assert [] == ven.seen.losses


async def test_a_broker_is_gone_when_nobody_holds_it() -> None:
    name = f"gone-{next(_numbers)}"
    config = Config(urls=(f"memory://{name}",), domain="d", party="p", vtn="v", session="s", account="p")
    session = await MemoryTransport().open(config, Seen())
    held = weakref.ref(broker(name))
    gc.collect()
    assert held() is session.broker

    await session.aclose()
    del session
    gc.collect()
    assert held() is None


def test_a_broker_serves_one_loop_and_says_so() -> None:
    name = f"loops-{next(_numbers)}"
    config = Config(urls=(f"memory://{name}",), domain="d", party="p", vtn="v", session="s", account="p")
    kept = broker(name)

    async def enter() -> MemorySession:
        return await MemoryTransport().open(config, Seen())

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    session = first.run_until_complete(enter())
    with pytest.raises(InvalidAddress, match=f"memory://{name} is in use by another event loop"):
        second.run_until_complete(enter())
    first.run_until_complete(session.aclose())
    again = second.run_until_complete(enter())
    second.run_until_complete(again.aclose())
    first.close()
    second.close()

    assert () == kept.sessions("d", "p")


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "memory://x/y",
        "memory://x?queue=0",
        "memory://x?queue=many",
        "memory://x?queue=-1",
        "memory://x?other=1",
        "memory://x?queue",
        "memory://me:secret@x",
        "memory://x#y",
    ],
)
def test_a_wrong_url_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        MemoryTransport().capabilities(url)

    assert "secret" not in str(caught.value)


def test_capabilities_follow_the_url() -> None:
    can = MemoryTransport().capabilities("memory://x?max_message=100")
    assert (100, "process", 0.0) == (can.max_message, can.reach, can.stores_for_vens)
    assert can == replace(MemoryTransport().capabilities("memory://x"), max_message=100)
