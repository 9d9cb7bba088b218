"""What becomes of messages and sessions when a real RabbitMQ is killed, frozen, full or out of memory."""

import asyncio
import time
from typing import Any
from urllib.parse import quote

import pytest

from iec62746 import (
    AuthenticationFailed,
    Expired,
    Inbox,
    Node,
    Outcome,
    Overloaded,
    PermissionDenied,
    Presence,
    SessionLost,
    TransportError,
    Unreachable,
)

pytestmark = pytest.mark.timeout(120)


async def outcome(sending: Any) -> TransportError | None:
    try:
        await sending
    except TransportError as exc:
        return exc
    return None


async def test_a_killed_broker_loses_each_session_once_and_every_message_has_an_outcome(
    hurt: Any, private: Any
) -> None:
    vtn, ven = await hurt.vtn(), await hurt.ven()

    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(outcome(ven.tell(Inbox("vtn"), b"%d" % number))) for number in range(3000)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(private.kill)
        killed = time.monotonic()
    took = time.monotonic() - killed

    ends = [task.result() for task in sent]
    assert took < 5
    lost = [one for one in ends if one is not None]
    assert lost
    assert {SessionLost} == {type(one) for one in lost}
    assert isinstance(await ven.loss(), SessionLost)
    assert isinstance(await vtn.loss(), SessionLost)
    began = time.monotonic()
    await asyncio.gather(ven.session.aclose(), vtn.session.aclose())
    assert time.monotonic() - began < 2.5
    assert ven.seen.losses.empty()
    with pytest.raises(Unreachable):
        await hurt.enter("ven-2")
    await asyncio.to_thread(private.start)
    again = await hurt.vtn()
    assert await again.tell(Presence("vtn"))


async def test_a_frozen_broker_is_noticed_and_nothing_waits_past_its_deadline(hurt: Any, private: Any) -> None:
    vtn, ven = await hurt.vtn(), await hurt.ven()
    private.freeze()
    try:
        began = time.monotonic()
        end = await outcome(ven.tell(Inbox("vtn"), within=2.0))
        assert time.monotonic() - began < 3
        assert isinstance(end, SessionLost)
        assert Outcome.UNKNOWN is end.outcome
        assert isinstance(await ven.loss(), SessionLost)
        # The VTN sends nothing: its heartbeats notice.
        assert isinstance(await vtn.loss(), SessionLost)
        assert time.monotonic() - began < 25
        began = time.monotonic()
        await asyncio.gather(ven.session.aclose(), vtn.session.aclose())
        assert time.monotonic() - began < 2.5
    finally:
        private.thaw()


