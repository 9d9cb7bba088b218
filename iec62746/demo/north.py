"""A grid operator with a heat pump, an EV depot, a battery, a roof of PV and a building."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources

from iec62746.demo import payloads
from iec62746.demo.capture import CapturingTransport
from iec62746.demo.wire import Wire
from iec62746.domain import Domain
from iec62746.errors import NoReceiver, NoReply, PermissionDenied, Refused, RequestFailed
from iec62746.message import Kind, Message
from iec62746.participant import Participant
from iec62746.plugins import transport
from iec62746.roster import PartyPresence
from iec62746.transport import Transport
from iec62746.ven import VirtualEndNode
from iec62746.vtn import VirtualTopNode
from iec62746_profiles.meter_readings.models import MeterReadings
from iec62746_profiles.quantities import Quantity, UnitMultiplier, UnitSymbol
from iec62746_profiles.reading_types import ReadingType

FIRST = ("heat-pump", "ev-depot", "battery", "pv-roof")
LATE = "building"
KILOWATT = {"heat-pump": 3.5, "ev-depot": 44.0, "battery": 0.0, "pv-roof": -7.2, "building": 12.0}


def north() -> Domain:
    """Return the demo's domain."""
    return Domain.parse(resources.files("iec62746.demo").joinpath("north.toml").read_text(), "north.toml")


