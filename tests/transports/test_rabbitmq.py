"""RabbitMQ in the open way keeps the contract of the six methods, on a real broker."""

import asyncio
import time
from typing import Any

import aiormq
import pytest
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from iec62746 import (
    Closed,
    Expired,
    Inbox,
    Node,
    NoReceiver,
    Outcome,
    PermissionDenied,
    Presence,
    Proof,
    ReceiptLevel,
    ReplyTo,
    SessionLost,
    TooLarge,
)


async def test_a_request_and_its_reply_find_each_other(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    receipt = await vtn.tell(Inbox("ven-1"), b"<ask/>", correlation_id="c-1", expects_reply=True)
    asked = await ven.next()
    await ven.tell(asked.reply_to, b"<answer/>", correlation_id="c-1")
    answered = await vtn.next()

    assert ReceiptLevel.ROUTED is receipt.level
    assert (b"<ask/>", Inbox("ven-1"), "vtn", "c-1") == (asked.body, asked.address, asked.sender, asked.correlation_id)
    assert (b"<answer/>", Inbox("vtn"), "ven-1") == (answered.body, answered.address, answered.sender)
    assert Proof.CLAIMED is answered.proof


async def test_a_vens_request_is_answered_at_its_inbox(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    await ven.tell(Inbox("vtn"), b"<ask/>", correlation_id="c-2", expects_reply=True)
    asked = await vtn.next()
    await vtn.tell(asked.reply_to, b"<answer/>", correlation_id="c-2")

    assert ("ven-1", b"<ask/>") == (asked.sender, asked.body)
    assert b"<answer/>" == (await ven.next()).body


async def test_who_is_absent_or_has_left_is_no_receiver_at_once(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()
    await ven.session.aclose()

    for name in ("ven-1", "ven-2"):
        with pytest.raises(NoReceiver) as caught:
            await vtn.tell(Inbox(name))
        assert Outcome.REFUSED is caught.value.outcome


async def test_an_event_reaches_just_who_subscribed_to_its_node(meeting: Any) -> None:
    vtn = await meeting.vtn()
    north, south = await meeting.ven("ven-1", "price.north"), await meeting.ven("ven-2", "price.south")

    await vtn.tell(Node("price.north"), b"<north/>")
    await vtn.tell(Node("price.south"), b"<south/>")

    heard = await north.next()
    assert (b"<north/>", Node("price.north"), "vtn") == (heard.body, heard.address, heard.sender)
    assert b"<south/>" == (await south.next()).body
    assert north.got.empty()


async def test_one_event_reaches_many_vens_each_on_connections_of_its_own(meeting: Any) -> None:
    vtn = await meeting.vtn()
    vens = [await meeting.ven(f"ven-{number}", "price.north") for number in range(40)]

    await vtn.tell(Node("price.north"), b"<all/>")

    assert [b"<all/>"] * 40 == [(await ven.next()).body for ven in vens]


async def test_an_event_for_nobody_is_no_error(meeting: Any) -> None:
    vtn = await meeting.vtn()

    assert ReceiptLevel.BROKER is (await vtn.tell(Node("price.north"))).level


async def test_the_vtn_hears_everybodys_presence_and_a_ven_the_vtns_and_its_own(meeting: Any) -> None:
    vtn, one, two = await meeting.vtn(), await meeting.ven("ven-1"), await meeting.ven("ven-2")

    await one.tell(Presence("ven-1"), b"<one/>")
    await vtn.tell(Presence("vtn"), b"<vtn/>")

    assert [("ven-1", Presence("ven-1")), ("vtn", Presence("vtn"))] == [
        (heard.sender, heard.address) for heard in (await vtn.next(), await vtn.next())
    ]
    assert [b"<one/>", b"<vtn/>"] == [(await one.next()).body, (await one.next()).body]
    assert b"<vtn/>" == (await two.next()).body


async def test_messages_of_one_session_keep_their_order(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    async with asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(ven.tell(Inbox("vtn"), b"%d" % number))

    assert list(range(500)) == [int((await vtn.next()).body) for _ in range(500)]


async def test_a_cancelled_sender_leaves_the_others_outcomes_right(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    tasks = [asyncio.create_task(vtn.tell(Inbox(f"ven-{1 + number % 2}"))) for number in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    kept = {number: outcome for number, outcome in enumerate(outcomes) if number % 3}
    assert all(not isinstance(kept[number], BaseException) for number in kept if number % 2 == 0)
    assert all(isinstance(kept[number], NoReceiver) for number in kept if number % 2)
    assert await vtn.tell(Inbox("ven-1"))
    assert ven.seen.losses.empty()


async def test_what_is_too_large_expired_or_not_allowed_is_not_sent(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    with pytest.raises(TooLarge):
        await vtn.tell(Inbox("ven-1"), bytes(8_388_609))
    with pytest.raises(Expired):
        await vtn.tell(Inbox("ven-1"), within=-1)
    for to in (Inbox("ven-2"), Node("price.north"), Presence("ven-2")):
        with pytest.raises(PermissionDenied):
            await ven.tell(to)
    with pytest.raises(PermissionDenied):
        await ven.tell(ReplyTo("anything"))
    with pytest.raises(PermissionDenied):
        await ven.hear(Inbox("ven-2"))
    with pytest.raises(PermissionDenied):
        await ven.hear(Presence())
    assert ven.got.empty()


@pytest.mark.parametrize("octets", [0, 1, 4088, 131_064, 131_065, 1_048_576, 8_388_608])
async def test_bodies_of_any_size_arrive_whole(meeting: Any, octets: int) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()
    body = bytes(range(256)) * (octets // 256) + bytes(octets % 256)

    await vtn.tell(Inbox("ven-1"), body)

    assert body == (await ven.next()).body


# ---------------------------------------------------------------- what is not believed


async def test_a_reply_address_that_is_not_the_senders_is_not_believed(meeting: Any, published: Any) -> None:
    vtn = await meeting.vtn()

    await published("to.vtn", "ven-1.in", reply_to="ven-2", content_type="application/xml")

    delivery = await vtn.next()
    assert ("ven-1", None) == (delivery.sender, delivery.reply_to)


async def test_a_vens_reply_address_is_the_vtns_or_nothing(meeting: Any, published: Any) -> None:
    ven = await meeting.ven()

    for reply_to in ("ven-2.re.s1", "ven-1.in", "ven-1", "ven-1.re.s1"):
        await published("to.ven", "ven-1", reply_to=reply_to)

    assert [False, False, False, True] == [(await ven.next()).reply_to is not None for _ in range(4)]


@pytest.mark.parametrize(
    ("exchange", "key", "properties"),
    [
        ("to.vtn", "ven-1.in", {"content_type": "text/plain"}),
        ("to.vtn", "ven-1.in", {"headers": {"CC": ["ven-1.re.s1"]}}),
        ("to.vtn", "ven 1.in", {}),
        ("to.vtn", ".in", {}),
        ("presence", "ven 1", {}),
    ],
)
async def test_a_foreign_message_reaches_the_core_unproven_and_hurts_nobody(
    meeting: Any, published: Any, exchange: str, key: str, properties: dict[str, Any]
) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    await published(exchange, key, b"<foreign/>", **properties)
    foreign = [await vtn.next()]
    await ven.tell(Inbox("vtn"), b"<own/>")
    while (came := await vtn.next()).body != b"<own/>":
        foreign.append(came)  # a copy carried elsewhere by CC

    assert {(None, Proof.NONE, None)} == {(one.sender, one.proof, one.reply_to) for one in foreign}
    assert ("ven-1", b"<own/>") == (came.sender, came.body)
    assert vtn.seen.losses.empty()


async def test_headers_of_any_type_do_no_harm(meeting: Any, published: Any) -> None:
    vtn = await meeting.vtn()
    nested: Any = {"Verb": 7, "Noun": [1, {"a": bytearray(b"\xff"), "b": None}], "t": {"deep": [[[]]]}}

    await published("to.vtn", "ven-1.in", headers=nested)

    assert "ven-1" == (await vtn.next()).sender


@pytest.mark.parametrize("where", ["correlation_id", "content_type", "headers", "key"])
async def test_what_is_no_text_hurts_nobody(meeting: Any, where: str) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()
    said: dict[str, Any] = {"headers": {"AAAA": 1}} if where == "headers" else {where: "AAAA"}
    key = said.pop("key", "ven-1") + ".in"
    frames: list[Any] = [
        aiormq.spec.Basic.Publish(exchange=f"{meeting.domain}.to.vtn", routing_key=key),
        ContentHeader(properties=aiormq.spec.Basic.Properties(**said), body_size=4),
        ContentBody(b"<p/>"),
    ]
    payload = ChannelFrame.marshall(meeting.raw.number, frames).payload.replace(b"AAAA", b"\xff\xfe\xfd\xfc")

    await meeting.raw.write_queue.put(ChannelFrame(payload=payload, should_close=False))
    foreign = await vtn.next()
    await ven.tell(Inbox("vtn"), b"<own/>")

    assert b"<p/>" == foreign.body
    assert b"<own/>" == (await vtn.next()).body
    assert vtn.seen.losses.empty()


async def test_a_time_beyond_the_calendar_hurts_nobody(meeting: Any) -> None:
    vtn = await meeting.vtn()
    frames: list[Any] = [
        aiormq.spec.Basic.Publish(exchange=f"{meeting.domain}.to.vtn", routing_key="ven-1.in"),
        ContentHeader(properties=aiormq.spec.Basic.Properties(app_id="12345678"), body_size=4),
        ContentBody(b"<p/>"),
    ]
    payload = ChannelFrame.marshall(meeting.raw.number, frames).payload
    # From app_id, a text of 8 octets behind its length, to timestamp, 8 octets: one octet less in the frame.
    payload = payload.replace(b"\x00\x08\x0812345678", b"\x00\x40\x7f2345678")
    payload = payload.replace(b"\x02\x00\x01\x00\x00\x00\x17", b"\x02\x00\x01\x00\x00\x00\x16")

    await meeting.raw.write_queue.put(ChannelFrame(payload=payload, should_close=False))

    assert b"<p/>" == (await vtn.next()).body
    assert vtn.seen.losses.empty()


# ---------------------------------------------------------------- the end


async def test_closing_is_idempotent_quick_and_leaves_no_queue(meeting: Any) -> None:
    ven = await meeting.ven("ven-1", "price.north")

    began = time.monotonic()
    await ven.session.aclose()
    await ven.session.aclose()

    assert time.monotonic() - began < 2
    await meeting.until_gone("ven.ven-1.s1", within=5)
    await meeting.until_gone("ven.ven-1.s1.ev", within=5)
    with pytest.raises(Closed):
        await ven.tell(Inbox("vtn"))
    with pytest.raises(Closed):
        await ven.hear(Node("price.north"))
    assert ven.seen.losses.empty()


async def test_the_vtns_inbox_waits_for_it_a_while_and_goes(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()
    await vtn.session.aclose()

    await ven.tell(Inbox("vtn"), b"<waits/>")
    back = await meeting.vtn()

    assert b"<waits/>" == (await back.next()).body
    assert not back.seen.losses.qsize()
    await back.session.aclose()

    async def knock() -> None:
        while True:  # asking for the queue would be a use of it
            await ven.tell(Inbox("vtn"))
            await asyncio.sleep(0.2)

    with pytest.raises(NoReceiver):
        await asyncio.wait_for(knock(), 15)


async def test_a_queue_deleted_by_an_operator_ends_the_session_once(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()

    await meeting.raw.queue_delete(f"{meeting.domain}.vtn.in")
    cause = await vtn.loss()

    assert isinstance(cause, SessionLost)
    with pytest.raises(SessionLost) as caught:
        await vtn.tell(Inbox("ven-1"))
    assert Outcome.NOT_SENT is caught.value.outcome
    await vtn.session.aclose()
    assert vtn.seen.losses.empty()
    assert ven.seen.losses.empty()


async def test_a_delivery_that_is_not_taken_ends_the_session(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.enter("ven-1")

    async def fail(_: object) -> None:
        raise ValueError("no")

    await ven.session.subscribe(Inbox("ven-1"), fail)
    await vtn.tell(Inbox("ven-1"))

    assert "ValueError" in str(await ven.loss())


async def test_nothing_is_delivered_after_cancel_and_the_sender_is_told(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.enter("ven-1")
    subscription = await ven.session.subscribe(Inbox("ven-1"), ven.got.put)

    await subscription.cancel()
    await subscription.cancel()

    with pytest.raises(NoReceiver):
        await vtn.tell(Inbox("ven-1"))
    assert ven.got.empty()


async def test_an_exchange_deleted_by_an_operator_fails_the_message_and_no_more(meeting: Any) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven()
    await meeting.raw.exchange_delete(f"{meeting.domain}.event")

    with pytest.raises(Exception, match="exchange") as caught:
        await vtn.tell(Node("price.north"))
    await meeting.raw.exchange_declare(f"{meeting.domain}.event", exchange_type="topic", durable=True)

    assert Outcome.REFUSED is caught.value.outcome  # type: ignore[attr-defined]
    assert await vtn.tell(Inbox("ven-1"))
    assert await vtn.tell(Node("price.north"))
    assert vtn.seen.losses.empty()
    assert b"<x/>" == (await ven.next()).body


async def test_properties_on_the_wire_are_those_of_the_page(meeting: Any) -> None:
    declared = await meeting.raw.queue_declare(exclusive=True)
    ven = await meeting.ven()
    await meeting.raw.queue_bind(declared.queue, f"{meeting.domain}.to.vtn", routing_key="#")

    await ven.tell(
        Inbox("vtn"), correlation_id="c", expects_reply=True, headers={"Verb": "get", "Noun": "Nodes"}, within=20
    )
    got = await meeting.raw.basic_get(declared.queue, no_ack=True)

    said = got.header.properties
    assert "ven-1.in" == got.routing_key
    assert ("application/xml", "c", "ven-1", 1) == (
        said.content_type,
        said.correlation_id,
        said.reply_to,
        said.delivery_mode,
    )
    assert {"Verb": "get", "Noun": "Nodes"} == said.headers
    assert 15_000 < int(said.expiration) <= 20_000
    assert said.message_id not in (None, "", "c")
    assert said.user_id is None


async def test_ids_of_messages_differ_though_they_are_the_same_message(meeting: Any) -> None:
    declared = await meeting.raw.queue_declare(exclusive=True)
    ven = await meeting.ven()
    await meeting.raw.queue_bind(declared.queue, f"{meeting.domain}.to.vtn", routing_key="#")

    for _ in range(2):
        await ven.tell(Inbox("vtn"), correlation_id="same")
    got = [await meeting.raw.basic_get(declared.queue, no_ack=True) for _ in range(2)]

    assert 2 == len({one.header.properties.message_id for one in got})


async def test_a_session_that_was_lost_has_released_its_queues(meeting: Any) -> None:
    ven = await meeting.ven()
    connection = meeting.raw.connection
    assert isinstance(connection, aiormq.Connection)

    ven.session._lane._links.consuming.wire.transport.abort()

    assert isinstance(await ven.loss(), SessionLost)
    await ven.session.aclose()
    await meeting.until_gone("ven.ven-1.s1", within=5)
    assert ven.seen.losses.empty()


@pytest.mark.parametrize("end", ["closed", "cancelled", "lost"])
@pytest.mark.parametrize("lane", ["fast", "plain"])
async def test_what_a_session_did_not_take_stays_for_the_next(meeting: Any, lane: str, end: str) -> None:
    vtn, ven = await meeting.enter("vtn", f"declare=true&lane={lane}"), await meeting.ven()
    taken, some = list[bytes](), asyncio.Event()

    async def take(delivery: Any) -> None:
        taken.append(delivery.body)
        if len(taken) == 20:
            some.set()

    subscription = await vtn.session.subscribe(Inbox("vtn"), take)
    async with asyncio.TaskGroup() as group:
        for number in range(400):
            group.create_task(ven.tell(Inbox("vtn"), str(number).encode()))
        await some.wait()
        if end == "cancelled":
            await subscription.cancel()
        elif end == "closed":
            await vtn.session.aclose()
        else:
            vtn.session._lane._links.publishing.wire.transport.abort()
            await vtn.loss()
            await vtn.session.aclose()

    async with asyncio.timeout(10):
        left = -1
        while left != 400 - len(taken):  # what goes back takes the broker a moment
            left = (await meeting.raw.queue_declare(f"{meeting.domain}.vtn.in", passive=True)).message_count
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("lane", ["fast", "plain"])
async def test_a_key_that_is_no_node_hurts_nobody(meeting: Any, published: Any, lane: str) -> None:
    vtn, ven = await meeting.vtn(), await meeting.ven("ven-1", "price.north", query=f"declare=true&lane={lane}")
    await published("event", "no node at all", headers={"CC": ["price.north"]})
    await vtn.tell(Node("price.north"), b"<after/>")

    assert Proof.NONE is (await ven.next()).proof
    assert b"<after/>" == (await ven.next()).body