async def test_a_message_given_up_in_an_alarm_is_not_delivered_when_it_ends(hurt: Any, private: Any) -> None:
    vtn, ven = await hurt.vtn(), await hurt.ven()
    await ven.tell(Inbox("vtn"), b"<before/>")
    assert b"<before/>" == (await vtn.next()).body
    await asyncio.to_thread(private.ctl, "set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        end = await outcome(ven.tell(Inbox("vtn"), b"<zombie/>", within=2.0))
        assert isinstance(end, SessionLost)
        assert Outcome.UNKNOWN is end.outcome
    finally:
        await asyncio.to_thread(private.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")
    again = await hurt.ven()
    await again.tell(Inbox("vtn"), b"<after/>")

    bodies: list[bytes] = []
    while not bodies or bodies[-1] != b"<after/>":
        bodies.append((await vtn.next()).body)
    # The broker may have read it before it stopped to read: it is then late, which the core sees by its Deadline.
    assert bodies in ([b"<after/>"], [b"<zombie/>", b"<after/>"])


async def test_an_alarm_is_told_and_a_message_in_it_is_not_sent(hurt: Any, private: Any) -> None:
    vtn, ven = await hurt.vtn(), await hurt.ven()
    await ven.tell(Inbox("vtn"))
    await asyncio.to_thread(private.ctl, "set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        first = asyncio.create_task(outcome(ven.tell(Inbox("vtn"), within=60)))
        async with asyncio.timeout(10):
            assert await ven.seen.blocks.get()
        end = await outcome(ven.tell(Inbox("vtn"), within=2))
        assert isinstance(end, Overloaded)
        assert Outcome.NOT_SENT is end.outcome
    finally:
        await asyncio.to_thread(private.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")
    async with asyncio.timeout(20):
        assert await ven.seen.blocks.get() is False
        assert await first is None
    assert ven.seen.losses.empty()
    assert await ven.tell(Inbox("vtn"))
    assert vtn.seen.losses.empty()


async def stuck(hurt: Any, address: Inbox | Node) -> Any:
    """Return a VEN that takes the first delivery and never ends with it, until its event is set."""
    ven, go = await hurt.enter("ven-1"), asyncio.Event()

    async def wait(_: object) -> None:
        await go.wait()

    await ven.session.subscribe(address, wait)
    return go


async def test_a_full_inbox_refuses(hurt: Any) -> None:
    vtn, go = await hurt.vtn(), await stuck(hurt, Inbox("ven-1"))

    ends = await asyncio.gather(*(outcome(vtn.tell(Inbox("ven-1"), b"x", within=100)) for _ in range(10_300)))
    go.set()

    assert {(Overloaded, Outcome.REFUSED)} == {(type(one), one.outcome) for one in ends if one is not None}
    assert 10_000 <= ends.count(None) <= 10_200


async def test_a_slow_listener_does_not_refuse_what_others_get(hurt: Any) -> None:
    vtn, go = await hurt.vtn(), await stuck(hurt, Node("price.north"))
    quick = await hurt.ven("ven-2", "price.north")

    ends = await asyncio.gather(*(outcome(vtn.tell(Node("price.north"), b"x", within=100)) for _ in range(10_300)))
    go.set()

    assert {None} == set(ends)
    for _ in range(10_300):
        await quick.next()


async def test_the_brokers_events_tell_who_is_gone_at_once(hurt: Any) -> None:
    events = quote(f"{hurt.base}/%2F", safe="")
    vtn = await hurt.vtn(f"declare=true&events={events}")
    one, two = await hurt.ven("ven-1"), await hurt.ven("ven-2")
    newer = await hurt.ven("ven-2")

    await one.session.aclose()
    async with asyncio.timeout(5):
        assert "ven-1" == await vtn.seen.gone_parties.get()
    await two.session.aclose()
    newer.session._lane._links.consuming.wire.reset()
    async with asyncio.timeout(5):
        assert "ven-2" == await vtn.seen.gone_parties.get()

    assert vtn.seen.gone_parties.empty()


async def test_credentials_and_vhosts_that_are_refused_say_so(hurt: Any) -> None:
    right = hurt.base
    hurt.base = right.replace("guest:guest", "guest:wrong")
    with pytest.raises(AuthenticationFailed) as caught:
        await hurt.enter("ven-1")
    assert "wrong" not in str(caught.value)
    hurt.base, hurt.vhost = right, "nowhere"
    with pytest.raises(PermissionDenied, match="nowhere"):
        await hurt.enter("ven-1")
    hurt.base = "amqps://guest:guest" + right.partition("guest:guest")[2]
    with pytest.raises(Unreachable, match="TLS"):
        await hurt.enter("ven-1")


async def test_what_has_expired_while_it_waited_for_room_was_not_sent(hurt: Any, private: Any) -> None:
    await hurt.vtn()
    ven = await hurt.ven()
    private.freeze()
    try:
        first = [asyncio.create_task(outcome(ven.tell(Inbox("vtn"), within=4))) for _ in range(100)]
        await asyncio.sleep(0)
        end = await outcome(ven.tell(Inbox("vtn"), within=0.5))
        assert isinstance(end, Expired)
        assert Outcome.NOT_SENT is end.outcome
        assert {SessionLost} == {type(await one) for one in first}
    finally:
        private.thaw()
