"""A VEN of bare pika with our VTN: it was written from docs/wire.md alone."""

import asyncio
from asyncio import to_thread
from typing import Any

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
import pytest

from iec62746 import Message, NoReceiver, PartyPresence, Refused, RequestFailed, Superseded, VirtualTopNode

PRICE = '<Price xmlns="urn:test">91.37</Price>'
READING = '<Reading xmlns="urn:test">7</Reading>'
GROUP = '<Payload><Group xmlns="urn:test"/></Payload>'


def is_request(got: Any) -> bool:
    return bool(got.root == "RequestMessage")


def is_event(got: Any) -> bool:
    return bool(got.exchange == "event")


async def test_it_answers_a_request(way: Any) -> None:
    async with way.our_vtn() as vtn:
        ven = await to_thread(way.ven)
        asking = asyncio.create_task(vtn.request("get", "MeterReadings", to="battery", ids=["7"]))

        request = await to_thread(ven.next, is_request)
        await to_thread(ven.answer, request, payload=READING)
        reply = await asking

    assert ("get", "7") == (request.header("Verb"), request.text("m:Request/m:ID"))
    assert (READING.encode(), "battery") == (reply.payload.xml, reply.message.source)


async def test_it_refuses_a_request(way: Any) -> None:
    async with way.our_vtn() as vtn:
        ven = await to_thread(way.ven)
        asking = asyncio.create_task(vtn.request("create", "EndDeviceControls", PRICE, to="battery"))

        await to_thread(ven.answer, await to_thread(ven.next, is_request), "FAILED", "6.1")

        with pytest.raises(RequestFailed) as caught:
            await asking
    assert "6.1" == caught.value.reply_code


async def test_its_request_is_answered_ok_failed_and_with_a_payload(way: Any) -> None:
    vtn: VirtualTopNode = way.our_vtn()
    created = []

    @vtn.on_request("create", "Resources")
    async def create(request: Message) -> None:
        created.append(request.source)

    @vtn.on_request("delete", "Resources")
    async def delete(request: Message) -> None:
        raise Refused("6.1", "too late")

    @vtn.on_request("get", "MarketPrices")
    async def get(request: Message) -> str:
        return PRICE

    async with vtn:
        ven = await to_thread(way.ven)
        replies = [
            await to_thread(ven.request, *asked)
            for asked in (("create", "Resources", GROUP), ("delete", "Resources"), ("get", "MarketPrices"))
        ]

    assert [("OK", "0.0"), ("FAILED", "6.1"), ("OK", "0.0")] == [reply.outcome for reply in replies]
    assert "91.37" == replies[2].text("m:Payload/*")
    assert ["battery"] == created


async def test_the_vtn_hears_its_event(way: Any) -> None:
    vtn: VirtualTopNode = way.our_vtn()
    heard = asyncio.Queue[Message]()
    vtn.on_event(noun="MeterReadings")(heard.put)

    async with vtn:
        ven = await to_thread(way.ven)
        await to_thread(ven.event, "MeterReadings", READING)
        event = await heard.get()

    assert ("battery", READING.encode()) == (event.source, event.payload and event.payload.xml)


async def test_it_hears_what_is_published_on_its_node_and_nothing_else(way: Any) -> None:
    async with way.our_vtn() as vtn:
        ven = await to_thread(way.ven, "battery", "price.north")
        await vtn.publish("EndDeviceEvents", PRICE, node="grid.status")
        await vtn.publish("MarketPrices", PRICE, node="price.north")

        event = await to_thread(ven.next, is_event)

    assert (["price.north"], "91.37") == (event.values("Destination"), event.text("m:Payload/*"))