@dataclass
class Story:
    """What has happened so far, and who waits for it."""

    happened: set[str] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def tell(self, what: str) -> None:
        """Note that `what` happened."""
        async with self.changed:
            self.happened.add(what)
            self.changed.notify_all()

    async def hear(self, *what: str) -> None:
        """Wait until all of `what` has happened."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: self.happened.issuperset(what))


def grid_operator(
    domain: Domain, url: str, by: Transport, story: Story, tls: ssl.SSLContext | None = None
) -> VirtualTopNode:
    """Return the VTN: it takes what its VENs report and ask."""
    vtn = VirtualTopNode(domain, url, tls=tls, transport=by)

    @vtn.on_presence
    async def presence(now: PartyPresence) -> None:
        await story.tell(f"{now.party} {now.state}")

    @vtn.on_event(noun="MeterReadings")
    @vtn.on_event(noun="EndDeviceEvents")
    async def report(event: Message) -> None:
        await story.tell(f"{event.source} {event.noun}")

    @vtn.on_request("create", "Resources")
    @vtn.on_request("change", "Resources")
    @vtn.on_request("cancel", "Resources")
    @vtn.on_request("delete", "Resources")
    async def offer(request: Message) -> None:
        await story.tell(f"{request.source} {request.verb} {request.noun}")

    @vtn.on_request("create", "EndDeviceControls")
    async def opt_out(request: Message) -> None:
        raise Refused("6.1", "too late to opt out")

    @vtn.on_request("get", "MarketPrices")
    async def tariff(request: Message) -> str:
        return payloads.price(84.10)

    return vtn


def neighbour(
    domain: Domain, url: str, by: Transport, story: Story, name: str, tls: ssl.SSLContext | None = None
) -> VirtualEndNode:
    """Return a VEN: it follows prices and controls, and answers for its devices."""
    ven = VirtualEndNode(domain, url, name, tls=tls, transport=by)

    @ven.on_event(node="#")
    async def published(event: Message) -> None:
        if event.is_current:
            await story.tell(f"{name} {event.destination} current")
        # Who has just come may get it in answer to its question first: the event itself is then a duplicate.
        await story.tell(f"{name} {event.destination}")

    async def control(request: Message) -> None:
        if name == "battery" and request.verb == "create":
            raise Refused("6.1", "battery is empty")

    for verb in ("create", "change", "cancel", "delete"):
        ven.on_request(verb, "EndDeviceControls")(control)

    @ven.on_request("get", "MeterReadings")
    def reading(request: Message) -> MeterReadings:  # not async: it runs in a thread of its own
        return payloads.reading(name, KILOWATT[name])

    return ven


def unwatched(participant: Participant) -> None:
    """Watch nobody."""


async def demonstrate(
    url: str, wire: Wire, watch: Callable[[Participant], None] = unwatched, tls: ssl.SSLContext | None = None
) -> list[str]:
    """Run the demo over `url`; returns what went wrong, one sentence each. `watch` is given each participant first."""
    domain, story = north(), Story()
    wrong: list[str] = []
    by = CapturingTransport(transport(url), wire.show)
    vtn = grid_operator(domain, url, by, story, tls)
    vens = {name: neighbour(domain, url, by, story, name, tls) for name in (*FIRST, LATE)}
    for one in (vtn, *vens.values()):
        watch(one)
    async with AsyncExitStack() as stack:
        wire.title("Presence: everybody says that it is there (5.5.5)")
        await stack.enter_async_context(vtn)
        for name in FIRST:
            await stack.enter_async_context(vens[name])
        await story.hear(*(f"{name} online" for name in FIRST))
        await _published(vtn, story, wire)
        await _transactions(vtn, vens, wire, wrong)
        await _queries(vtn, vens, wire, wrong)
        await _reports(vens, story, wire)
        await _late(stack, vens[LATE], story, wire)
        await _refusals(vtn, vens, wire, wrong)
        wire.title("Presence: one leaves, and the transport says that it is gone (5.5.5)")
        await vens["ev-depot"].aclose()
        await story.hear("ev-depot offline")
        try:
            await vtn.request("get", "MeterReadings", to="ev-depot", timeout=2)
            wrong.append("a party that left has answered")
        except (NoReceiver, NoReply) as exc:
            wire.title(f"  get MeterReadings at ev-depot: {type(exc).__name__}: {exc}")
        wire.title("Presence: everybody says goodbye")
    return wrong


async def _published(vtn: VirtualTopNode, story: Story, wire: Wire) -> None:
    wire.title("Events of the VTN, to those who subscribed (5.5.4, 5.6)")
    await vtn.publish("MarketPrices", payloads.price(91.37), node="price.north")
    await vtn.publish("EndDeviceEvents", payloads.event("feeder-12", "congestion"), node="grid.status")
    await vtn.publish("EndDeviceControls", payloads.control("feeder-12", 2), node="dispatch.north")
    await story.hear(*(f"{name} {node}" for name in FIRST for node in ("price.north", "grid.status", "dispatch.north")))


async def _transactions(vtn: VirtualTopNode, vens: dict[str, VirtualEndNode], wire: Wire, wrong: list[str]) -> None:
    wire.title("Transactional requests of the VTN, each to one VEN (5.5.2)")
    for verb in ("create", "change", "cancel", "delete"):
        await vtn.request(verb, "EndDeviceControls", payloads.control("ev-depot", 4), to="ev-depot")
    try:
        await vtn.request("create", "EndDeviceControls", payloads.control("battery", 4), to="battery")
        wrong.append("an empty battery has accepted")
    except RequestFailed as exc:
        wire.title(f"  the battery refuses: {exc}")
    wire.title("Transactional requests of a VEN, to the VTN (5.5.2)")
    for verb in ("create", "change", "cancel", "delete"):
        await vens["battery"].request(verb, "Resources", payloads.resource("battery", 10))


async def _queries(vtn: VirtualTopNode, vens: dict[str, VirtualEndNode], wire: Wire, wrong: list[str]) -> None:
    wire.title("Queries, in both directions (5.5.3)")
    total = Quantity(Decimal(0), UnitSymbol.W, UnitMultiplier.K)
    for name in FIRST:
        reply = await vtn.request("get", "MeterReadings", to=name)
        metered = _metered(reply.payload.bind()) if reply.payload is not None else {}
        if name in metered:
            total += metered[name]
        else:
            wrong.append(f"{name} did not send its reading")
    wire.title(f"  net load of all: {total}")
    await vens["heat-pump"].request("get", "MarketPrices")
    await vens["heat-pump"].request("get", "Nodes")


def _metered(readings: MeterReadings) -> dict[str, Quantity]:
    """Return the first reading of each meter, by its name."""
    found = {}
    for one in readings.meter_reading:
        reading = one.readings[0]
        if one.meter is not None and reading.value is not None:
            found[one.meter.names[0].name] = ReadingType.parse(reading.reading_type.ref).net_load(reading.value)
    return found


async def _reports(vens: dict[str, VirtualEndNode], story: Story, wire: Wire) -> None:
    wire.title("Events of VENs, to the VTN (5.5.4)")
    for name in FIRST:
        await vens[name].publish("MeterReadings", payloads.reading(name, KILOWATT[name]))
    await vens["pv-roof"].publish("EndDeviceEvents", payloads.event("inverter-1", "shaded"))
    await story.hear(*(f"{name} MeterReadings" for name in FIRST), "pv-roof EndDeviceEvents")


async def _late(stack: AsyncExitStack, late: VirtualEndNode, story: Story, wire: Wire) -> None:
    wire.title("One comes late, and gets the current values (7)")
    await stack.enter_async_context(late)
    await story.hear(f"{LATE} online", f"{LATE} price.north current", f"{LATE} grid.status current")


async def _refusals(vtn: VirtualTopNode, vens: dict[str, VirtualEndNode], wire: Wire, wrong: list[str]) -> None:
    wire.title("What the domain does not grant is not even sent (6)")
    try:
        await vtn.publish("MeterReadings", payloads.reading("x", 1), node="price.north")
        wrong.append("a noun that the node does not have was published")
    except PermissionDenied as exc:
        wire.title(f"  {exc}")
    try:
        await vens["pv-roof"].request("create", "EndDeviceControls", payloads.control("x", 1))
        wrong.append("a role that the party does not have was exercised")
    except PermissionDenied as exc:
        wire.title(f"  {exc}")


def summary(wire: Wire, wrong: list[str]) -> str:
    """Return the last line."""
    counts = ", ".join(f"{wire.count(kind)} {kind.value}" for kind in Kind if wire.count(kind))
    return f"\n{len(wire.lines)} messages on the wire ({counts}); " + (
        "; ".join(wrong) or "everything happened as it should"
    )
