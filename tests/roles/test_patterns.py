"""The five patterns, in each direction that the specification has (62746-3, 5.5)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from iec62746 import (
    Domain,
    InvalidMessage,
    Message,
    NoReceiver,
    PartyPresence,
    PermissionDenied,
    Refused,
    Reply,
    RequestFailed,
    Result,
    State,
    VirtualEndNode,
    VirtualTopNode,
    payload,
)

MakeDomain = Callable[..., Domain]
CONTROL = '<Control xmlns="urn:test"/>'
READING = '<Reading xmlns="urn:test">7</Reading>'
VERBS = ("create", "change", "cancel", "delete")


@pytest.mark.requirement("R-5.5.2")
async def test_the_vtn_asks_a_ven_to_act_and_only_that_one_does(domain: MakeDomain, url: str) -> None:
    north, acted = domain(), list[tuple[str, str, bytes]]()
    vtn = VirtualTopNode(north, url)
    vens = [VirtualEndNode(north, url, name) for name in ("ven-1", "ven-2")]
    for ven in vens:
        for verb in VERBS:

            async def act(request: Message, name: str = ven.party) -> None:
                assert request.payload is not None
                acted.append((name, request.verb, request.payload.xml))

            ven.on_request(verb, "EndDeviceControls")(act)

    async with vtn, vens[0], vens[1]:
        replies = [await vtn.request(verb, "EndDeviceControls", CONTROL, to="ven-2") for verb in VERBS]

    assert [("ven-2", verb, CONTROL.encode()) for verb in VERBS] == acted
    assert [(Result.OK, "0.0")] * 4 == [(one.result, one.errors[0].code) for one in replies]


@pytest.mark.requirement("R-5.5.2")
async def test_a_ven_asks_the_vtn_to_act(domain: MakeDomain, url: str) -> None:
    north, acted = domain(), list[tuple[str | None, str]]()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    for verb in VERBS:

        @vtn.on_request(verb, "DERGroups")
        async def act(request: Message) -> Reply:
            acted.append((request.source, request.verb))
            return Reply(result=Result.PARTIAL)

    async with vtn, ven:
        replies = [await ven.request(verb, "DERGroups", CONTROL) for verb in VERBS]

    assert [("ven-1", verb) for verb in VERBS] == acted
    assert [Result.PARTIAL] * 4 == [one.result for one in replies]


@pytest.mark.requirement("R-5.5.3")
async def test_queries_are_answered_with_a_payload_both_ways(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")

    @ven.on_request("get", "MeterReadings")
    def reading(request: Message) -> str:
        assert request.request is not None
        return READING if request.request.option("unit") == "kW" else ""

    @vtn.on_request("get", "MarketPrices")
    async def prices(request: Message) -> Any:
        return payload(CONTROL)

    async with vtn, ven:
        down = await vtn.request("get", "MeterReadings", to="ven-1", options={"unit": "kW"})
        up = await ven.request("get", "MarketPrices", ids="one")

    assert down.payload is not None
    assert up.payload is not None
    assert (READING.encode(), CONTROL.encode()) == (down.payload.xml, up.payload.xml)


@pytest.mark.requirement("R-5.5.4a")
@pytest.mark.requirement("R-5.6c")
async def test_an_event_on_a_node_reaches_who_subscribed_and_nobody_else(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn = VirtualTopNode(north, url)
    first, second = (VirtualEndNode(north, url, name) for name in ("ven-1", "ven-2"))
    got: dict[str, asyncio.Queue[Message]] = {"ven-1": asyncio.Queue(), "ven-2": asyncio.Queue()}
    first.on_event(node="dispatch.north")(got["ven-1"].put)
    second.on_event(node="price.#")(got["ven-2"].put)

    async with vtn:
        await vtn.publish("EndDeviceControls", CONTROL, node="dispatch.north")  # zero subscribers is no error
        async with first, second:
            await vtn.publish("EndDeviceControls", READING, node="dispatch.north")
            await vtn.publish("MarketPrices", CONTROL, node="price.north", verb="changed")
            mine, other = await got["ven-1"].get(), await got["ven-2"].get()

    assert mine.payload is not None
    assert ("dispatch.north", "created", READING.encode()) == (mine.destination, mine.verb, mine.payload.xml)
    assert ("price.north", "changed", "operator") == (other.destination, other.verb, other.source)
    assert got["ven-1"].empty()
    assert got["ven-2"].empty()


@pytest.mark.requirement("R-5.5.4b")
async def test_a_vens_event_reaches_the_vtn(domain: MakeDomain, url: str) -> None:
    north, got = domain(), asyncio.Queue[Message]()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    vtn.on_event(noun="MeterReadings")(got.put)

    async with vtn, ven:
        await ven.publish("MeterReadings", READING)
        event = await got.get()

    assert ("ven-1", "operator", "MeterReadings") == (event.source, event.destination, event.noun)


@pytest.mark.requirement("R-5.5.5")
async def test_both_roles_see_the_other_come_and_go(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    of_ven, of_vtn = asyncio.Queue[PartyPresence](), asyncio.Queue[PartyPresence]()
    vtn.on_presence(of_ven.put)
    ven.on_presence(of_vtn.put)

    async with ven:
        async with vtn:
            seen = [await of_vtn.get(), await of_ven.get()]
        seen.append(await of_vtn.get())
        assert vtn.presence["ven-1"].is_there

    assert [("operator", State.ONLINE), ("ven-1", State.ONLINE), ("operator", State.OFFLINE)] == [
        (one.party, one.state) for one in seen
    ]
    assert "ven-2" not in vtn.presence
    assert State.GONE is vtn.presence["ven-2"].state


@pytest.mark.requirement("R-5.5.5")
async def test_a_ven_says_that_it_is_away_and_why(domain: MakeDomain, url: str) -> None:
    north, heard = domain(), asyncio.Queue[PartyPresence]()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    vtn.on_presence(heard.put)

    async with vtn, ven:
        await ven.announce("away", "maintenance")
        seen = [await heard.get(), await heard.get()]

    assert [(State.ONLINE, ""), (State.AWAY, "maintenance")] == [(one.state, one.reason) for one in seen]


@pytest.mark.requirement("R-5.5.5")
async def test_a_state_that_was_announced_is_kept_at_the_next_heartbeat(domain: MakeDomain, url: str) -> None:
    north, heard = domain(presence=0.1), asyncio.Queue[PartyPresence]()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")

    async with ven:
        await ven.announce(State.AWAY, "maintenance")
        vtn.on_presence(heard.put)
        async with vtn:
            seen = await heard.get()

    assert (State.AWAY, "maintenance") == (seen.state, seen.reason)


async def test_only_online_and_away_are_announced(domain: MakeDomain, url: str) -> None:
    vtn = VirtualTopNode(domain(), url)

    async with vtn:
        with pytest.raises(InvalidMessage, match="say online or away"):
            await vtn.announce("offline")


@pytest.mark.requirement("R-7c")
async def test_who_comes_late_gets_the_current_value_and_the_nodes(domain: MakeDomain, url: str) -> None:
    north, got = domain(), asyncio.Queue[Message]()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")
    ven.on_event(node="price.north")(got.put)

    async with vtn:
        await vtn.publish("MarketPrices", CONTROL, node="price.north")
        async with ven:
            event, nodes = await got.get(), await ven.request("get", "Nodes")

    assert event.is_current
    assert nodes.payload is not None
    assert b"price.north" in nodes.payload.xml


async def test_a_refusal_raises_with_the_reply_and_its_code(domain: MakeDomain, url: str) -> None:
    north = domain()
    vtn, ven = VirtualTopNode(north, url), VirtualEndNode(north, url, "ven-1")

    @ven.on_request("create", "EndDeviceControls")
    async def act(request: Message) -> None:
        raise Refused("6.1", "battery is empty")

    async with vtn, ven:
        with pytest.raises(RequestFailed, match=r"6\.1 battery is empty") as caught:
            await vtn.request("create", "EndDeviceControls", to="ven-1")

    assert caught.value.reply.source == "ven-1"


async def test_who_is_absent_and_what_is_not_granted_are_told_at_once(domain: MakeDomain, url: str) -> None:
    async with VirtualTopNode(domain(), url) as vtn:
        with pytest.raises(NoReceiver, match="ven-1 is not there"):
            await vtn.request("get", "MeterReadings", to="ven-1")
        with pytest.raises(PermissionDenied, match="execute"):
            await vtn.request("execute", "MeterReadings", to="ven-1")


@pytest.mark.requirement("R-5.2a")
@pytest.mark.requirement("R-3.1.17")
async def test_the_same_application_runs_over_another_transport(domain: MakeDomain, url: str) -> None:
    class Counting:
        """A transport of somebody else."""

        def __init__(self) -> None:
            from iec62746_memory import MemoryTransport

            self._inner, self.opened = MemoryTransport(), 0

        def capabilities(self, url: str) -> Any:
            return self._inner.capabilities(url)

        async def open(self, config: Any, observer: Any) -> Any:
            self.opened += 1
            return await self._inner.open(config, observer)

    other, north = Counting(), domain()
    vtn, ven = VirtualTopNode(north, url, transport=other), VirtualEndNode(north, url, "ven-1", transport=other)
    ven.on_request("create", "EndDeviceControls")(lambda request: None)

    async with vtn, ven:
        reply = await vtn.request("create", "EndDeviceControls", to="ven-1")

    assert (Result.OK, 2) == (reply.result, other.opened)