async def test_each_hears_the_presence_of_the_other(way: Any) -> None:
    vtn: VirtualTopNode = way.our_vtn()
    seen = asyncio.Queue[tuple[str, str, str]]()

    @vtn.on_presence
    async def presence(now: PartyPresence) -> None:
        await seen.put((now.party, now.state.value, now.session))

    async with vtn:
        ven = await to_thread(way.ven)
        came = await seen.get()
        # The VTN announces itself again within a second after somebody came.
        said = await to_thread(ven.next, lambda got: got.exchange == "presence")
        await to_thread(ven.announce, "away", "maintenance")
        went = await seen.get()
        await to_thread(ven.close)
        left = await seen.get()

    states = [(party, state) for party, state, _ in (came, went, left)]
    assert [("battery", "online"), ("battery", "away"), ("battery", "offline")] == states
    assert ven.session == came[2]
    assert ("grid-operator", "online") == (said.sender, said.text("m:Payload/p:Presence/p:state"))


async def test_it_hears_that_the_vtn_leaves(way: Any) -> None:
    async with way.our_vtn():
        ven = await to_thread(way.ven)

    await to_thread(ven.next, lambda got: got.text("m:Payload/p:Presence/p:state") == "offline")


async def test_it_asks_which_nodes_it_may_subscribe_to(way: Any) -> None:
    async with way.our_vtn():
        ven = await to_thread(way.ven)

        nodes = await to_thread(ven.request, "get", "Nodes")

    assert ["price.north", "dispatch.north", "grid.status"] == nodes.all("m:Payload/n:Nodes/n:Node/n:name")
    assert ["true", "false", "true"] == nodes.all("m:Payload/n:Nodes/n:Node/n:current")


async def test_it_gets_a_current_value(way: Any) -> None:
    async with way.our_vtn() as vtn:
        ven = await to_thread(way.ven)
        nothing = await to_thread(ven.current_value, "price.north", "MarketPrices")
        await vtn.publish("MarketPrices", PRICE, node="price.north", verb="changed")

        value = await to_thread(ven.current_value, "price.north", "MarketPrices")

    assert ("", []) == (nothing.text("m:Payload/*"), nothing.values("EventID"))
    assert ("91.37", ["price.north"], ["changed"]) == (
        value.text("m:Payload/*"), value.values("Node"), value.values("EventVerb")
    )  # fmt: skip
    assert value.values("EventID")
    assert value.values("EventTimestamp")


async def test_a_request_that_is_sent_again_is_executed_once_and_answered_the_same(way: Any, bare: Any) -> None:
    vtn: VirtualTopNode = way.our_vtn()
    created = []

    @vtn.on_request("create", "Resources")
    async def create(request: Message) -> None:
        created.append(request.message_id)

    async with vtn:
        ven = await to_thread(way.ven)
        body = bare.envelope("RequestMessage", "create", "Resources", "battery", "grid-operator", GROUP)
        asked = (body, ("to.vtn", "battery.in"), "battery", "grid-operator")
        first, second = [await to_thread(ven.send_request, *asked) for _ in range(2)]

    assert first.body == second.body
    assert 1 == len(created)


async def test_a_newer_session_of_its_party_ends_it(way: Any) -> None:
    async with way.our_vtn():
        ven = await to_thread(way.ven)
        async with way.our_ven("battery"):
            await to_thread(ven.wait, lambda one: one.is_superseded)

    assert ven.is_superseded


async def test_it_ends_an_older_session_of_its_party(way: Any) -> None:
    async with way.our_ven("battery") as older:
        ven = await to_thread(way.ven)

        with pytest.raises(Superseded):
            await older.closed()
    assert not ven.is_superseded


async def test_when_it_is_gone_the_vtn_is_told_at_once(way: Any) -> None:
    async with way.our_vtn() as vtn:
        ven = await to_thread(way.ven)
        await to_thread(ven.close)

        with pytest.raises(NoReceiver):
            await vtn.request("get", "MeterReadings", to="battery")


def test_where_the_vtn_has_never_been_a_request_comes_back(way: Any) -> None:
    ven = way.ven()

    with pytest.raises(pika.exceptions.UnroutableError) as caught:
        ven.request("get", "Nodes")

    assert [(312, "NO_ROUTE")] == [(one.method.reply_code, one.method.reply_text) for one in caught.value.messages]
