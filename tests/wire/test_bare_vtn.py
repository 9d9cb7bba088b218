"""A VTN of bare pika with our VEN: it was written from docs/wire.md alone."""

import asyncio
from asyncio import to_thread
from typing import Any

import pika.exceptions  # type: ignore[import-untyped]  # it has no types
import pytest

from iec62746 import Message, PartyPresence, Refused, RequestFailed, VirtualEndNode

PRICE = '<Price xmlns="urn:test">91.37</Price>'
CONTROL = '<Payload><Control xmlns="urn:test"/></Payload>'
GROUP = '<Group xmlns="urn:test"/>'
NODES = (
    '<Nodes xmlns="urn:iec62746:nodes:1"><Node><name>price.north</name><noun>MarketPrices</noun>'
    "<current>true</current></Node></Nodes>"
)


def is_request(got: Any) -> bool:
    return bool(got.root == "RequestMessage")


async def test_its_request_is_answered_ok_failed_and_with_a_payload(way: Any) -> None:
    vtn = await to_thread(way.vtn)
    ven: VirtualEndNode = way.our_ven()
    created = []

    @ven.on_request("create", "EndDeviceControls")
    async def create(request: Message) -> None:
        created.append(request.source)

    @ven.on_request("cancel", "EndDeviceControls")
    async def cancel(request: Message) -> None:
        raise Refused("6.1", "too late")

    @ven.on_request("get", "MeterReadings")
    async def get(request: Message) -> str:
        return PRICE

    async with ven:
        replies = [
            await to_thread(vtn.request, *asked)
            for asked in (
                ("create", "EndDeviceControls", "battery", CONTROL),
                ("cancel", "EndDeviceControls", "battery"),
                ("get", "MeterReadings", "battery"),
            )
        ]

    assert [("OK", "0.0"), ("FAILED", "6.1"), ("OK", "0.0")] == [reply.outcome for reply in replies]
    assert "91.37" == replies[2].text("m:Payload/*")
    assert ["grid-operator"] == created


async def test_it_answers_a_request(way: Any) -> None:
    vtn = await to_thread(way.vtn)
    async with way.our_ven() as ven:
        asking = asyncio.create_task(ven.request("create", "Resources", GROUP))
        request = await to_thread(vtn.next, is_request)
        await to_thread(vtn.answer, request, payload=PRICE)
        reply = await asking
        refused = asyncio.create_task(ven.request("delete", "Resources"))
        await to_thread(vtn.answer, await to_thread(vtn.next, is_request), "FAILED", "6.1")

        with pytest.raises(RequestFailed) as caught:
            await refused
    assert ("battery", "create", "Resources") == (request.sender, request.header("Verb"), request.header("Noun"))
    assert PRICE.encode() == reply.payload.xml
    assert "6.1" == caught.value.reply_code


async def test_it_answers_which_nodes_there_are(way: Any) -> None:
    vtn = await to_thread(way.vtn)
    async with way.our_ven() as ven:
        asking = asyncio.create_task(ven.request("get", "Nodes"))
        await to_thread(vtn.answer, await to_thread(vtn.next, is_request), payload=NODES)

        assert b">price.north<" in (await asking).payload.xml


async def test_it_hears_the_event_of_a_ven(way: Any) -> None:
    vtn = await to_thread(way.vtn)
    async with way.our_ven() as ven:
        await ven.publish("MeterReadings", PRICE)

        event = await to_thread(vtn.next, lambda got: got.root == "EventMessage" and got.exchange == "to.vtn")

    assert ("battery", "MeterReadings", "91.37") == (event.sender, event.header("Noun"), event.text("m:Payload/*"))


async def test_a_ven_hears_what_it_publishes_on_a_node(way: Any) -> None:
    vtn = await to_thread(way.vtn)
    ven: VirtualEndNode = way.our_ven()
    heard = asyncio.Queue[Message]()
    ven.on_event(node="dispatch.#")(heard.put)

    async with ven:
        await to_thread(vtn.event, "EndDeviceControls", PRICE, "dispatch.north")
        event = await heard.get()

    assert ("grid-operator", "dispatch.north") == (event.source, event.destination)


async def test_a_late_ven_gets_the_current_value(way: Any, bare: Any) -> None:
    vtn = await to_thread(way.vtn)
    ven: VirtualEndNode = way.our_ven()
    heard = asyncio.Queue[Message]()
    ven.on_event(node="price.#")(heard.put)
    published = bare.Got("", "", "", None, await to_thread(vtn.event, "MarketPrices", PRICE, "price.north"))

    async with ven:
        request = await to_thread(vtn.next, is_request)
        of_event = {
            "Node": "price.north",
            "EventID": published.header("MessageID"),
            "EventVerb": published.header("Verb"),
            "EventTimestamp": published.header("Timestamp"),
        }
        await to_thread(vtn.answer, request, payload=PRICE, properties=tuple(of_event.items()))
        event = await heard.get()

    assert ("get", "MarketPrices") == (request.header("Verb"), request.header("Noun"))
    assert "price.north" == request.text("m:Request/m:Option[m:name='Node']/m:value")
    assert (True, PRICE.encode()) == (event.is_current, event.payload and event.payload.xml)


async def test_each_hears_the_presence_of_the_other(way: Any) -> None:
    ven: VirtualEndNode = way.our_ven()
    seen = asyncio.Queue[tuple[str, str, str]]()

    @ven.on_presence
    async def presence(now: PartyPresence) -> None:
        await seen.put((now.party, now.state.value, now.session))

    vtn = await to_thread(way.vtn)
    async with ven:
        came = await to_thread(vtn.next, lambda got: got.sender == "battery")
        await to_thread(vtn.announce, "online")
        first = await seen.get()
        await to_thread(vtn.close)
        last = await seen.get()

    assert "online" == came.text("m:Payload/p:Presence/p:state")
    assert [("grid-operator", "online"), ("grid-operator", "offline")] == [first[:2], last[:2]]
    assert vtn.session == first[2]


async def test_it_hears_that_a_ven_leaves(way: Any) -> None:
    vtn = await to_thread(way.vtn)
    async with way.our_ven():
        pass

    left = await to_thread(vtn.next, lambda got: got.text("m:Payload/p:Presence/p:state") == "offline")

    assert ("battery", "closed") == (left.sender, left.text("m:Payload/p:Presence/p:reason"))


def test_a_request_to_a_ven_that_is_not_there_comes_back(way: Any) -> None:
    vtn = way.vtn()

    with pytest.raises(pika.exceptions.UnroutableError) as caught:
        vtn.request("get", "MeterReadings", "heat-pump")

    assert [(312, "NO_ROUTE")] == [(one.method.reply_code, one.method.reply_text) for one in caught.value.messages]
